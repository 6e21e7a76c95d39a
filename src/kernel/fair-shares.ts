/**
 * Shares of the starts by weight, for a worker that is told to be fair between its queues (start-time fair queueing). Each start
 * moves its queue forward by 1 / weight; the queue that is furthest behind comes next. A queue that had no work for a while gets
 * no credit for it.
 */

export class FairShares {
  readonly #weights: ReadonlyMap<number, number>;
  readonly #reached = new Map<number, number>();
  #now = 0;

  /** @param weights by the place of the queue in the worker's order; 1 where there is none */
  constructor(weights: ReadonlyMap<number, number>) {
    this.#weights = weights;
  }

  /** How far the queue has come: the smallest comes next. */
  reached(place: number): number {
    return Math.max(this.#reached.get(place) ?? 0, this.#now);
  }

  started(place: number, tasks: number): void {
    if (tasks === 0) return; // it was not its turn
    const from = this.reached(place);
    this.#reached.set(place, from + tasks / (this.#weights.get(place) ?? 1));
    this.#now = Math.max(this.#now, from);
  }
}
