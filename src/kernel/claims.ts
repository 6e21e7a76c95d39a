/**
 * The claims of one worker. The worker numbers them itself, so it knows at any time which it runs or has asked for;
 * all others of its number range are orphans. A claim may go only when all of its outcomes are recorded.
 */

import type { Outcome } from "./outcome.ts";

interface OpenClaim {
  readonly size: number;
  recorded: number;
}

export class Claims {
  #last = 0;
  readonly #asked = new Set<number>();
  readonly #open = new Map<number, OpenClaim>();

  /** The number of the last one that was asked for. */
  get last(): number {
    return this.#last;
  }

  ask(): number {
    this.#last += 1;
    this.#asked.add(this.#last);
    return this.#last;
  }

  /** The answer came: `size` tasks, or none. */
  answered(no: number, size: number): void {
    this.#asked.delete(no);
    if (size > 0) this.#open.set(no, { size, recorded: 0 });
  }

  /** The answer was lost, or came too late to start what is in it: if the claim was made, the next heartbeat gives it back. */
  unknown(no: number): void {
    this.#asked.delete(no);
    this.#open.delete(no);
  }

  /** The claims that are complete once these outcomes are recorded. */
  endedBy(outcomes: readonly Outcome[]): number[] {
    const counts = countByClaim(outcomes);
    return [...counts].flatMap(([no, count]) => {
      const claim = this.#open.get(no);
      return claim !== undefined && claim.recorded + count === claim.size ? [no] : [];
    });
  }

  /** Returns the claims that turned out to be over now, apart from those already sent as gone. */
  recorded(outcomes: readonly Outcome[], sentAsGone: readonly number[]): number[] {
    const over: number[] = [];
    for (const [no, count] of countByClaim(outcomes)) {
      const claim = this.#open.get(no);
      if (claim === undefined) continue;
      claim.recorded += count;
      if (claim.recorded < claim.size) continue;
      this.#open.delete(no);
      if (!sentAsGone.includes(no)) over.push(no);
    }
    return over;
  }

  known(): { known: number[]; next: number } {
    return { known: [...this.#asked, ...this.#open.keys()], next: this.#last + 1 };
  }
}

function countByClaim(outcomes: readonly Outcome[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { task } of outcomes) counts.set(task.claim, (counts.get(task.claim) ?? 0) + 1);
  return counts;
}
