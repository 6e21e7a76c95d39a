/**
 * Finds work: a read-only query names the shards with something to claim. It runs again while the worker is busy, so that tasks
 * of a preferred queue are seen; while idle, at growing intervals until a notification or a wake-up.
 */

import { backoffMs } from "../base/backoff.ts";
import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import { messageOf } from "../base/thrown.ts";
import type { Store } from "../store/store.ts";
import { type Candidate, Candidates, type NextShards, type Room } from "./candidates.ts";
import type { FairShares } from "./fair-shares.ts";
import { addShard, look, type TurnRequest } from "./sql.ts";
import type { ClaimedTask } from "./task.ts";
import { watchedMs } from "./watch/watch.ts";

const BUSY_LOOK_MS = 50;
/** Other workers took what was found: looking at once would find the same shards again. */
const FRUITLESS_LOOK_MS = { baseMs: 5, maxMs: 40 };
/** The first polls after going idle are close: a transaction that saw no idle worker may commit a moment later. */
const IDLE_LOOK_MS = { baseMs: 20, maxMs: 1_000 };
/** Turns in a row that found every wanted shard locked, before the stream gets a shard more. */
const MISSES_PER_SHARD_ADDED = 50;

export interface ScoutOptions {
  store: Store;
  /** The ids of the streams that may be run now, as far as this process knows. */
  streams: () => number[];
  queueRank: (stream: number) => number;
  fair?: FairShares | undefined;
  log: Logger;
  found: () => void;
  foundNothing: () => void;
}

export class Scout {
  readonly #options: ScoutOptions;
  readonly #candidates: Candidates;
  readonly #shards = new Map<number, Candidate>();
  readonly #loop: Loop;
  #emptyLooks = 0;
  #misses = 0;
  #isLooking = false;
  /** Turns in a row that claimed nothing. */
  #fruitless = 0;
  #again: NodeJS.Timeout | undefined;

  constructor(options: ScoutOptions) {
    this.#options = options;
    this.#candidates = new Candidates(options.fair);
    this.#loop = loop({
      runOnce: () => this.#lookOnce(),
      failed: (error) => options.log.warn({ err: messageOf(error) }, "looking for work failed"),
    });
  }

  start(): void {
    this.#loop.start();
  }

  stop(): Promise<void> {
    clearTimeout(this.#again);
    return this.#loop.stop();
  }

  /** There may be work: look now. */
  wake(): void {
    this.#emptyLooks = Math.min(this.#emptyLooks, 1); // polls are close again; whether there is work is not known yet
    this.#loop.wake();
  }

  /** What was found is used up: look now, without taking this as a sign of work. */
  lookAgain(): void {
    if (this.#emptyLooks > 0 || this.#isLooking) return;
    if (this.#fruitless === 0) this.#loop.wake();
    else {
      const pauseMs = backoffMs(this.#fruitless, FRUITLESS_LOOK_MS);
      this.#again ??= setTimeout(() => this.#loop.wake(), pauseMs);
    }
  }

  /** The last look found nothing. */
  get isInVain(): boolean {
    return this.#emptyLooks > 0;
  }

  hasWork(mayTakeSolo: boolean): boolean {
    return !this.#candidates.isEmpty(mayTakeSolo);
  }

  hasRoom(mayTakeSolo: boolean, room: Room): boolean {
    return this.#candidates.hasRoom(mayTakeSolo, room);
  }

  next(count: number, limit: number, mayTakeSolo: boolean, room: Room): NextShards {
    return this.#candidates.next(count, limit, mayTakeSolo, room);
  }

  /** The streams for which there is work. */
  get waiting(): ReadonlySet<number> {
    return this.#candidates.streams();
  }

  describe(shard: number): Candidate | undefined {
    return this.#shards.get(shard);
  }

  /** A task ended. Where its queue has a limit, or it has a lane, the turn that records it may start another. */
  freed({ shardId, isLaned }: ClaimedTask): void {
    const known = this.#shards.get(shardId);
    if (known !== undefined && (known.isLimited || isLaned)) this.#candidates.add(known);
  }

  /** What a turn found in these shards: a full claim ends in the last of them that may hold more, and so may one that went on. */
  tried(
    candidates: readonly Candidate[],
    claimed: readonly { shard_id: number }[],
    { limit, moved = new Set() }: Pick<TurnRequest, "limit" | "moved">,
  ): void {
    const last = claimed.at(-1)?.shard_id;
    this.#candidates.claimed(candidates, claimed);
    const from = new Set(claimed.map((row) => row.shard_id));
    this.#fruitless = from.size + moved.size > 0 ? 0 : this.#fruitless + 1;
    const isFull = claimed.length === limit;
    for (const shard of from) this.#candidates.hit(shard, isFull && shard === last);
    for (const shard of moved) this.#candidates.hit(shard, true);
    const tried = isFull
      ? candidates.slice(
          0,
          candidates.findIndex((one) => one.shard === last),
        )
      : candidates;
    const isMiss = (shard: number) => !from.has(shard) && !moved.has(shard);
    this.#candidates.missed(tried.map((one) => one.shard).filter(isMiss));
    if (isFull) return;
    if (from.size + moved.size === 0) this.#missed(candidates);
    else this.#misses = 0;
  }

  /** Nothing was claimed at all: empty by now, or locked by another turn. */
  #missed(candidates: readonly Candidate[]): void {
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
    clearTimeout(this.#again);
    this.#again = undefined;
    const { shards, waitMs } = await look(store, streams()).finally(() => {
      this.#isLooking = false;
    });
    this.#candidates.replace(shards, queueRank);
    for (const one of this.#candidates.all) this.#shards.set(one.shard, one);
    const limitMs = waitMs ?? Number.POSITIVE_INFINITY;
    if (shards.length > 0) {
      this.#emptyLooks = 0;
      found();
      return Math.min(BUSY_LOOK_MS, limitMs);
    }
    this.#emptyLooks += 1;
    foundNothing();
    return Math.min(watchedMs(backoffMs(this.#emptyLooks, IDLE_LOOK_MS)), limitMs);
  }
}
