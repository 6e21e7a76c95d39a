/** What people ask and do, for the CLI and every API: one function a statement. Times are the database's. */

import type { ErrorJson } from "../../base/json.ts";
import type { Executor } from "../../store/executor.ts";

export interface QueueStats {
  queue: string;
  ready: number;
  scheduled: number;
  running: number;
  dead: number;
  /** Some count is beyond 10,000 and the planner's estimate. */
  isEstimate: boolean;
  /** How long the first of the ready tasks has been due; null when none waits. */
  oldestReadyMs: number | null;
  /** Over the last five minutes. */
  perMinute: { done: number; retried: number; dead: number };
}

export async function stats(executor: Executor): Promise<QueueStats[]> {
  const rows = await executor.rows<Record<string, string | boolean | null>>(
    "select * from pawl.stats_v1()",
  );
  return rows.map((row) => ({
    queue: String(row.queue),
    ready: Number(row.ready),
    scheduled: Number(row.scheduled),
    running: Number(row.running),
    dead: Number(row.dead),
    isEstimate: row.is_estimate === true,
    oldestReadyMs: row.oldest_ready_ms === null ? null : Number(row.oldest_ready_ms),
    perMinute: {
      done: Number(row.done_per_minute),
      retried: Number(row.retried_per_minute),
      dead: Number(row.dead_per_minute),
    },
  }));
}

export type TaskState =
  | "ready"
  | "scheduled"
  | "running"
  | "dead"
  | "done"
  | "cancelled"
  | "expired"
  | "removed";

export interface TaskRow {
  id: string;
  state: TaskState;
  queue: string;
  kind: string;
  priority: number;
  attempt: number;
  run_at: Date;
  created_at: Date;
  ended_at: Date | null;
  worker_id: number | null;
  error: ErrorJson | null;
}

export interface TaskFilter {
  state?: TaskState | undefined;
  queue?: string | undefined;
  kind?: string | undefined;
  limit: number;
}

/** Newest first. */
export function tasks(
  executor: Executor,
  { state, queue, kind, limit }: TaskFilter,
): Promise<TaskRow[]> {
  return executor.rows("select * from pawl.tasks_v1($1, $2, $3, $4)", [
    state ?? null,
    queue ?? null,
    kind ?? null,
    limit,
  ]);
}

export interface TaskDetail extends TaskRow {
  max_attempts: number;
  started_at: Date | null;
  payload: unknown;
  meta: Record<string, unknown> | null;
  ref: string | null;
  result: unknown;
  /** Why it is dead. */
  reason: string | null;
}

/** The task wherever it is: live, dead or in history. */
export async function findTask(executor: Executor, id: string): Promise<TaskDetail | undefined> {
  const [row] = await executor.rows<TaskDetail>("select * from pawl.find_task_v1($1)", [id]);
  return row;
}

export interface AttemptRow {
  attempt: number;
  outcome: string;
  worker_id: number | null;
  started_at: Date | null;
  ended_at: Date;
  error: ErrorJson | null;
}

/** The attempts that were not the last one, oldest first. */
export function attemptsOf(executor: Executor, id: string): Promise<AttemptRow[]> {
  return executor.rows(
    `select attempt, outcome, worker_id, started_at, ended_at, error
       from pawl.attempt where task_id = $1 order by seq`,
    [id],
  );
}

export interface DeadRow {
  id: string;
  queue: string;
  kind: string;
  priority: number;
  attempt: number;
  reason: "attempts" | "unrecoverable" | "crashed" | "until" | "invalid";
  created_at: Date;
  died_at: Date;
  worker_id: number | null;
  payload: unknown;
  error: ErrorJson | null;
}

export interface DeadFilter {
  ids?: readonly string[] | undefined;
  queue?: string | undefined;
  kind?: string | undefined;
  /** Part of the error's message. */
  error?: string | undefined;
  limit: number;
}

/** Latest death first. */
export function dead(
  executor: Executor,
  { ids, queue, kind, error, limit }: DeadFilter,
): Promise<DeadRow[]> {
  return executor.rows("select * from pawl.dead_v1($1, $2, $3, $4, $5)", [
    ids ?? null,
    queue ?? null,
    kind ?? null,
    error ?? null,
    limit,
  ]);
}

/** Back to their queues with the same id and a fresh budget; answers the ids that were dead. */
export async function retryDead(executor: Executor, ids: readonly string[]): Promise<string[]> {
  const rows = await executor.rows<{ id: string }>("select id from pawl.retry_dead_v1($1)", [ids]);
  return rows.map((row) => row.id);
}

/** To history as `removed`; answers the ids that were dead. */
export async function removeDead(executor: Executor, ids: readonly string[]): Promise<string[]> {
  const rows = await executor.rows<{ id: string }>("select id from pawl.remove_dead_v1($1)", [ids]);
  return rows.map((row) => row.id);
}

export interface KindRow {
  kind: string;
  queue: string;
  version: number;
  application: string | null;
  /** null: named only by an enqueue through SQL; its tasks wait for a worker that knows it. */
  defined_at: Date | null;
  /** Live workers that take from its queue. */
  workers: number;
}

export function kinds(executor: Executor): Promise<KindRow[]> {
  return executor.rows(
    `select st.kind, q.name as queue, st.version, st.application, st.defined_at,
            (select count(*)::int from pawl.worker w
              where w.ended_at is null and w.lease_until > pawl.now()
                and q.name = any (w.queues) and st.application = w.application) as workers
       from pawl.stream st join pawl.queue q on q.id = st.queue_id order by q.id, st.kind, st.version`,
  );
}

export interface WorkerRow {
  id: number;
  host: string;
  pid: number;
  application: string;
  queues: string[];
  concurrency: number;
  running: number;
  idle: boolean;
  refused: string;
  started_at: Date;
  heartbeat_at: Date;
  lease_until: Date;
}

/** The live ones. */
export function workers(executor: Executor): Promise<WorkerRow[]> {
  return executor.rows(
    `select id, host, pid, application, queues, concurrency, running, idle, refused, started_at, heartbeat_at, lease_until
       from pawl.worker where ended_at is null and lease_until > pawl.now() order by id`,
  );
}

/** In the order in which they were defined. */
export async function queueNames(executor: Executor): Promise<string[]> {
  const rows = await executor.rows<{ name: string }>("select name from pawl.queue order by id");
  return rows.map((row) => row.name);
}

export type DeadSelection = Pick<DeadFilter, "queue" | "kind" | "error">;

/** $1 to $3 as `selected` gives them. */
const SELECTED_DEAD = `pawl.dead d join pawl.stream st on st.id = d.stream_id join pawl.queue q on q.id = st.queue_id
    where ($1::text is null or q.name = $1) and ($2::text is null or st.kind = $2)
      and ($3::text is null or strpos(d.error ->> 'message', $3) > 0)`;

function selected({ queue, kind, error }: DeadSelection): unknown[] {
  return [queue ?? null, kind ?? null, error ?? null];
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
    `select d.id from ${SELECTED_DEAD} and d.id > $4 and d.id <= $5 order by d.id limit $6`,
    [...selected(selection), after, last, limit],
  );
  return rows.map((row) => row.id);
}
