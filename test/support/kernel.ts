/** Kernel tests below the worker: a catalogue of one queue, turns sent by hand, and a look at the shards. */

import type pg from "pg";
import { failure, type Outcome } from "../../src/kernel/outcome.ts";
import type { RetrySeries } from "../../src/kernel/retry.ts";
import { look, register, startWorker, streams, type TurnRow, turn } from "../../src/kernel/sql.ts";
import type { ClaimedTask } from "../../src/kernel/task.ts";
import type { Executor, PreparedExecutor } from "../../src/store/executor.ts";

export const QUICK_RETRY: RetrySeries = {
  attempts: 4,
  delays_ms: [0],
  jitter: 0,
  until_ms: null,
};

export interface Catalogue {
  queue?: string;
  kinds?: readonly string[];
  retry?: RetrySeries | null;
  shards?: number;
}

/** Defines a queue with its kinds, as an app's registration does. */
export async function defineKinds(executor: Executor, catalogue: Catalogue = {}): Promise<void> {
  const { queue = "q", kinds = ["k"], retry = QUICK_RETRY, shards = 1 } = catalogue;
  await register(executor, {
    application: "test",
    revision: 0,
    payload_bytes_max: 1_048_576,
    queues: [{ name: queue, retry, timeout_ms: null, shards }],
    streams: kinds.map((kind) => ({ queue, kind, version: 1, retry: null, timeout_ms: null })),
  });
}

/** A pg client as the kernel's statements want it. */
export function executorOn(client: pg.ClientBase): PreparedExecutor {
  const rows = async <Row>(text: string, values: readonly unknown[] = []) =>
    (await client.query(text, [...values])).rows as Row[];
  return { rows, prepared: rows };
}

export async function enqueueSql(
  executor: Executor,
  tasks: unknown,
): Promise<{ id: string; outcome: string }[]> {
  return executor.rows("select * from pawl.enqueue($1)", [JSON.stringify(tasks)]);
}

/** Enqueues `count` tasks of kind `k` in one call; the payloads are `{ n }`, from 0. */
export async function enqueueCount(
  executor: Executor,
  count: number,
  more = {},
): Promise<string[]> {
  const tasks = Array.from({ length: count }, (_, n) => ({ kind: "k", payload: { n }, ...more }));
  return (await enqueueSql(executor, tasks)).map((row) => row.id);
}

export const idsOf = (rows: readonly TurnRow[]): string[] => rows.map((row) => row.id);

/**
 * Its lease ends only when a test ends it: nobody renews it, and a busy machine may be slower than a lease is long.
 * Nothing that it claims is ever on its way.
 */
export async function newWorker(executor: Executor): Promise<number> {
  const worker = await leasedWorker(executor);
  await executor.rows(
    "update pawl.worker set lease_until = 'infinity', off_seen = 9000000000000000000 where id = $1",
    [worker],
  );
  return worker;
}

/** With a lease as long as any. */
export function leasedWorker(executor: Executor): Promise<number> {
  return startWorker(executor, {
    host: "test",
    pid: 1,
    application: "test",
    revision: 0,
    queues: ["q"],
    concurrency: 10,
    refused: 0,
    streams: [],
    off_here: [],
  });
}

export async function allStreams(executor: Executor): Promise<number[]> {
  return (await streams(executor)).map((one) => one.id);
}

/** The shards that a worker would be shown now. */
export async function wantedShards(executor: PreparedExecutor): Promise<number[]> {
  return (await look(executor, await allStreams(executor))).shards.map((row) => row.shard_id);
}

export interface TurnOptions {
  worker: number;
  claim?: number;
  limit?: number;
  outcomes?: readonly Outcome[];
  gone?: readonly number[];
  shards?: readonly number[];
  solo?: boolean;
  moved?: Set<number>;
}

/** One turn; claims from every shard there is unless told which. */
export async function sendTurn(
  executor: PreparedExecutor,
  options: TurnOptions,
): Promise<TurnRow[]> {
  const { worker, claim = 0, limit = 0, outcomes = [], gone = [], solo = true } = options;
  const shards = options.shards ?? (limit > 0 ? await everyShard(executor) : []);
  const moved = options.moved ?? new Set();
  return turn(executor, { worker, claim, limit, outcomes, gone, shards, solo, moved });
}

async function everyShard(executor: Executor): Promise<number[]> {
  const rows = await executor.rows<{ id: number }>(
    "select id from pawl.shard order by priority, id",
  );
  return rows.map((row) => row.id);
}

export function claimed(row: TurnRow, claim: number): ClaimedTask {
  const { id, seq, payload, meta, ref } = row;
  return {
    id,
    seq,
    payload,
    meta,
    ref,
    claim,
    streamId: 1,
    solo: false,
    attempt: row.attempt + 1,
    createdAt: row.created_at,
    shardId: row.shard_id ?? 0,
    isExpired: row.is_expired,
    isLaned: row.is_laned,
  };
}

export function done(row: TurnRow, claim: number, result: string | null = null): Outcome {
  return { ok: true, task: claimed(row, claim), result };
}

export function failed(row: TurnRow, claim: number, thrown: unknown = new Error("no")): Outcome {
  return failure(claimed(row, claim), thrown);
}

/** Leases that only the test ends: a busy machine may look later than one is long, or the test moves the clock. */
export const LONG_LEASE = `create or replace function pawl.lease_length() returns interval
  language sql immutable as $$ select interval '1 day' $$`;

/** Lets functions of ours wait for a lock as long as somebody holds it: on a busy machine a test may let go of it late. */
export async function waitForLocks(executor: Executor, ...functions: string[]): Promise<void> {
  for (const name of functions)
    await executor.rows(`alter function pawl.${name} set lock_timeout = 0`);
}

/** No worker of this database prunes: each would, at a moment of its first five minutes, and what a test counts would be gone. */
export async function keepFromPruning(executor: Executor): Promise<void> {
  await executor.rows("select from pawl.take_lease_v1('pawl:prune', 'test', '100 years')");
}

/** Ends a worker's lease as if its time had passed. */
export async function endLease(executor: Executor, worker: number): Promise<void> {
  await executor.rows(
    "update pawl.worker set lease_until = pawl.now() - interval '1 minute' where id = $1",
    [worker],
  );
}

export async function count(executor: Executor, table: string): Promise<number> {
  const [row] = await executor.rows<{ n: number }>(`select count(*)::int as n from pawl.${table}`);
  return row?.n ?? -1;
}

/** Tasks of a scope that run now. */
export async function runningOf(executor: Executor, scope: string): Promise<number | undefined> {
  const [row] = await executor.rows<{ running: number }>(
    "select pawl.running_of_switch(s.scope, s.name) as running from pawl.scope_of($1) s",
    [scope],
  );
  return row?.running;
}
