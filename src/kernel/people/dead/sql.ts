/** Dead letters as people see and change them: one function a statement. */

import type { ErrorJson } from "../../../base/json.ts";
import type { Executor } from "../../../store/executor.ts";
import type { Act } from "../audit/sql.ts";

export const DEAD_REASONS = [
  "attempts",
  "unrecoverable",
  "crashed",
  "until",
  "invalid",
  "expired",
  "stop-code",
] as const;
export type DeadReason = (typeof DEAD_REASONS)[number];

export interface DeadRow {
  id: string;
  queue: string;
  kind: string;
  priority: number;
  attempt: number;
  reason: DeadReason;
  created_at: Date;
  died_at: Date;
  worker_id: number | null;
  lane: string | null;
  /** Its lane waits for it. */
  is_blocking: boolean;
  payload: unknown;
  error: ErrorJson | null;
}

export interface DeadSelection {
  queue?: string | undefined;
  kind?: string | undefined;
  /** Part of the error's message. */
  error?: string | undefined;
  reason?: DeadReason | undefined;
  lane?: string | undefined;
}

export interface DeadFilter extends DeadSelection {
  ids?: readonly string[] | undefined;
  limit: number;
}

/** Latest death first. */
export function dead(
  executor: Executor,
  { ids, queue, kind, error, reason, lane, limit }: DeadFilter,
): Promise<DeadRow[]> {
  return executor.rows("select * from pawl.dead_v1($1, $2, $3, $4, $5, $6, $7)", [
    ids ?? null,
    queue ?? null,
    kind ?? null,
    error ?? null,
    reason ?? null,
    lane ?? null,
    limit,
  ]);
}

export interface DeadGroup {
  queue: string;
  kind: string;
  reason: DeadReason;
  /** The beginning of the message, `#` for each number in it. */
  error: string;
  tasks: number;
  /** How many of them block their lane. */
  blocking: number;
  first_died_at: Date;
  last_died_at: Date;
  /** The id of one of them. */
  example: string;
}

/** Those that died of the same together, the largest group first. */
export async function deadGroups(executor: Executor, limit: number): Promise<DeadGroup[]> {
  const rows = await executor.rows<DeadGroup>("select * from pawl.dead_groups_v1($1)", [limit]);
  return rows.map((row) => ({ ...row, tasks: Number(row.tasks), blocking: Number(row.blocking) }));
}

export interface DeadChange {
  id: string;
  /** `duplicate`: it stays dead, since a live task has its key. */
  outcome: "retried" | "duplicate" | "removed";
}

/** Back to their queues with the same id and a fresh budget; answers those that were dead. */
export function retryDead(
  executor: Executor,
  ids: readonly string[],
  { by, why }: Act,
): Promise<DeadChange[]> {
  return executor.rows("select * from pawl.retry_dead_v1($1, $2, $3)", [ids, by, why ?? null]);
}

/** To history as `removed`, and a lane that waited for one goes on; answers those that were dead. */
export function removeDead(
  executor: Executor,
  ids: readonly string[],
  { by, why }: Act,
): Promise<DeadChange[]> {
  return executor.rows("select * from pawl.remove_dead_v1($1, $2, $3)", [ids, by, why ?? null]);
}

/** $1 to $5 as `selected` gives them. */
const SELECTED_DEAD = `pawl.dead d join pawl.stream st on st.id = d.stream_id join pawl.queue q on q.id = st.queue_id
    where ($1::text is null or q.name = $1) and ($2::text is null or st.kind = $2)
      and ($3::text is null or strpos(d.error ->> 'message', $3) > 0)
      and ($4::text is null or d.reason = $4) and ($5::text is null or d.lane = $5)`;

function selected({ queue, kind, error, reason, lane }: DeadSelection): unknown[] {
  return [queue ?? null, kind ?? null, error ?? null, reason ?? null, lane ?? null];
}

/** `last` is the greatest of their ids. */
export async function countDead(
  executor: Executor,
  selection: DeadSelection,
): Promise<{ count: number; last: string }> {
  const [row] = await executor.rows<{ count: number; last: string }>(
    `select count(*)::int as count, coalesce(max(d.id), 0) as last from ${SELECTED_DEAD}`,
    selected(selection),
  );
  return row ?? { count: 0, last: "0" };
}

/** By id, beyond `after` and up to `last`, so that what dies again in the meantime is not met again. */
export async function deadIds(
  executor: Executor,
  {
    after,
    last,
    limit,
    ...selection
  }: DeadSelection & { after: string; last: string; limit: number },
): Promise<string[]> {
  const rows = await executor.rows<{ id: string }>(
    `select d.id from ${SELECTED_DEAD} and d.id > $6 and d.id <= $7 order by d.id limit $8`,
    [...selected(selection), after, last, limit],
  );
  return rows.map((row) => row.id);
}
