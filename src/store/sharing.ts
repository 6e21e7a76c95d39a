/**
 * Statements alone share connections: a worker's loops start at once, each with a short statement, and a connection for
 * each costs the server 10 to 20 ms and some MB. While statements wait, one more is opened each `STEP_MS`.
 */

import { setTimeout as after } from "node:timers/promises";
import type pg from "pg";

const STEP_MS = 15;

export class Sharing {
  readonly #pool: pg.Pool;
  readonly #stepMs: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(pool: pg.Pool, stepMs: number = STEP_MS) {
    this.#pool = pool;
    this.#stepMs = stepMs;
  }

  async run<T>(statement: () => Promise<T>): Promise<T> {
    if (this.#running > 0 && this.#wouldOpen()) await this.#turn();
    this.#running += 1;
    try {
      return await statement();
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  #wouldOpen(): boolean {
    const { idleCount, totalCount, options } = this.#pool;
    return idleCount === 0 && totalCount < options.max;
  }

  /** Until a statement has ended; the first in line waits one step, the next two. */
  async #turn(): Promise<void> {
    const ended = new AbortController();
    const go = () => ended.abort();
    this.#waiting.push(go);
    await after(this.#stepMs * this.#waiting.length, undefined, { signal: ended.signal }).catch(
      () => undefined,
    );
    const at = this.#waiting.indexOf(go);
    if (at >= 0) this.#waiting.splice(at, 1);
  }
}
