/** Every statement of the kernel: one function each, named by its verb. The work is in the functions of `src/kernel/sql`. */

import { PawlError } from "../base/errors.ts";
import { type Executor, LOOP_MS, type PreparedExecutor } from "../store/executor.ts";
import type { BreakerPolicy } from "./breaker/sql.ts";
import { type Fate, failuresJson, type Outcome } from "./outcome.ts";
import type { RetrySeries } from "./retry.ts";

/** The lease is 10 s (`pawl.lease_length()`): after a heartbeat without an answer there is time for another. */
const HEARTBEAT_TIMEOUT_MS = 3_000;

export interface TurnRequest {
  worker: number;
  outcomes: readonly Outcome[];
  gone: readonly number[];
  claim: number;
  limit: number;
  shards: readonly number[];
  solo: boolean;
  /** Gets the shards that went on without a start: their next tasks had to wait for their limit keys. */
  moved?: Set<number>;
  /** Called with what became of its failures. */
  told?: (fates: readonly Fate[]) => void;
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
  is_expired: boolean;
  is_laned: boolean;
}

type MovedRow = { id: null; shard_id: number };

const TURN = "select * from pawl.turn_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

/** Settles, then claims, in one round trip. Arrays are written as text: pg's own serialization is slow for thousands. */
export async function turn(executor: PreparedExecutor, request: TurnRequest): Promise<TurnRow[]> {
  const done = request.outcomes.filter((outcome) => outcome.ok);
  const hasResults = done.some((outcome) => outcome.result !== null);
  const failures = failuresJson(request.outcomes);
  const values = [
    request.worker,
    array(done.map((outcome) => outcome.task.id)),
    array(done.map((outcome) => outcome.task.seq)),
    array(done.map((outcome) => outcome.task.claim)),
    hasResults ? done.map((outcome) => outcome.result) : "{}",
    failures,
    array(request.gone),
    request.claim,
    request.limit,
    array(request.shards),
    request.solo,
  ];
  const answer = await executor.prepared<TurnRow | MovedRow>(TURN, values, LOOP_MS);
  const rows = answer.filter((row): row is TurnRow => {
    if (row.id === null) request.moved?.add(row.shard_id);
    return row.id !== null;
  });
  if (failures === null) return rows;
  const fates = rows.filter((row) => row.shard_id === null && row.payload !== null);
  if (fates.length > 0) request.told?.(fates.map((row) => row.payload as Fate));
  return rows.filter((row) => row.shard_id !== null || row.payload === null);
}

/** Returns those of the tasks whose rows somebody else has locked. */
export async function heldTasks(executor: Executor, ids: readonly string[]): Promise<string[]> {
  const rows = await executor.rows<{ id: string }>(
    "select id from pawl.held_tasks_v1($1) h (id)",
    [ids],
    LOOP_MS,
  );
  return rows.map((row) => String(row.id));
}

export interface LookRow {
  shard_id: number;
  stream_id: number;
  priority: number;
  solo: boolean;
  /** Something is ready; false: only its sweep is due. */
  is_ready: boolean;
  /** Its queue has a limit, or its breaker lets only some through. */
  is_limited: boolean;
  /** Attempts of its stream have failed lately: its breaker wants to know of good ones too. */
  is_watched: boolean;
}

export interface LookAnswer {
  shards: LookRow[];
  /** When a limit that is reached now may let more through. */
  waitMs: number | null;
}

type LookAnswerRow =
  | (LookRow & { wait_ms: null })
  | ({ [Column in keyof LookRow]: null } & { wait_ms: number });

export async function look(
  executor: PreparedExecutor,
  streams: readonly number[],
): Promise<LookAnswer> {
  const rows = await executor.prepared<LookAnswerRow>(
    "select * from pawl.look_v1($1)",
    [array(streams)],
    LOOP_MS,
  );
  const shards = rows.filter((row): row is LookRow & { wait_ms: null } => row.shard_id !== null);
  return { shards, waitMs: rows.find((row) => row.wait_ms !== null)?.wait_ms ?? null };
}

export interface StreamRow {
  id: number;
  queue: string;
  kind: string;
  version: number;
  has_breaker: boolean;
  /** What holds it when it is off. */
  scopes: string[];
}

export function streams(executor: Executor): Promise<StreamRow[]> {
  return executor.rows(
    `select st.id, q.name as queue, st.kind, st.version, q.breaker is not null as has_breaker, pawl.scopes_of(q.name, st.kind) as scopes
       from pawl.stream st join pawl.queue q on q.id = st.queue_id`,
    [],
    LOOP_MS,
  );
}

export interface QueueRow {
  name: string;
  retry: RetrySeries | null;
  timeout_ms: number | null;
  shards: number;
  concurrency?: number | null;
  kind_concurrency?: number | null;
  breaker?: BreakerPolicy | null;
  rate?: { limit: number; per_ms: number; burst: number } | null;
  kind_rate?: { limit: number; per_ms: number; burst: number } | null;
  /** Of the tasks of each limit key. */
  key_concurrency?: number | null;
  key_rate?: { limit: number; per_ms: number; burst: number } | null;
  on_dead?: "block" | "skip";
  /** Expired tasks become dead letters instead of history. */
  expired_is_dead?: boolean;
  /** By outcome, e.g. `done_ms`; null: the defaults. */
  keep?: Record<string, number> | null;
  /** The app does not configure it: it has no owner, and an app that does configure it is not overwritten. */
  is_default?: boolean;
}

export interface Definitions {
  application: string;
  revision: number;
  payload_bytes_max: number;
  queues: QueueRow[];
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
  /** What its loops take up: `source:<name>`, `inbox:<name>`. */
  serves?: readonly string[];
  concurrency: number;
  refused: number;
  streams: readonly number[];
  /** Scopes that a file or a variable on this host holds. */
  off_here: readonly string[];
}

export async function startWorker(executor: Executor, info: WorkerInfo): Promise<number> {
  const [row] = await executor.rows<{ id: number }>(
    "select pawl.start_worker_v1($1) as id",
    [JSON.stringify(info)],
    LOOP_MS,
  );
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
  /** null: not changed since the last heartbeat. */
  streams: readonly number[] | null;
  offHere: readonly string[] | null;
  /** Streams with work that have used their share of the slots. */
  full?: readonly number[] | null;
}

export interface HeartbeatAnswer {
  stop_requested: boolean;
  orphans: number;
  /** Ids of tasks that it runs and that are to be cancelled. */
  cancelled: string[] | null;
  off_epoch: string;
  lease_ms: number;
  /** False: send the counts again. */
  is_tallied: boolean;
}

export async function heartbeat(executor: Executor, beat: Heartbeat): Promise<HeartbeatAnswer> {
  const [row] = await executor.rows<HeartbeatAnswer>(
    "select * from pawl.heartbeat_v1($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    [
      beat.worker,
      array(beat.known),
      beat.next,
      beat.running,
      beat.refused,
      JSON.stringify(beat.tally),
      beat.streams,
      beat.offHere,
      beat.full ?? null,
    ],
    HEARTBEAT_TIMEOUT_MS,
  );
  if (row === undefined)
    throw new PawlError("database_error", "heartbeat: the database returned no row");
  return row;
}

export async function seeOff(executor: Executor, worker: number, epoch: string): Promise<void> {
  await executor.rows("select pawl.see_off_v1($1, $2)", [worker, epoch], LOOP_MS);
}

/** Which of these streams are off. */
export async function offStreams(
  executor: Executor,
  streams: readonly number[],
): Promise<number[]> {
  const rows = await executor.rows<{ stream: number }>(
    "select distinct h.stream_id as stream from pawl.holds_v1($1) h where h.reason = 'off'",
    [streams],
    LOOP_MS,
  );
  return rows.map((row) => row.stream);
}

export async function setIdle(executor: Executor, worker: number, isIdle: boolean): Promise<void> {
  await executor.rows("select pawl.set_idle_v1($1, $2)", [worker, isIdle], LOOP_MS);
}

export interface ProgressRow {
  id: string;
  seq: string;
  /** JSON text. */
  value: string;
}

/** Nothing is written for tasks that are no longer the worker's. */
export async function writeProgress(
  executor: Executor,
  worker: number,
  rows: readonly ProgressRow[],
): Promise<void> {
  const values = [
    worker,
    rows.map((row) => row.id),
    rows.map((row) => row.seq),
    rows.map((row) => row.value),
  ];
  await executor.rows("select pawl.progress_v1($1, $2, $3, $4)", values, LOOP_MS);
}

/** @returns how many tasks were given back */
export async function endWorker(executor: Executor, worker: number): Promise<number> {
  const [row] = await executor.rows<{ back: number }>(
    "select pawl.end_worker_v1($1) as back",
    [worker],
    LOOP_MS,
  );
  return row?.back ?? 0;
}

/** `told` is called with what became of the tasks. */
export async function rescue(
  executor: Executor,
  told?: (fates: readonly Fate[]) => void,
): Promise<{ worker_id: number; tasks: number }[]> {
  const rows = await executor.rows<{ worker_id: number; tasks: number; fates: Fate[] | null }>(
    "select * from pawl.rescue_v1()",
  );
  return rows.map(({ fates, ...row }) => {
    if (fates !== null) told?.(fates);
    return row;
  });
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

export interface Sorted {
  /** Arrivals that got their place; null when somebody else sorts. */
  sorted: number | null;
  /** Where the next pass goes on; null: from the beginning. */
  after_queue: number | null;
  after_lane: string | null;
}

export async function sortLanes(
  executor: Executor,
  limit: number,
  after?: Sorted,
): Promise<Sorted> {
  const [row] = await executor.rows<Sorted>("select * from pawl.sort_lanes_v1($1, $2, $3)", [
    limit,
    after?.after_queue ?? null,
    after?.after_lane ?? null,
  ]);
  return row ?? { sorted: null, after_queue: null, after_lane: null };
}

/** @returns how many shards have come into use */
export async function useShards(executor: Executor): Promise<number> {
  const [row] = await executor.rows<{ used: number }>("select pawl.use_shards_v1() as used");
  return row?.used ?? 0;
}

/** @returns how many tasks expired */
export async function expire(executor: Executor, limit: number): Promise<number> {
  const [row] = await executor.rows<{ expired: number }>("select pawl.expire_v1($1) as expired", [
    limit,
  ]);
  return row?.expired ?? 0;
}

export async function makePartitions(executor: Executor, days: number): Promise<number> {
  const [row] = await executor.rows<{ made: number }>(
    "select pg_catalog.cardinality(pawl.make_missing_partitions_v1('kernel', $1)) as made",
    [days],
  );
  return row?.made ?? 0;
}

export async function addShard(executor: Executor, shard: number): Promise<void> {
  await executor.rows("select pawl.add_shard_v1($1)", [shard]);
}

export interface EnqueueRow {
  id: string;
  outcome: "created" | "duplicate" | "replaced" | "debounced";
}

function array(values: readonly (string | number)[]): string {
  return `{${values.join(",")}}`;
}

/** As stored; JSON's null if the task has ended meanwhile. */
export async function payloadText(executor: Executor, id: string): Promise<string> {
  const [row] = await executor.rows<{ text: string }>(
    "select t.payload::text as text from pawl.task t where t.id = $1",
    [id],
  );
  return row?.text ?? "null";
}
