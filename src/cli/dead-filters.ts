/** Which dead letters: the filters that list, retry and remove share. */

import type { Command } from "commander";
import { DEAD_REASONS, type DeadSelection } from "../kernel/people/dead/sql.ts";
import { oneOf } from "./values.ts";

export function withFilters(made: Command): Command {
  return made
    .option("--kind <name>", "only of this kind")
    .option("--queue <name>", "only of this queue")
    .option("--error <text>", "only with this text in the error's message")
    .option(
      "--reason <reason>",
      `only that died of this: ${DEAD_REASONS.join(", ")}`,
      oneOf("--reason", DEAD_REASONS),
    )
    .option("--lane <key>", "only of this lane");
}

export function selectionOf({ kind, queue, error, reason, lane }: DeadSelection): DeadSelection {
  return { kind, queue, error, reason, lane };
}

export function isFiltered(selection: DeadSelection): boolean {
  return Object.values(selectionOf(selection)).some((value) => value !== undefined);
}
