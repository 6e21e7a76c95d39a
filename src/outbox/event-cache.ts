/**
 * Loads the events that deliveries are about: asked for one by one, read in batches. The latest used are kept, since
 * events never change; no more than a number of them, and no more than a number of bytes.
 */

import type { Executor } from "../store/executor.ts";
import { type EventBody, eventBodies } from "./sql.ts";

const KEPT_MAX = 1_000;
const BYTES_MAX_DEFAULT = 32 * 1024 * 1024;
/** Also bounds what one answer of the database can hold: each may be as large as `maxPayloadBytes`. */
const BATCH_MAX = 100;

interface Kept {
  readonly loading: Promise<EventBody | undefined>;
  /** 0 until it is loaded. */
  sizeBytes: number;
}

interface Wanted {
  readonly id: string;
  readonly resolve: (event: EventBody | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export class EventCache {
  readonly #executor: Executor;
  readonly #bytesMax: number;
  /** The longest unused first. */
  readonly #kept = new Map<string, Kept>();
  #keptBytes = 0;
  #wanted: Wanted[] = [];

  constructor(executor: Executor, bytesMax: number = BYTES_MAX_DEFAULT) {
    this.#executor = executor;
    this.#bytesMax = bytesMax;
  }

  get keptBytes(): number {
    return this.#keptBytes;
  }

  get(id: string): Promise<EventBody | undefined> {
    const kept = this.#kept.get(id);
    if (kept !== undefined) {
      this.#kept.delete(id);
      this.#kept.set(id, kept);
      return kept.loading;
    }
    const loading = new Promise<EventBody | undefined>((resolve, reject) => {
      this.#wanted.push({ id, resolve, reject });
      if (this.#wanted.length === 1) setImmediate(() => void this.#load());
    });
    const added: Kept = { loading, sizeBytes: 0 };
    this.#kept.set(id, added);
    loading.then(
      (event) => this.#loaded(id, added, event),
      () => this.#drop(id, added),
    );
    this.#shrink();
    return loading;
  }

  #loaded(id: string, kept: Kept, event: EventBody | undefined): void {
    if (this.#kept.get(id) !== kept) return;
    if (event === undefined) {
      this.#drop(id, kept);
    } else {
      kept.sizeBytes = sizeOf(event);
      this.#keptBytes += kept.sizeBytes;
      this.#shrink();
    }
  }

  #shrink(): void {
    for (const [id, kept] of this.#kept) {
      if (this.#kept.size <= KEPT_MAX && this.#keptBytes <= this.#bytesMax) return;
      this.#drop(id, kept);
    }
  }

  #drop(id: string, kept: Kept): void {
    if (this.#kept.get(id) !== kept) return;
    this.#kept.delete(id);
    this.#keptBytes -= kept.sizeBytes;
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

/** About what it takes in memory: strings at two bytes a character, and what each value costs beside its content. */
function sizeOf(value: unknown): number {
  if (typeof value === "string") return 24 + 2 * value.length;
  if (typeof value !== "object" || value === null) return 16;
  if (Array.isArray(value)) return value.reduce<number>((sum, one) => sum + sizeOf(one), 64);
  return Object.entries(value).reduce((sum, [key, one]) => sum + key.length + 16 + sizeOf(one), 64);
}
