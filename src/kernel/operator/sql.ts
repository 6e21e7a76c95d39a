/** What operators ask and do: one function per statement. Times are the database's. */

import type { ErrorJson } from "../../base/error-json.ts";
import { results } from "../../operate/results.ts";
import type { Act } from "../../operate/sql.ts";
import type { Executor } from "../../store/executor.ts";
import {
  filterJson,
  ROWS_LOOKED_AT,
  type Selection,
  type TaskState,
  withoutMark,
} from "./filter.ts";

export type StatsCount = "ready" | "scheduled" | "waiting" | "blocked" | "dead";

export interface QueueStats {
  queue: string;
  ready: number;
  scheduled: number;
  /** Tasks in lanes, behind the heads. */
  waiting: number;
  /** Lanes that wait for a dead letter. */
  blocked: number;
  running: number;
  dead: number;
  /** True if a count is an estimate (usually within 5 %): counts above 10,000, for `waiting` and `blocked` above 20,000. */
  isEstimate: boolean;
  /** Which counts are estimates. */
  estimates: readonly StatsCount[];
  /** How long the oldest ready task has been due; null if none is ready. */
  oldestReadyMs: number | null;
  /** Average of the last five minutes. */
  perMinute: { done: number; retried: number; dead: number };
}

export async function stats(executor: Executor): Promise<QueueStats[]> {
  const rows = await executor.rows<
    Record<string, string | boolean | null> & { estimates: StatsCount[] }
  >("select * from pawl.stats_v1()");
  return rows.map((row) => ({
    queue: String(row.queue),
    ready: Number(row.ready),
    scheduled: Number(row.scheduled),
    waiting: Number(row.waiting),
    blocked: Number(row.blocked),
    running: Number(row.running),
    dead: Number(row.dead),
    isEstimate: row.is_estimate === true,
    estimates: row.estimates,
    oldestReadyMs: row.oldest_ready_ms === null ? null : Number(row.oldest_ready_ms),
    perMinute: {
      done: Number(row.done_per_minute),
      retried: Number(row.retried_per_minute),
      dead: Number(row.dead_per_minute),
    },
  }));
}

export interface TaskRow {
  id: string;
  state: TaskState;
  queue: string;
  kind: string;
  priority: number;
  attempt: number;
  runAt: Date;
  createdAt: Date;
  endedAt: Date | null;
  workerId: string | null;
  error: ErrorJson | null;
}

export interface TaskFilter extends Selection {
  states: readonly TaskState[];
  limit: number;
}

/** Newest first. `isCut`: it did not look at all, and older ones may fit. */
export async function tasks(
  executor: Executor,
  { states, limit, ...selection }: TaskFilter,
): Promise<{ rows: TaskRow[]; isCut: boolean }> {
  const rows = await results<TaskRow>(executor, "select * from pawl.tasks_v1($1, $2, $3, $4)", [
    states,
    filterJson(selection),
    limit,
    ROWS_LOOKED_AT,
  ]);
  return withoutMark(rows);
}

export interface TaskDetail extends TaskRow {
  maxAttempts: number;
  startedAt: Date | null;
  /** Parsed when it is read. Numbers can lose digits; `payloadText` does not. */
  readonly payload: unknown;
  readonly payloadText: string;
  readonly meta: Record<string, unknown> | null;
  readonly metaText: string | null;
  ref: string | null;
  readonly result: unknown;
  readonly resultText: string | null;
  /** Why it is dead; null if it is not. */
  reason: string | null;
  lane: string | null;
  key: string | null;
  /** It is not started after this time. */
  expiresAt: Date | null;
  cancelRequestedAt: Date | null;
  /** What its handler last reported. */
  progress: unknown;
}

/** Finds a task, live, dead or in history. */
export async function findTask(executor: Executor, id: string): Promise<TaskDetail | undefined> {
  const [row] = await results<TaskDetail>(
    executor,
    `select id, case state when 'arrived' then 'waiting' else state end as state, queue, kind, priority, attempt, max_attempts,
            run_at, created_at, started_at, ended_at, worker_id, payload::text as payload_text, meta::text as meta_text, ref,
            result::text as result_text, error, reason, lane, key, expires_at, cancel_requested_at, progress
       from pawl.find_task_v1($1)`, // what has just arrived in a lane waits there for its place
    [id],
  );
  return row;
}

export interface AttemptRow {
  attempt: number;
  outcome: string;
  workerId: string | null;
  startedAt: Date | null;
  endedAt: Date;
  error: ErrorJson | null;
}

/** All attempts but the last one, oldest first. */
export function attemptsOf(executor: Executor, id: string): Promise<AttemptRow[]> {
  return results(
    executor,
    `select attempt, outcome, worker_id, started_at, ended_at, error
       from pawl.attempt where task_id = $1 order by seq`,
    [id],
  );
}

export interface LiveId {
  id: string;
  state: TaskState;
}

/** `last` is the greatest of their ids. */
export async function countLive(
  executor: Executor,
  { states, ...selection }: Selection & { states: readonly TaskState[] },
): Promise<{ count: number; last: string }> {
  const [row] = await executor.rows<{ count: number; last: string }>(
    "select count::int as count, last from pawl.live_count_v1($1, $2)",
    [states, filterJson(selection)],
  );
  return row ?? { count: 0, last: "0" };
}

/** Ordered by id, after `after` and up to `last`. */
export function liveIds(
  executor: Executor,
  { states, after, last, limit, ...selection }: TaskFilter & { after: string; last: string },
): Promise<LiveId[]> {
  return executor.rows("select id, state from pawl.live_ids_v1($1, $2, $3, $4, $5)", [
    states,
    filterJson(selection),
    after,
    last,
    limit,
  ]);
}

export interface TaskChange<Outcome> {
  id: string;
  outcome: Outcome;
}

/**
 * Ends waiting tasks at once (`cancelled`) and asks running ones to end (`requested`): the signal aborts, and the task is
 * cancelled unless it still succeeds. Returns the tasks that were live.
 */
export function cancelTasks(
  executor: Executor,
  ids: readonly string[],
  { by, why, action }: Act,
): Promise<TaskChange<"cancelled" | "requested">[]> {
  return executor.rows("select * from pawl.cancel_v1($1, $2, $3, $4)", [
    ids,
    by,
    why ?? null,
    action ?? null,
  ]);
}

export interface Move extends Act {
  /** The earliest start; or `inMs` from now, by the database's clock. */
  runAt?: Date | undefined;
  inMs?: number | undefined;
  priority?: number | undefined;
}

/** Changes time or priority. Returns the tasks that were live; `running`: it is too late. */
export function moveTasks(
  executor: Executor,
  ids: readonly string[],
  { runAt, inMs, priority, by, why, action }: Move,
): Promise<TaskChange<"changed" | "running">[]> {
  return executor.rows(
    `select * from pawl.change_tasks_v1($1, coalesce($2::timestamptz, pawl.now() + $3::float8 * interval '1 ms'), $4, $5, $6, $7)`,
    [ids, runAt ?? null, inMs ?? null, priority ?? null, by, why ?? null, action ?? null],
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

/** Returns a row for each reason why the task is in its state, the decisive one first; none if there is no such task. */
export function whyRows(executor: Executor, id: string): Promise<WhyRow[]> {
  return executor.rows("select w.*, pawl.now() as now from pawl.why_task_v1($1) w", [id]);
}

export interface KindRow {
  kind: string;
  queue: string;
  version: number;
  application: string | null;
  /** null: only enqueued through SQL; its tasks wait for a worker that knows the kind. */
  definedAt: Date | null;
  /** Number of live workers that know the kind. */
  workers: number;
}

export function kinds(executor: Executor): Promise<KindRow[]> {
  return results(
    executor,
    `select st.kind, q.name as queue, st.version, st.application, st.defined_at,
            (select count(*)::int from pawl.worker w
              where w.ended_at is null and w.lease_until > pawl.now() and st.id = any (w.streams)) as workers
       from pawl.stream st join pawl.queue q on q.id = st.queue_id order by q.id, st.kind, st.version`,
  );
}

export interface WorkerRow {
  id: string;
  host: string;
  pid: number;
  application: string;
  queues: string[];
  /** What its loops serve: `source:<name>` is loaded, `inbox:<name>` is stored. */
  serves: string[];
  concurrency: number;
  running: number;
  idle: boolean;
  refused: string;
  startedAt: Date;
  heartbeatAt: Date;
  leaseUntil: Date;
}

/** Returns the live workers. */
export function workers(executor: Executor): Promise<WorkerRow[]> {
  return results(
    executor,
    `select id, host, pid, application, queues, serves, concurrency, running, idle, refused, started_at, heartbeat_at, lease_until
       from pawl.worker where ended_at is null and lease_until > pawl.now() order by id`,
  );
}

/** In the order of definition. */
export async function queueNames(executor: Executor): Promise<string[]> {
  const rows = await executor.rows<{ name: string }>("select name from pawl.queue order by id");
  return rows.map((row) => row.name);
}

export async function stopWorkers(executor: Executor): Promise<number> {
  const [row] = await executor.rows<{ asked: number }>("select pawl.stop_workers_v1() as asked");
  return row?.asked ?? 0;
}
