/** The other side of the model: the kernel's own functions on a real database whose clock stands still until it is moved. */

import type { Failure, Outcome } from "../../../src/kernel/outcome.ts";
import {
  endWorker,
  expire,
  heartbeat,
  look,
  promote,
  register,
  rescue,
  type Sorted,
  sortLanes,
  startWorker,
  streams,
  type TurnRow,
  turn,
  useShards,
} from "../../../src/kernel/sql.ts";
import { settling } from "../../../src/kernel/task-transaction/sql.ts";
import { translateDatabaseError } from "../../../src/store/sqlstate.ts";
import type { OpenTransaction, Store } from "../../../src/store/store.ts";
import { claimed, endLease } from "../kernel.ts";
import { definitions, type Kind, PRIORITIES, type ShardName, shardKey } from "./catalogue.ts";
import { laneOf, type Spec } from "./enqueueing.ts";
import type { Answer, Move } from "./people.ts";
import type { Ending } from "./settling.ts";
import type { Handle } from "./world.ts";

/** The model counts its milliseconds from here. */
export const START = "2031-03-03T03:03:03Z";

export interface Shard extends ShardName {
  readonly id: number;
  readonly key: string;
}

export interface Step {
  readonly worker: number;
  readonly claim: number;
  readonly outcomes: readonly { handle: Handle; ending: Ending }[];
  readonly gone: readonly number[];
  readonly limit: number;
  readonly shards: readonly Shard[];
  readonly solo: boolean;
}

export class Kernel {
  readonly store: Store;
  readonly shards: readonly Shard[];
  readonly #streams: number[];
  #open: OpenTransaction | undefined;
  #sorted: Sorted | undefined;

  static async on(store: Store): Promise<Kernel> {
    await register(store, definitions());
    await store.rows("create table pawl.stopped_clock as select $1::timestamptz as at", [START]);
    await store.rows(
      `create or replace function pawl.now() returns timestamptz language sql stable
       as $$ select at from pawl.stopped_clock $$`,
    );
    await store.rows(
      `create or replace function pawl.clock_now() returns timestamptz language sql volatile
       as $$ select pawl.now() $$`,
    );
    await store.rows(
      "select pawl.shards_of(st.id, p, true) from pawl.stream st, unnest($1::int[]) p",
      [PRIORITIES],
    );
    const shards = await store.rows<ShardName & { id: number }>(
      `select s.id, st.kind, s.priority, s.solo, s.place from pawl.shard s join pawl.stream st on st.id = s.stream_id
        where s.priority = any ($1) order by s.priority, s.id`,
      [PRIORITIES],
    );
    const all = (await streams(store)).map((one) => one.id);
    return new Kernel(
      store,
      shards.map((one) => ({ ...one, key: shardKey(one) })),
      all,
    );
  }

  private constructor(store: Store, shards: readonly Shard[], ids: number[]) {
    this.store = store;
    this.shards = shards;
    this.#streams = ids;
  }

  async reset(): Promise<void> {
    await this.closeOpen(false);
    // a few rows are deleted in less time than a table is truncated in
    const tables = ["task", "claim", "worker", "finished", "attempt", "dead", "switch", "audit"];
    for (const table of tables) await this.store.rows(`delete from pawl.${table}`);
    await this.store.rows(
      `update pawl.shard set cursor = 0, swept = 0, mark = 0, mark_xid = '0', swept_at = '-infinity', swept_in_vain = 0,
              is_used = solo or priority = 1`,
    );
    await this.store.rows("update pawl.queue_limit set tat = '-infinity'");
    await this.store.rows("update pawl.stopped_clock set at = $1", [START]);
  }

  async advance(ms: number): Promise<void> {
    await this.store.rows("update pawl.stopped_clock set at = at + $1 * interval '1 ms'", [ms]);
  }

  enqueue(specs: readonly Spec[]): Promise<Answer[]> {
    return this.store.rows("select * from pawl.enqueue($1)", [tasksJson(specs)]);
  }

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** In a transaction that stays open. */
  async enqueueOpen(specs: readonly Spec[]): Promise<Answer[]> {
    this.#open ??= await this.store.begin();
    const { rows } = await this.#open.tx.query<Answer>("select * from pawl.enqueue($1)", [
      tasksJson(specs),
    ]);
    return rows;
  }

  async closeOpen(isCommitted: boolean): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await (isCommitted ? open?.commit() : open?.rollback());
  }

  newWorker(): Promise<number> {
    const info = { host: "model", pid: 1, application: "model", revision: 0, queues: [] };
    return startWorker(this.store, {
      ...info,
      concurrency: 10,
      refused: 0,
      streams: [],
      off_here: [],
    });
  }

  turn(step: Step): Promise<TurnRow[]> {
    const outcomes = step.outcomes.map(({ handle, ending }) => outcomeOf(handle, ending));
    return turn(this.store, { ...step, outcomes, shards: step.shards.map((one) => one.id) });
  }

  /** As a handler's own transaction does; it rolls back when the task was no longer the worker's. */
  async settleInTransaction({ worker, claim, row }: Handle): Promise<boolean> {
    const open = await this.store.begin();
    const executor = {
      rows: async <Row>(text: string, values: readonly unknown[] = []) =>
        (await open.tx.query<Row>(text, [...values])).rows,
    };
    try {
      const answer = await settling(worker, claimed(row, claim), null).record(executor);
      if (answer?.is_settled === true) await open.commit();
      return answer?.is_settled === true;
    } catch (error) {
      throw translateDatabaseError(error);
    } finally {
      await open.rollback(); // nothing, after a commit
    }
  }

  heartbeat(worker: number, known: readonly number[], next: number) {
    return heartbeat(this.store, {
      worker,
      known,
      next,
      running: 0,
      refused: 0,
      tally: [],
      streams: null,
      offHere: null,
    });
  }

  /** A refusal is told before its transaction has let go of the worker's lock; till then a rescue passes it by. */
  async letGoOf(worker: number): Promise<void> {
    await this.store.rows("select pg_advisory_xact_lock(pawl.worker_locks(), $1)", [worker]);
  }

  endWorker = (worker: number) => endWorker(this.store, worker);
  endLease = (worker: number) => endLease(this.store, worker);
  rescue = () => rescue(this.store);
  useShards = () => useShards(this.store);
  promote = (limit: number) => promote(this.store, limit);
  expire = (limit: number) => expire(this.store, limit);
  look = () => look(this.store, this.#streams);

  /** One pass; goes on where the last one ended. `to` as the model writes a lane. */
  async sort(
    limit: number,
    goesOn: boolean,
  ): Promise<{ sorted: number | null; to: string | null }> {
    this.#sorted = await sortLanes(this.store, limit, goesOn ? this.#sorted : undefined);
    const { sorted, after_queue, after_lane: lane } = this.#sorted;
    const [queue] = await this.store.rows<{ kind: Kind }>(
      "select name as kind from pawl.queue where id = $1",
      [after_queue],
    );
    return { sorted, to: queue === undefined ? null : laneOf({ kind: queue.kind, lane }) };
  }

  cancel(ids: readonly string[]): Promise<Answer[]> {
    return this.store.rows("select * from pawl.cancel_v1($1, 'model', null)", [ids]);
  }

  change(ids: readonly string[], { runAt, priority }: Move): Promise<Answer[]> {
    return this.store.rows(
      "select * from pawl.change_tasks_v1($1, $2::timestamptz + $3 * interval '1 ms', $4, 'model', null)",
      [ids, START, runAt, priority],
    );
  }

  retryDead(ids: readonly string[]): Promise<Answer[]> {
    return this.store.rows("select * from pawl.retry_dead_v1($1, 'model', null)", [ids]);
  }

  removeDead(ids: readonly string[]): Promise<Answer[]> {
    return this.store.rows("select * from pawl.remove_dead_v1($1, 'model', null)", [ids]);
  }

  async off(scope: string, untilMs: number | null): Promise<void> {
    await this.store.rows(
      "select pawl.off_v1($1, 'model', null, $2::timestamptz + $3 * interval '1 ms')",
      [scope, START, untilMs],
    );
  }

  async on(scope: string): Promise<boolean> {
    const [row] = await this.store.rows<{ was: boolean }>(
      "select pawl.on_v1($1, 'model', null) as was",
      [scope],
    );
    return row?.was === true;
  }
}

function tasksJson(specs: readonly Spec[]): string {
  return JSON.stringify(
    specs.map(({ delayMs, ttlMs, maxAttempts, ...spec }) => ({
      ...spec,
      delay_ms: delayMs,
      ttl_ms: ttlMs,
      max_attempts: maxAttempts,
    })),
  );
}

function outcomeOf(handle: Handle, { kind, delayMs, delayMsMin }: Ending): Outcome {
  const task = claimed(handle.row, handle.claim);
  if (kind === "done") return { ok: true, task, result: null };
  if (kind === "lost") throw new Error("only a rescue says that a task is lost");
  const failure: Failure = { ok: false, task, kind, error: { name: "Error", message: kind } };
  return {
    ...failure,
    ...(delayMs !== undefined && { delayMs }),
    ...(delayMsMin !== undefined && { delayMsMin }),
  };
}
