/** Dead letters as operators see and change them: one function per statement. */

import type { ErrorJson } from "../../../base/error-json.ts";
import { results } from "../../../operate/results.ts";
import type { Act } from "../../../operate/sql.ts";
import type { Executor } from "../../../store/executor.ts";

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
  createdAt: Date;
  diedAt: Date;
  workerId: string | null;
  lane: string | null;
  /** True if its lane waits for it. */
  isBlocking: boolean;
  /** null if the login may not read payloads. */
  readonly payload: unknown;
  readonly payloadText: string | null;
  error: ErrorJson | null;
}

export interface DeadSelection {
  queue?: string | undefined;
  kind?: string | undefined;
  /** A part of the error message. */
  error?: string | undefined;
  reason?: DeadReason | undefined;
  lane?: string | undefined;
}

export interface DeadFilter extends DeadSelection {
  ids?: readonly string[] | undefined;
  limit: number;
}

/** Latest first. */
export function dead(
  executor: Executor,
  { ids, queue, kind, error, reason, lane, limit }: DeadFilter,
): Promise<DeadRow[]> {
  return results(
    executor,
    `select id, queue, kind, priority, attempt, reason, created_at, died_at, worker_id, lane, is_blocking,
            payload::text as payload_text, error
       from pawl.dead_v1($1, $2, $3, $4, $5, $6, $7)`,
    [ids ?? null, queue ?? null, kind ?? null, error ?? null, reason ?? null, lane ?? null, limit],
  );
}

export interface DeadGroup {
  queue: string;
  kind: string;
  reason: DeadReason;
  /** The beginning of the error message, with `#` for each number. */
  error: string;
  tasks: number;
  /** How many of them block their lanes. */
  blocking: number;
  firstDiedAt: Date;
  lastDiedAt: Date;
  /** The id of one of them. */
  example: string;
}

/** Groups by cause, largest group first. */
export async function deadGroups(executor: Executor, limit: number): Promise<DeadGroup[]> {
  const rows = await results<DeadGroup>(executor, "select * from pawl.dead_groups_v1($1)", [limit]);
  return rows.map((row) => ({ ...row, tasks: Number(row.tasks), blocking: Number(row.blocking) }));
}

export interface DeadChange {
  id: string;
  /** `duplicate`: it stays dead, because a live task has its key. */
  outcome: "retried" | "duplicate" | "removed";
}

/** Puts tasks back into their queues, with the same id and all attempts again; returns those that were dead. */
export function retryDead(
  executor: Executor,
  ids: readonly string[],
  { by, why, action }: Act,
): Promise<DeadChange[]> {
  return executor.rows("select * from pawl.retry_dead_v1($1, $2, $3, $4)", [
    ids,
    by,
    why ?? null,
    action ?? null,
  ]);
}

/** Moves tasks to history as `removed`; a lane that waited for one goes on. Returns those that were dead. */
export function removeDead(
  executor: Executor,
  ids: readonly string[],
  { by, why }: Act,
): Promise<DeadChange[]> {
  return executor.rows("select * from pawl.remove_dead_v1($1, $2, $3)", [ids, by, why ?? null]);
}

/** $1 to $5 as `selected` gives them. */
const SELECTED_DEAD = `pawl.task_dead_v1 d
    where ($1::text is null or d.queue = $1) and ($2::text is null or d.kind = $2)
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

/** Ordered by id, after `after` and up to `last`: a task that dies again meanwhile is not found twice. */
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
