/**
 * Retention: drops the partitions of history that are older than the longest retention time, and deletes from the others the
 * rows whose own retention time is over, a few pages in each transaction. Safe to run from many places at once.
 */

import { PawlError } from "../../../base/errors.ts";
import type { Executor } from "../../../store/executor.ts";
import { dropPartition, forgetKeys, type PrunePlanRow, prunePlan, pruneRows, tidy } from "./sql.ts";

/** 4 MB: a batch is over in a fraction of a second. */
const PAGES_DEFAULT = 512;
const KEYS_PER_BATCH = 10_000;
/** lock_not_available */
const LOCKED = "55P03";
/** undefined_table: somebody else has dropped it in the meantime. */
const GONE = "42P01";

export interface PruneOptions {
  /** Only counts what would be removed. */
  isDryRun?: boolean;
  /** For regular runs: reads only the partitions in which a retention time ended in the last two days. */
  isRoutine?: boolean;
  /** Pages of a partition that one batch deletes from. */
  pagesPerBatch?: number;
  progress?: (at: PruneProgress) => void;
  /** Ends it after the current batch; the result says what was done. */
  signal?: AbortSignal;
}

export interface PruneProgress {
  partition: string;
  page: number;
  pages: number;
}

export interface PrunedPartition {
  partition: string;
  /** `kept`: a long query prevented the drop; the next run tries again. */
  action: "drop" | "delete" | "kept";
  /** Rows whose time is over. null: not counted, as for attempts, and for a partition to drop unless it is a dry run. */
  rows: number | null;
}

export interface Pruned {
  partitions: PrunedPartition[];
  dropped: number;
  deleted: number;
}

export async function prune(executor: Executor, options: PruneOptions = {}): Promise<Pruned> {
  const { isDryRun = false, signal } = options;
  const partitions: PrunedPartition[] = [];
  for (const row of await prunePlan(executor, options.isRoutine !== true)) {
    if (signal?.aborted) break;
    const pruned = await prunePartition(executor, row, options);
    if (pruned.action !== "delete" || pruned.rows !== 0) partitions.push(pruned);
  }
  if (!isDryRun && !signal?.aborted) await tidy(executor);
  while (!isDryRun && !signal?.aborted) {
    if ((await forgetKeys(executor, KEYS_PER_BATCH)) < KEYS_PER_BATCH) break;
  }
  const deleted = partitions.filter(({ action }) => action === "delete");
  return {
    partitions,
    dropped: partitions.filter(({ action }) => action === "drop").length,
    deleted: deleted.reduce((sum, { rows }) => sum + (rows ?? 0), 0),
  };
}

async function prunePartition(
  executor: Executor,
  row: PrunePlanRow,
  options: PruneOptions,
): Promise<PrunedPartition> {
  const { partition, action } = row;
  if (action === "delete") {
    return { partition, action, rows: await pruneBatches(executor, row, options) };
  }
  if (options.isDryRun) {
    const isHistory = partition.startsWith("finished_");
    return {
      partition,
      action,
      rows: isHistory ? await pruneBatches(executor, row, options) : null,
    };
  }
  try {
    await dropPartition(executor, partition);
    return { partition, action, rows: null };
  } catch (error) {
    if (sqlstateOf(error) !== LOCKED) throw error;
    return { partition, action: "kept", rows: null };
  }
}

async function pruneBatches(
  executor: Executor,
  { partition, pages }: PrunePlanRow,
  { isDryRun = false, pagesPerBatch = PAGES_DEFAULT, progress, signal }: PruneOptions,
): Promise<number> {
  let count = 0;
  for (let page = 0; page < pages && !signal?.aborted; page += pagesPerBatch) {
    progress?.({ partition, page, pages });
    try {
      count += await pruneRows(executor, { partition, page, pages: pagesPerBatch, isDryRun });
    } catch (error) {
      if (sqlstateOf(error) !== GONE) throw error;
      break;
    }
  }
  return count;
}

function sqlstateOf(error: unknown): unknown {
  return error instanceof PawlError ? error.data.sqlstate : undefined;
}
