/** Loads the events that deliveries are about: asked for one by one, read in batches, and the latest kept, since events never change. */

import type { Executor } from "../store/executor.ts";
import { type EventBody, eventBodies } from "./sql.ts";

const KEPT_MAX = 1_000;
const BATCH_MAX = 500;

export class EventCache {
  readonly #executor: Executor;
  readonly #kept = new Map<string, Promise<EventBody | undefined>>();
  #wanted: {
    id: string;
    resolve: (event: EventBody | undefined) => void;
    reject: (error: unknown) => void;
  }[] = [];

  constructor(executor: Executor) {
    this.#executor = executor;
  }

  get(id: string): Promise<EventBody | undefined> {
    const kept = this.#kept.get(id);
    if (kept !== undefined) return kept;
    const loading = new Promise<EventBody | undefined>((resolve, reject) => {
      this.#wanted.push({ id, resolve, reject });
      if (this.#wanted.length === 1) setImmediate(() => void this.#load());
    });
    this.#kept.set(id, loading);
    loading.catch(() => this.#kept.delete(id));
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT_MAX && oldest !== undefined) this.#kept.delete(oldest);
    return loading;
  }

  async #load(): Promise<void> {
    const wanted = this.#wanted;
    this.#wanted = [];
    for (let start = 0; start < wanted.length; start += BATCH_MAX) {
      const batch = wanted.slice(start, start + BATCH_MAX);
      try {
        const rows = await eventBodies(
          this.#executor,
          batch.map((one) => one.id),
        );
        const byId = new Map(rows.map((row) => [row.id, row]));
        for (const one of batch) one.resolve(byId.get(one.id));
      } catch (error) {
        for (const one of batch) one.reject(error);
      }
    }
  }
}
