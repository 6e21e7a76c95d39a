/** `pawl dead`: look at dead letters, send them back to their queues, or give them up. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import {
  type DeadGroup,
  type DeadRow,
  type DeadSelection,
  dead,
  deadGroups,
} from "../kernel/people/dead/sql.ts";
import { attemptsOf, findTask } from "../kernel/people/sql.ts";
import { whyTask } from "../kernel/people/why.ts";
import { command, does, withStore } from "./command.ts";
import { remove, retry } from "./dead-change.ts";
import { isFiltered, withFilters } from "./dead-filters.ts";
import { iso, table } from "./table.ts";
import { inOtherState, noTask } from "./task-state.ts";
import { taskText } from "./task-text.ts";
import { requireQueueAndKind } from "./tasks.ts";
import { taskId, wholeNumber } from "./values.ts";

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 10_000;

export function deadCommand(): Command {
  return command("dead", "Look at dead letters, retry or remove them")
    .addCommand(list())
    .addCommand(show())
    .addCommand(retry())
    .addCommand(remove());
}

interface ListOptions extends DeadSelection {
  groups?: boolean;
  limit: number;
}

function list(): Command {
  const made = withFilters(
    command("list", "List dead letters, the latest death first", [
      ["pawl dead list --kind send-email", "those of a kind"],
      ['pawl dead list --error "timed out" --json', "those that died of a timeout"],
      ["pawl dead list --groups", "how many died of what"],
    ]),
  )
    .option("--groups", "count those together that died of the same, the largest group first")
    .option("--limit <n>", "at most so many", wholeNumber("--limit", LIMIT_MAX), LIMIT_DEFAULT);
  return does<ListOptions>(made, (call, options) => {
    if (options.groups === true && isFiltered(options)) {
      throw new PawlError(
        "invalid_option",
        "pawl dead list: --groups takes no filters; list the groups, then one of them with --kind, --reason and --error",
        { data: { option: "--groups" } },
      );
    }
    return withStore(call, async (store) => {
      if (options.groups === true) {
        const groups = await deadGroups(store, options.limit);
        return { json: { groups }, text: groupsText(groups) };
      }
      await requireQueueAndKind(store, options);
      const rows = await dead(store, options);
      return { json: { dead: rows }, text: listText(rows) };
    });
  });
}

function listText(rows: readonly DeadRow[]): string {
  return table(rows, [
    { head: "ID", value: (row) => row.id, align: "right" },
    { head: "QUEUE", value: (row) => row.queue },
    { head: "KIND", value: (row) => row.kind },
    { head: "REASON", value: (row) => row.reason },
    { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
    { head: "DIED", value: (row) => iso(row.died_at) },
    { head: "LANE", value: (row) => (row.is_blocking ? `${row.lane} (blocked)` : row.lane) },
    { head: "ERROR", value: (row) => row.error?.message },
  ]);
}

function groupsText(groups: readonly DeadGroup[]): string {
  return table(groups, [
    { head: "TASKS", value: (row) => row.tasks, align: "right" },
    { head: "BLOCKING", value: (row) => row.blocking, align: "right" },
    { head: "QUEUE", value: (row) => row.queue },
    { head: "KIND", value: (row) => row.kind },
    { head: "REASON", value: (row) => row.reason },
    { head: "LAST DIED", value: (row) => iso(row.last_died_at) },
    { head: "EXAMPLE", value: (row) => row.example, align: "right" },
    { head: "ERROR", value: (row) => row.error },
  ]);
}

function show(): Command {
  const made = command("show <id>", "Show a dead letter with its payload, error and attempts", [
    ["pawl dead show 42", "why it died, and what it was to do"],
  ]);
  return does(made, (call) => {
    const id = taskId(call.args[0] ?? "");
    return withStore(call, async (store) => {
      const task = await findTask(store, id);
      if (task === undefined) throw noTask(id);
      if (task.state !== "dead") throw inOtherState(id, "dead letter", task.state);
      const attempts = await attemptsOf(store, id);
      const why = (await whyTask(store, id))?.line;
      return { json: { task, attempts, why: why ?? null }, text: taskText(task, attempts, why) };
    });
  });
}
