/** What people ask and do, for the CLI and every API: one function a statement. Times are the database's. */

import type { ErrorJson } from "../../base/json.ts";
import type { Executor } from "../../store/executor.ts";
import type { Act } from "./audit/sql.ts";

export interface QueueStats {
  queue: string;
  ready: number;
  scheduled: number;
  /** In lanes, behind their heads. */
  waiting: number;
  /** Lanes that wait for a dead letter. */
  blocked: number;
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
    waiting: Number(row.waiting),
    blocked: Number(row.blocked),
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
  | "waiting"
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
  lane: string | null;
  key: string | null;
  /** Not started after this time. */
  expires_at: Date | null;
  cancel_requested_at: Date | null;
  /** What its handler has said about it last. */
  progress: unknown;
}

/** The task wherever it is: live, dead or in history. */
export async function findTask(executor: Executor, id: string): Promise<TaskDetail | undefined> {
  const [row] = await executor.rows<Omit<TaskDetail, "state"> & { state: TaskState | "arrived" }>(
    "select * from pawl.find_task_v1($1)",
    [id],
  );
  if (row === undefined) return undefined;
  // what has just arrived in a lane waits there for its place
  return { ...row, state: row.state === "arrived" ? "waiting" : row.state };
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

export interface TaskChange<Outcome> {
  id: string;
  outcome: Outcome;
}

/**
 * What waits ends at once (`cancelled`); what runs is asked to (`requested`): its signal aborts, and it is cancelled
 * unless it still ends well. Answers those that lived.
 */
export function cancelTasks(
  executor: Executor,
  ids: readonly string[],
  { by, why }: Act,
): Promise<TaskChange<"cancelled" | "requested">[]> {
  return executor.rows("select * from pawl.cancel_v1($1, $2, $3)", [ids, by, why ?? null]);
}

export interface Move extends Act {
  /** Not before this time; or `inMs` from now, by the database's clock. */
  runAt?: Date | undefined;
  inMs?: number | undefined;
  priority?: number | undefined;
}

/** Moves in time or priority. Answers those that lived; `running` is too late. */
export function moveTasks(
  executor: Executor,
  ids: readonly string[],
  { runAt, inMs, priority, by, why }: Move,
): Promise<TaskChange<"changed" | "running">[]> {
  return executor.rows(
    `select * from pawl.change_tasks_v1($1, coalesce($2::timestamptz, pawl.now() + $3::float8 * interval '1 ms'), $4, $5, $6)`,
    [ids, runAt ?? null, inMs ?? null, priority ?? null, by, why ?? null],
  );
}

export interface WhyRow {
  reason: string;
  since: Date | null;
  until: Date | null;
  detail: unknown;
  /** The database's clock. */
  now: Date;
}

/** A row for each reason why the task is where it is, the decisive first; none when there is no such task. */
export function whyRows(executor: Executor, id: string): Promise<WhyRow[]> {
  return executor.rows("select w.*, pawl.now() as now from pawl.why_task_v1($1) w", [id]);
}

export interface KindRow {
  kind: string;
  queue: string;
  version: number;
  application: string | null;
  /** null: named only by an enqueue through SQL; its tasks wait for a worker that knows it. */
  defined_at: Date | null;
  /** Live workers that know it. */
  workers: number;
}

export function kinds(executor: Executor): Promise<KindRow[]> {
  return executor.rows(
    `select st.kind, q.name as queue, st.version, st.application, st.defined_at,
            (select count(*)::int from pawl.worker w
              where w.ended_at is null and w.lease_until > pawl.now() and st.id = any (w.streams)) as workers
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
