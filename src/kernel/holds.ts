/**
 * Which of a worker's tasks may start no further step: those that were claimed before their stream was turned off. A later claim
 * has passed the gate itself, so nothing is ever taken back here.
 */

import type { ClaimedTask } from "./task.ts";

export class Holds {
  /** Of a stream, the number of the last claim that is held. */
  readonly #upTo = new Map<number, number>();

  hold(streams: readonly number[], lastClaim: number): void {
    for (const stream of streams) this.#upTo.set(stream, lastClaim);
  }

  isHeld({ streamId, claim }: Pick<ClaimedTask, "streamId" | "claim">): boolean {
    return claim <= (this.#upTo.get(streamId) ?? 0);
  }
}
