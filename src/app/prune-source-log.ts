/** The log of windows is pruned, and the audit keeps who did: for the command line and for code. */

import { type PrunedLog, type PruneLogOptions, pruneLog } from "../inbox/people/prune-log.ts";
import { type Act, recordAct } from "../kernel/people/audit/sql.ts";
import type { Executor } from "../store/executor.ts";

const DAY_MS = 86_400_000;

export async function pruneSourceLog(
  executor: Executor,
  options: PruneLogOptions,
  act: Act,
): Promise<PrunedLog> {
  const pruned = await pruneLog(executor, options);
  if (options.isDryRun === true) return pruned;
  const { doneMs, failedMs, seenMs } = options;
  const detail = {
    doneDays: doneMs / DAY_MS,
    failedDays: failedMs / DAY_MS,
    ...(seenMs !== undefined && { seenDays: seenMs / DAY_MS }),
    ...pruned,
  };
  await recordAct(executor, { ...act, action: "prune-log", target: "sources", detail });
  return pruned;
}
