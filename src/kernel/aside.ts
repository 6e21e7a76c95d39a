/**
 * Outcomes whose rows somebody else has locked, such as a person in the middle of a transaction: they wait beside the turns
 * and are sent again at growing intervals, so that the worker's other outcomes are recorded.
 */

import { backoffMs } from "../base/backoff.ts";
import type { Logger } from "../base/log.ts";
import { unheard } from "../base/unheard.ts";
import type { Store } from "../store/store.ts";
import type { Outcome } from "./outcome.ts";
import { settleAndClaim } from "./turn.ts";

const AGAIN_MS = { baseMs: 200, maxMs: 5_000 };

export interface AsideOptions {
  store: Store;
  workerId: number;
  log: Logger;
  /** Called with outcomes that are settled now; `refused` of them were refused. */
  settled: (outcomes: readonly Outcome[], refused: number) => void;
}

export class Aside {
  readonly #options: AsideOptions;
  #outcomes: readonly Outcome[] = [];
  #tries = 0;
  #timer: NodeJS.Timeout | undefined;
  #isSending = false;
  #isStopped = false;

  constructor(options: AsideOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#outcomes.length;
  }

  add(outcomes: Iterable<Outcome>): void {
    const more = [...outcomes];
    if (more.length === 0) return;
    this.#outcomes = [...this.#outcomes, ...more];
    const tasks = more.map(({ task }) => task.id);
    this.#options.log.warn(
      { tasks: tasks.slice(0, 10), count: tasks.length },
      "tasks have ended and cannot be recorded: somebody holds a lock on their rows; tried again",
    );
    this.#arm();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #arm(): void {
    if (this.#isStopped || this.#isSending || this.#outcomes.length === 0) return;
    this.#tries += 1;
    this.#timer ??= setTimeout(
      () => unheard(() => this.#again()),
      backoffMs(this.#tries, AGAIN_MS),
    );
  }

  async #again(): Promise<void> {
    this.#timer = undefined;
    this.#isSending = true;
    const { store, workerId: worker, settled } = this.#options;
    const sent = this.#outcomes;
    const held = new Set<Outcome>();
    const request = {
      worker,
      outcomes: sent,
      gone: [],
      claim: 0,
      limit: 0,
      shards: [],
      solo: false,
    };
    try {
      const refused = await settleAndClaim(store, { ...request, held });
      this.#outcomes = [...held, ...this.#outcomes.slice(sent.length)];
      if (held.size < sent.length) this.#tries = 0;
      const done = sent.filter((outcome) => !held.has(outcome));
      if (done.length > 0 && !this.#isStopped) settled(done, refused.length);
    } catch {
      // all of them again: a turn finds out whether the lease is lost
    }
    this.#isSending = false;
    this.#arm();
  }
}
