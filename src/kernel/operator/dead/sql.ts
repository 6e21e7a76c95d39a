/** Dead letters as operators see and change them: one function per statement. */

import type { ErrorJson } from "../../../base/error-json.ts";
import { results } from "../../../operate/results.ts";
import type { Act } from "../../../operate/sql.ts";
import type { Executor } from "../../../store/executor.ts";
import {
  type DeadReason,
  filterJson,
  ROWS_LOOKED_AT,
  type Selection,
  withoutMark,
} from "../filter.ts";

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

/** Latest first. `isCut`: it did not look at all, and older ones may fit. */
export async function dead(
  executor: Executor,
  { limit, ...selection }: Selection & { limit: number },
): Promise<{ rows: DeadRow[]; isCut: boolean }> {
  const rows = await results<DeadRow>(
    executor,
    `select id, queue, kind, priority, attempt, reason, created_at, died_at, worker_id, lane, is_blocking,
            payload::text as payload_text, error
       from pawl.dead_v1($1, $2, $3)`,
    [filterJson(selection), limit, ROWS_LOOKED_AT],
  );
  return withoutMark(rows);
}

/** Those of these that are dead. */
export async function whichAreDead(
  executor: Executor,
  ids: readonly string[],
): Promise<Set<string>> {
  const rows = await executor.rows<{ id: string }>(
    "select d.id::text as id from pawl.task_dead_v1 d where d.id = any ($1::bigint[])",
    [ids],
  );
  return new Set(rows.map(({ id }) => id));
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
export async function deadGroups(
  executor: Executor,
  { limit, ...selection }: Selection & { limit: number },
): Promise<DeadGroup[]> {
  const rows = await results<DeadGroup>(executor, "select * from pawl.dead_groups_v1($1, $2)", [
    filterJson(selection),
    limit,
  ]);
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

/** What a task carries, each as it is stored. */
export interface Edited {
  payloadText: string;
  key: string | null;
  lane: string | null;
  limitKey: string | null;
}

/** What a retry with another payload has to know besides; undefined if it is not dead. `isWaitedFor`: for the end of this very task. */
export async function deadToEdit(
  executor: Executor,
  id: string,
): Promise<{ limitKey: string | null; isWaitedFor: boolean } | undefined> {
  const [row] = await results<{ limitKey: string | null; isWaitedFor: boolean }>(
    executor,
    "select limit_key, is_waited_for from pawl.dead_to_edit_v1($1)",
    [id],
  );
  return row;
}

/** Ends a dead letter, and makes a new task of it with another payload; undefined if it is not dead. */
export async function retryDeadAs(
  executor: Executor,
  { id, edited, by, why }: Act & { id: string; edited: Edited },
): Promise<{ outcome: "retried" | "duplicate" | "watched"; id: string } | undefined> {
  const [row] = await executor.rows<{ outcome: "retried" | "duplicate" | "watched"; id: string }>(
    "select outcome, id::text as id from pawl.retry_dead_as_v1($1, $2, $3, $4, $5, $6, $7)",
    [id, edited.payloadText, edited.key, edited.lane, edited.limitKey, by, why ?? null],
  );
  return row;
}

/** Moves tasks to history as `removed`; a lane that waited for one goes on. Returns those that were dead. */
export function removeDead(
  executor: Executor,
  ids: readonly string[],
  { by, why }: Act,
): Promise<DeadChange[]> {
  return executor.rows("select * from pawl.remove_dead_v1($1, $2, $3)", [ids, by, why ?? null]);
}

/** `last` is the greatest of their ids. */
export async function countDead(
  executor: Executor,
  selection: Selection,
): Promise<{ count: number; last: string }> {
  const [row] = await executor.rows<{ count: number; last: string }>(
    "select count::int as count, last from pawl.dead_count_v1($1)",
    [filterJson(selection)],
  );
  return row ?? { count: 0, last: "0" };
}

/** Ordered by id, after `after` and up to `last`: a task that dies again meanwhile is not found twice. */
export async function deadIds(
  executor: Executor,
  { after, last, limit, ...selection }: Selection & { after: string; last: string; limit: number },
): Promise<string[]> {
  const rows = await executor.rows<{ id: string }>(
    "select id from pawl.dead_ids_v1($1, $2, $3, $4) d (id)",
    [filterJson(selection), after, last, limit],
  );
  return rows.map((row) => row.id);
}
