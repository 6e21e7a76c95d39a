/** Retention of the log of windows, and of the ids that handlers have stored: batch after batch, copied first if requested. */

import { PawlError } from "../../base/errors.ts";
import type { Executor } from "../../store/executor.ts";
import { dropEmptyWindows, pruneSeen, pruneWindows } from "./sql.ts";

const BATCH = 5_000;
/** lock_not_available */
const LOCKED = "55P03";

export interface PruneLogOptions {
  /** Age at which windows that ended well are removed. */
  doneMs: number;
  /** Age at which all other windows are removed. */
  failedMs: number;
  /** Copies each row into `source_window_archive` in the statement that deletes it. */
  archive?: boolean;
  /** Age at which ids of events that handlers stored are removed; default: never. */
  seenMs?: number;
  isDryRun?: boolean;
  progress?: (pruned: number) => void;
}

export interface PrunedLog {
  windows: number;
  archived: number;
  seen: number;
  /** Partitions (months) that were empty and are dropped. */
  dropped: string[];
}

export async function pruneLog(
  executor: Executor,
  { doneMs, failedMs, archive = false, seenMs, isDryRun = false, progress }: PruneLogOptions,
): Promise<PrunedLog> {
  const limit = BATCH;
  const windows = await inBatches(
    () => pruneWindows(executor, { doneMs, failedMs, archive, isDryRun, limit }),
    isDryRun,
    progress,
  );
  const seen =
    seenMs === undefined
      ? 0
      : await inBatches(() => pruneSeen(executor, { beforeMs: seenMs, isDryRun, limit }), isDryRun);
  const dropped = isDryRun ? [] : await dropEmpty(executor);
  return { windows, archived: archive ? windows : 0, seen, dropped };
}

async function inBatches(
  prune: () => Promise<number>,
  isDryRun: boolean,
  progress?: (pruned: number) => void,
): Promise<number> {
  let count = 0;
  for (;;) {
    const pruned = await prune();
    count += pruned;
    progress?.(count);
    if (isDryRun || pruned < BATCH) return count;
  }
}

/** A long query may hold a lock: the next run tries again. */
async function dropEmpty(executor: Executor): Promise<string[]> {
  try {
    return await dropEmptyWindows(executor);
  } catch (error) {
    if (error instanceof PawlError && error.data.sqlstate === LOCKED) return [];
    throw error;
  }
}
