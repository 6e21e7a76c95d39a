/** The shards that a look found work in, in the order in which a worker wants them: queue, priority, then in turn. */

import type { LookRow } from "./sql.ts";

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

export class Candidates {
  #list: Candidate[] = [];

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

  first(count: number, mayTakeSolo: boolean): Candidate[] {
    return this.#list.filter((one) => mayTakeSolo || !one.solo).slice(0, count);
  }

  /** A claim came from this shard. A full one may hold more: it goes behind the others of its rank. */
  hit(shard: number, isFull: boolean): void {
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
    this.#list = this.#list.filter((one) => !shards.includes(one.shard));
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
    rank: queueRank(row.stream_id) * 4 + row.priority,
  };
}
