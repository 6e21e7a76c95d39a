/** Retention's statements: what there is to prune, and each batch of it. */

import type { Executor } from "../../../store/executor.ts";

export interface PrunePlanRow {
  partition: string;
  action: "drop" | "delete";
  /** The end of the partition's time; null for the default one. */
  before: Date | null;
  pages: number;
}

export function prunePlan(executor: Executor, isThorough: boolean): Promise<PrunePlanRow[]> {
  return executor.rows("select * from pawl.prune_plan_v1($1)", [isThorough]);
}

/** @throws PawlError with SQLSTATE 55P03 when a long query is in the way */
export async function dropPartition(executor: Executor, partition: string): Promise<void> {
  await executor.rows("select pawl.drop_partition_v1($1)", [partition]);
}

export interface PruneRows {
  partition: string;
  /** The first page, and how many. */
  page: number;
  pages: number;
  /** Only count. */
  isDryRun: boolean;
}

/** @returns how many rows of these pages were past their time */
export async function pruneRows(
  executor: Executor,
  { partition, page, pages, isDryRun }: PruneRows,
): Promise<number> {
  const [row] = await executor.rows<{ rows: number }>(
    "select pawl.prune_rows_v1($1, $2, $3, $4) as rows",
    [partition, page, pages, isDryRun],
  );
  return row?.rows ?? 0;
}

/** Workers that ended long ago, old minutes of rates, switches whose end has passed. */
export async function tidy(executor: Executor): Promise<void> {
  await executor.rows("select pawl.tidy_v1()");
}

/** Forgets keys that were unique for a time that is over; returns how many. */
export async function forgetKeys(executor: Executor, limit: number): Promise<number> {
  const [row] = await executor.rows<{ forgotten: number }>(
    "select pawl.forget_keys_v1($1) as forgotten",
    [limit],
  );
  return row?.forgotten ?? 0;
}
