/**
 * A database that cannot be reached is told once when it is lost and once when it is back, however many loops fail
 * meanwhile: their own lines about it go to debug. One of these is shared by all that a process opens with one client.
 */

import { PawlError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { isA } from "../base/thrown.ts";
import { unheard } from "../base/unheard.ts";
import type { Store } from "./store.ts";

/** Different texts about one outage that are remembered. */
const TEXTS_MAX = 50;
/** Statements that began in an outage may fail so long after it. */
const AFTER_MS = 5_000;

export interface OutageObserver {
  databaseLost?: (lost: { readonly since: Date; readonly error: string }) => void;
  databaseBack?: (back: { readonly since: Date; readonly forMs: number }) => void;
}

export class Outage {
  /** Lines about an outage that is on, or just over, are at debug; those about a task never. */
  readonly log: Logger;
  readonly #told: Logger;
  readonly #observers = new Set<OutageObserver>();
  readonly #texts = new Set<string>();
  #hasBeenThere = false;
  #lost: { since: Date; at: number } | undefined;
  #backAt = Number.NEGATIVE_INFINITY;

  constructor(log: Logger) {
    this.#told = log;
    this.log = {
      ...log,
      warn: (data, message) => log[this.#isAboutOutage(data) ? "debug" : "warn"](data, message),
    };
  }

  /** Returns how to stop. An observer that throws harms nobody. */
  observe(observer: OutageObserver): () => void {
    this.#observers.add(observer);
    return () => {
      this.#observers.delete(observer);
    };
  }

  /** The same store, its statements watched. */
  watch(store: Store): Store {
    return {
      ...store,
      rows: (...statement) => this.#watched(() => store.rows(...statement)),
      prepared: (...statement) => this.#watched(() => store.prepared(...statement)),
      begin: (first) => this.#watched(() => store.begin(first)),
      transaction: (work) => this.#watched(() => store.transaction(work)),
      ownTransaction: (work) => this.#watched(() => store.ownTransaction(work)),
    };
  }

  async #watched<T>(statement: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    try {
      const answer = await statement();
      this.#hasBeenThere = true;
      if (this.#lost !== undefined) this.#back();
      return answer;
    } catch (error) {
      if (isA(error, PawlError) && error.code === "database_unreachable")
        this.#failed(error, startedAt);
      throw error;
    }
  }

  #failed({ message }: PawlError, startedAt: number): void {
    if (this.#texts.size < TEXTS_MAX) this.#texts.add(message);
    // before it was ever there its caller is told; what began before it was back says nothing new
    if (this.#lost !== undefined || !this.#hasBeenThere || startedAt < this.#backAt) return;
    this.#lost = { since: new Date(), at: performance.now() };
    const { since } = this.#lost;
    this.#told.warn({ err: message, since }, "the database is lost, work goes on when it is back");
    for (const one of this.#observers) unheard(() => one.databaseLost?.({ since, error: message }));
  }

  #back(): void {
    if (this.#lost === undefined) return;
    const { since, at } = this.#lost;
    this.#lost = undefined;
    this.#backAt = performance.now();
    const forMs = Math.round(this.#backAt - at);
    this.#told.warn({ since, forMs }, "the database is back");
    for (const one of this.#observers) unheard(() => one.databaseBack?.({ since, forMs }));
    setTimeout(() => this.#forget(), AFTER_MS).unref();
  }

  #forget(): void {
    if (this.#lost === undefined) this.#texts.clear();
  }

  #isAboutOutage(data: object): boolean {
    if (this.#texts.size === 0 || "task" in data || !("err" in data)) return false;
    if ("code" in data && data.code === "database_unreachable") return true;
    return typeof data.err === "string" && this.#texts.has(data.err);
  }
}
