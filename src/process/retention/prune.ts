/** Takes away what is no longer kept of runs. A worker does it once an hour, `pawl prune` at once. */

import type { Logger } from "../../base/log.ts";
import { type Loop, loop } from "../../base/loop.ts";
import { messageOf } from "../../base/thrown.ts";
import type { PartPruneOptions, PrunedOther } from "../../kernel/part.ts";
import type { Executor } from "../../store/executor.ts";
import type { Store } from "../../store/store.ts";
import { pruneRuns } from "./sql.ts";

const ROUND_MS = 3_600_000;
const NEXT_MS = 1_000;

export async function pruneAllRuns(
  executor: Executor,
  { isDryRun, progress }: PartPruneOptions,
): Promise<PrunedOther[]> {
  const all = { steps: 0, sent: 0, results: 0 };
  for (let after: string | null = "0"; after !== null; ) {
    const { last, ...batch } = await pruneRuns(executor, { after, isDryRun });
    for (const sort of ["steps", "sent", "results"] as const) all[sort] += batch[sort];
    after = last;
    progress?.(`runs of processes: ${after ?? "the last one"}`);
  }
  return [
    { what: "steps of runs that history has forgotten", action: "delete", rows: all.steps },
    { what: "steps that sent something, of its payloads", action: "redact", rows: all.sent },
    { what: "steps of ended runs, of their results", action: "redact", rows: all.results },
  ];
}

export function stepPruner(store: Store, log: Logger): Loop {
  let after: string | undefined;
  return loop({
    runOnce: async () => {
      if (after === undefined) {
        after = "0"; // a worker that has just started has more urgent work
        return ROUND_MS * Math.random();
      }
      const { last } = await pruneRuns(store, { after, isDryRun: false });
      after = last ?? "0";
      return last === null ? ROUND_MS : NEXT_MS;
    },
    isUnhurried: true, // a wake-up of the worker is not meant for it
    failed: (error) => log.warn({ err: messageOf(error) }, "pruning runs of processes failed"),
  });
}
