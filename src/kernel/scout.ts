/**
 * Looks where work is: a read-only query that names the shards with something to claim. It runs again while busy, so
 * that a better queue's tasks are seen, and ever more seldom while idle, until a notification or a wake-up.
 */

import { backoffMs } from "../base/backoff.ts";
import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import type { Store } from "../store/store.ts";
import { type Candidate, Candidates } from "./candidates.ts";
import { addShard, look } from "./sql.ts";

const BUSY_LOOK_MS = 50;
/** The first polls after going idle are close: a transaction that saw no idle worker may commit a moment later. */
const IDLE_LOOK_MS = { baseMs: 20, maxMs: 1_000 };
/** Turns in a row that found every wanted shard locked, before the stream gets a shard more. */
const MISSES_PER_SHARD_ADDED = 50;

export interface ScoutOptions {
  store: Store;
  /** The ids of the streams that can be run now. */
  streams: () => number[];
  queueRank: (stream: number) => number;
  log: Logger;
  found: () => void;
  foundNothing: () => void;
}

export class Scout {
  readonly #options: ScoutOptions;
  readonly #candidates = new Candidates();
  readonly #shards = new Map<number, { stream: number; solo: boolean }>();
  readonly #loop: Loop;
  #emptyLooks = 0;
  #misses = 0;
  #isLooking = false;

  constructor(options: ScoutOptions) {
    this.#options = options;
    this.#loop = loop({
      runOnce: () => this.#lookOnce(),
      failed: (error) =>
        options.log.warn({ err: (error as Error).message }, "looking for work failed"),
    });
  }

  start(): void {
    this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** There may be work: look now. */
  wake(): void {
    this.#emptyLooks = Math.min(this.#emptyLooks, 1); // polls are close again; whether there is work is not known yet
    this.#loop.wake();
  }

  /** What was found is used up: look now, without taking this as a sign of work. */
  lookAgain(): void {
    if (this.#emptyLooks === 0 && !this.#isLooking) this.#loop.wake();
  }

  /** The last look found nothing. */
  get isInVain(): boolean {
    return this.#emptyLooks > 0;
  }

  hasWork(mayTakeSolo: boolean): boolean {
    return !this.#candidates.isEmpty(mayTakeSolo);
  }

  shards(count: number, mayTakeSolo: boolean): Candidate[] {
    return this.#candidates.first(count, mayTakeSolo);
  }

  describe(shard: number): { stream: number; solo: boolean } | undefined {
    return this.#shards.get(shard);
  }

  claimed(shard: number, isFull: boolean): void {
    this.#misses = 0;
    this.#candidates.hit(shard, isFull);
  }

  /** Nothing was claimed from these: empty by now, or locked by another turn. */
  missed(candidates: readonly Candidate[]): void {
    this.#candidates.missed(candidates.map((one) => one.shard));
    const locked = candidates.find((one) => one.isReady && !one.solo);
    if (locked === undefined) return; // only sweeps were due
    this.#misses += 1;
    if (this.#misses % MISSES_PER_SHARD_ADDED === 0) {
      addShard(this.#options.store, locked.shard).catch(() => undefined);
    }
  }

  async #lookOnce(): Promise<number> {
    const { store, streams, queueRank, found, foundNothing } = this.#options;
    this.#isLooking = true;
    const rows = await look(store, streams()).finally(() => {
      this.#isLooking = false;
    });
    for (const row of rows)
      this.#shards.set(row.shard_id, { stream: row.stream_id, solo: row.solo });
    this.#candidates.replace(rows, queueRank);
    if (rows.length > 0) {
      this.#emptyLooks = 0;
      found();
      return BUSY_LOOK_MS;
    }
    this.#emptyLooks += 1;
    foundNothing();
    return backoffMs(this.#emptyLooks, IDLE_LOOK_MS);
  }
}
