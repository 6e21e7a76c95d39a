/** The shards in which a look found work, in the order in which a worker wants them: queue, priority, then in turn. */

import type { FairShares } from "./fair-shares.ts";
import type { LookRow } from "./sql.ts";

/**
 * If this many turns in a row found nothing in a shard, although looks do, somebody holds it or its queue's limits. Other shards
 * then come before it for a while, and at least once, however long a look takes.
 */
const MISSES_MAX = 3;
const REST_MS = 1_000;
const PRIORITIES = 4;

export interface Candidate {
  readonly shard: number;
  readonly stream: number;
  readonly solo: boolean;
  /** Something was ready; false: only its sweep was due. */
  readonly isReady: boolean;
  /** Its queue has a limit: how much may start changes with what ends. */
  readonly isLimited: boolean;
  /** Its breaker wants to know how each attempt ends. */
  readonly isWatched: boolean;
  /** Lower first. */
  readonly rank: number;
}

/** How many more slots a stream may take. */
export type Room = (stream: number) => number;

export interface NextShards {
  readonly shards: readonly Candidate[];
  readonly limit: number;
}

export class Candidates {
  #list: Candidate[] = [];
  readonly #misses = new Map<number, { times: number; at: number; isPassedOver: boolean }>();
  readonly #fair: FairShares | undefined;

  /** @param fair how queues share the starts; without it the first queue comes first */
  constructor(fair?: FairShares) {
    this.#fair = fair;
  }

  /** @param queueRank the place of a stream's queue in the order given to the worker */
  replace(rows: readonly LookRow[], queueRank: (stream: number) => number): void {
    const start = Math.random();
    // workers start at different shards of the same rank, so that they rarely want the same one
    const turns = rows.map((_, i) => (i / rows.length + start) % 1);
    this.#list = rows
      .map((row, i) => ({ turn: turns[i] ?? 0, candidate: candidateOf(row, queueRank) }))
      .sort((a, b) => a.candidate.rank - b.candidate.rank || a.turn - b.turn)
      .map(({ candidate }) => candidate);
  }

  isEmpty(mayTakeSolo: boolean): boolean {
    return !this.#list.some((one) => mayTakeSolo || !one.solo);
  }

  get all(): readonly Candidate[] {
    return this.#list;
  }

  /** The streams for which there is work. */
  streams(): Set<number> {
    return new Set(this.#list.map((one) => one.stream));
  }

  hasRoom(mayTakeSolo: boolean, room: Room): boolean {
    return this.#list.some((one) => (mayTakeSolo || !one.solo) && room(one.stream) > 0);
  }

  /** Where to claim next: up to `limit` and to what the first stream may take, from the shards whose streams may take as many. */
  next(count: number, limit: number, mayTakeSolo: boolean, room: Room): NextShards {
    const open = mayTakeSolo ? this.#list : this.#list.filter((one) => !one.solo);
    const hasRoom = (one: Candidate) => room(one.stream) > 0;
    const free = open.filter((one) => !this.#rests(one));
    const among = free.some(hasRoom) ? free : open;
    if (among !== open) this.#passOver(open);
    const from = this.#inTurn(among);
    const first = from.find(hasRoom);
    if (first === undefined) return { shards: [], limit: 0 };
    const most = Math.min(room(first.stream), limit);
    const shards: Candidate[] = [];
    for (const one of from) {
      if (room(one.stream) >= most) shards.push(one);
      if (shards.length === count) break;
    }
    return { shards, limit: most };
  }

  /** @param tasks what a claim got from these shards */
  claimed(from: readonly Candidate[], tasks: readonly { shard_id: number }[]): void {
    const fair = this.#fair;
    if (fair === undefined) return;
    for (const one of from) {
      const got = tasks.filter((task) => task.shard_id === one.shard).length;
      fair.started(placeOf(one), got);
    }
  }

  #inTurn(open: readonly Candidate[]): readonly Candidate[] {
    const fair = this.#fair;
    if (fair === undefined) return open;
    const reached = (one: Candidate) => fair.reached(placeOf(one));
    return open.toSorted((a, b) => reached(a) - reached(b)); // stable: within a queue the order stays
  }

  /** A claim came from this shard. If the claim was full, the shard may hold more: it goes behind the others of its rank. */
  hit(shard: number, isFull: boolean): void {
    this.#misses.delete(shard);
    const at = this.#list.findIndex((one) => one.shard === shard);
    const [one] = at < 0 ? [] : this.#list.splice(at, 1);
    if (one !== undefined && isFull) this.add(one);
  }

  /** There may be something in it again. */
  add(candidate: Candidate): void {
    if (this.#list.some((one) => one.shard === candidate.shard)) return;
    const behind = this.#list.findIndex((other) => other.rank > candidate.rank);
    this.#list.splice(behind < 0 ? this.#list.length : behind, 0, candidate);
  }

  /** Nothing was found in these: empty by now, or locked by another worker. */
  missed(shards: readonly number[]): void {
    for (const shard of shards) {
      const times = (this.#misses.get(shard)?.times ?? 0) + 1;
      this.#misses.set(shard, { times, at: performance.now(), isPassedOver: false });
    }
    this.#list = this.#list.filter((one) => !shards.includes(one.shard));
  }

  #rests({ shard }: Candidate): boolean {
    const missed = this.#misses.get(shard);
    if (missed === undefined || missed.times < MISSES_MAX) return false;
    return !missed.isPassedOver || performance.now() - missed.at < REST_MS;
  }

  #passOver(open: readonly Candidate[]): void {
    for (const { shard } of open.filter((one) => this.#rests(one))) {
      const missed = this.#misses.get(shard);
      if (missed !== undefined) missed.isPassedOver = true;
    }
  }
}

function candidateOf(row: LookRow, queueRank: (stream: number) => number): Candidate {
  return {
    shard: row.shard_id,
    stream: row.stream_id,
    solo: row.solo,
    isReady: row.is_ready,
    isLimited: row.is_limited,
    isWatched: row.is_watched,
    rank: queueRank(row.stream_id) * PRIORITIES + row.priority,
  };
}

/** The place of its queue in the worker's order. */
function placeOf({ rank }: Candidate): number {
  return Math.floor(rank / PRIORITIES);
}
