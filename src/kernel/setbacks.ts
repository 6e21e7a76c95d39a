/** Turns that fail in a row: after each the worker sends none for a while, and in the end others should get its tasks. */

import { backoffMs } from "../base/backoff.ts";

const PAUSE_MS = { baseMs: 50, maxMs: 2_000 };
/** As long as a lease: if no turn succeeds for this time, other workers should get the tasks. */
const STUCK_MS = 10_000;

export class Setbacks {
  #count = 0;
  /** When the first of these was sent, by this process's steady clock. */
  #since: number | undefined;
  #isPaused = false;

  get count(): number {
    return this.#count;
  }

  /** No turn is to be sent now. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** A turn has succeeded. */
  over(): void {
    this.#count = 0;
    this.#since = undefined;
  }

  /** A turn that was sent at `sentAt` has failed. Returns true if none has succeeded for too long. */
  isStuckAfter(sentAt: number): boolean {
    this.#since ??= sentAt;
    return performance.now() - this.#since > STUCK_MS;
  }

  pause(then: () => void): void {
    this.#count += 1;
    this.#isPaused = true;
    setTimeout(
      () => {
        this.#isPaused = false;
        then();
      },
      backoffMs(this.#count, PAUSE_MS),
    );
  }
}
