/**
 * Tasks that were lost twice in a row with their worker: one of them may be deadly. A worker starts the next one only
 * when the one before has ended, or has run for a while and harmed nobody: 5 s, 30 s, 3 min … with each further attempt.
 */

import type { ClaimedTask } from "./task.ts";

const WATCH_MS = 5_000;
const WATCH_FACTOR = 6;
/** The first attempt that can follow two losses. */
const FIRST_ATTEMPT = 3;
const WATCH_MS_MAX = 86_400_000;

/** An earlier attempt means that a person retried a task that was dead as crashed: it is watched to its end. */
export function watchMs(attempt: number): number {
  if (attempt < FIRST_ATTEMPT) return Number.POSITIVE_INFINITY;
  return Math.min(WATCH_MS * WATCH_FACTOR ** (attempt - FIRST_ATTEMPT), WATCH_MS_MAX);
}

export class Suspects {
  readonly #watched = new Map<string, NodeJS.Timeout | undefined>();
  readonly #cleared: () => void;

  /** @param cleared the next one may start */
  constructor(cleared: () => void) {
    this.#cleared = cleared;
  }

  /** The next one has to wait. */
  get isWatching(): boolean {
    return this.#watched.size > 0;
  }

  started({ seq, attempt }: ClaimedTask): void {
    const forMs = watchMs(attempt);
    const timer = Number.isFinite(forMs) ? setTimeout(() => this.#clear(seq), forMs) : undefined;
    timer?.unref();
    this.#watched.set(seq, timer);
  }

  ended({ seq }: ClaimedTask): void {
    clearTimeout(this.#watched.get(seq));
    this.#watched.delete(seq);
  }

  #clear(seq: string): void {
    this.#watched.delete(seq);
    this.#cleared();
  }
}
