/** Every statement of the kernel: one function each, named by its verb. The work is in the migrations' functions. */

import type { Executor, PreparedExecutor } from "../store/executor.ts";
import { failuresJson, type Outcome } from "./outcome.ts";
import type { RetrySeries } from "./retry.ts";

export interface TurnRequest {
  worker: number;
  outcomes: readonly Outcome[];
  gone: readonly number[];
  claim: number;
  limit: number;
  shards: readonly number[];
  solo: boolean;
}

export interface TurnRow {
  /** null: an outcome that was refused, not a task. */
  shard_id: number | null;
  id: string;
  seq: string;
  attempt: number;
  payload: unknown;
  meta: Record<string, unknown> | null;
  ref: string | null;
  /** As PostgreSQL writes it: parsed only when a handler asks. */
  created_at: string;
}

const TURN = "select * from pawl.turn_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

/** Settles, then claims, in one round trip. Arrays are written as text: pg's own serialization is slow for thousands. */
export function turn(executor: PreparedExecutor, request: TurnRequest): Promise<TurnRow[]> {
  const done = request.outcomes.filter((outcome) => outcome.ok);
  const hasResults = done.some((outcome) => outcome.result !== null);
  return executor.prepared(TURN, [
    request.worker,
    array(done.map((outcome) => outcome.task.id)),
    array(done.map((outcome) => outcome.task.seq)),
    array(done.map((outcome) => outcome.task.claim)),
    hasResults ? done.map((outcome) => outcome.result) : "{}",
    failuresJson(request.outcomes),
    array(request.gone),
    request.claim,
    request.limit,
    array(request.shards),
    request.solo,
  ]);
}

export interface LookRow {
  shard_id: number;
  stream_id: number;
  priority: number;
  solo: boolean;
  /** Something is ready; false: only its sweep is due. */
  is_ready: boolean;
}

export function look(executor: PreparedExecutor, streams: readonly number[]): Promise<LookRow[]> {
  return executor.prepared("select * from pawl.look_v1($1)", [array(streams)]);
}

export interface StreamRow {
  id: number;
  queue: string;
  kind: string;
  version: number;
}

export function streams(executor: Executor): Promise<StreamRow[]> {
  return executor.rows(
    `select st.id, q.name as queue, st.kind, st.version
       from pawl.stream st join pawl.queue q on q.id = st.queue_id`,
  );
}

export interface Definitions {
  application: string;
  revision: number;
  payload_bytes_max: number;
  queues: { name: string; retry: RetrySeries | null; timeout_ms: number | null; shards: number }[];
  streams: {
    queue: string;
    kind: string;
    version: number;
    retry: RetrySeries | null;
    timeout_ms: number | null;
  }[];
}

export async function register(executor: Executor, definitions: Definitions): Promise<void> {
  await executor.rows("select pawl.register_v1($1)", [JSON.stringify(definitions)]);
}

export interface WorkerInfo {
  host: string;
  pid: number;
  application: string;
  revision: number;
  queues: readonly string[];
  concurrency: number;
  refused: number;
}

export async function startWorker(executor: Executor, info: WorkerInfo): Promise<number> {
  const [row] = await executor.rows<{ id: number }>("select pawl.start_worker_v1($1) as id", [
    JSON.stringify(info),
  ]);
  return row?.id ?? 0;
}

export interface TallyRow {
  stream_id: number;
  done: number;
  retried: number;
  dead: number;
}

export interface Heartbeat {
  worker: number;
  known: readonly number[];
  next: number;
  running: number;
  refused: number;
  tally: readonly TallyRow[];
}

export async function heartbeat(
  executor: Executor,
  beat: Heartbeat,
): Promise<{ stop_requested: boolean; orphans: number }> {
  const [row] = await executor.rows<{ stop_requested: boolean; orphans: number }>(
    "select * from pawl.heartbeat_v1($1, $2, $3, $4, $5, $6)",
    [
      beat.worker,
      array(beat.known),
      beat.next,
      beat.running,
      beat.refused,
      JSON.stringify(beat.tally),
    ],
  );
  return row ?? { stop_requested: false, orphans: 0 };
}

export async function setIdle(executor: Executor, worker: number, isIdle: boolean): Promise<void> {
  await executor.rows("select pawl.set_idle_v1($1, $2)", [worker, isIdle]);
}

/** @returns how many tasks were given back */
export async function endWorker(executor: Executor, worker: number): Promise<number> {
  const [row] = await executor.rows<{ back: number }>("select pawl.end_worker_v1($1) as back", [
    worker,
  ]);
  return row?.back ?? 0;
}

export function rescue(executor: Executor): Promise<{ worker_id: number; tasks: number }[]> {
  return executor.rows("select * from pawl.rescue_v1()");
}

export async function promote(
  executor: Executor,
  limit: number,
): Promise<{ promoted: number; next_ms: number | null }> {
  const [row] = await executor.rows<{ promoted: number; next_ms: number | null }>(
    "select * from pawl.promote_v1($1)",
    [limit],
  );
  return row ?? { promoted: 0, next_ms: null };
}

export async function makePartitions(executor: Executor, days: number): Promise<number> {
  const [row] = await executor.rows<{ made: number }>(
    "select pawl.make_partitions_v1($1) as made",
    [days],
  );
  return row?.made ?? 0;
}

export async function addShard(executor: Executor, shard: number): Promise<void> {
  await executor.rows("select pawl.add_shard_v1($1)", [shard]);
}

export async function stopWorkers(executor: Executor): Promise<number> {
  const [row] = await executor.rows<{ asked: number }>("select pawl.stop_workers_v1() as asked");
  return row?.asked ?? 0;
}

export interface EnqueueRow {
  id: string;
  outcome: "created";
}

/**
 * `task` and `payloads` are JSON texts: what the tasks share, and an array.
 * `xid` null: no check. Otherwise answers no row, having written nothing, unless in that transaction.
 */
export function enqueueMany(
  executor: Executor,
  { task, payloads }: { task: string; payloads: string },
  xid: string | null,
): Promise<EnqueueRow[]> {
  return executor.rows(
    `select * from pawl.enqueue_many_v1($1,
       case when $3::text is null or pg_current_xact_id_if_assigned()::text = $3 then $2::jsonb else '[]' end)`,
    [task, payloads, xid],
  );
}

function array(values: readonly (string | number)[]): string {
  return `{${values.join(",")}}`;
}
