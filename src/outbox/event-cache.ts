/**
 * Loads the events that deliveries are about: asked for one by one, read in batches. The latest used are kept, since
 * events never change; no more than a number of them, and no more than a number of bytes. Kept are their texts: parsed,
 * a small JSON may be twenty times as large.
 */

import { gather } from "../base/gather.ts";
import type { Executor } from "../store/executor.ts";
import { type EventBody, eventBodies } from "./sql.ts";

const KEPT_MAX = 1_000;
const BYTES_MAX_DEFAULT = 32 * 1024 * 1024;
const BATCH = { most: 100, calls: 2 };
/** A larger event is read alone, so that no answer of the database is larger than 100 of these or one event. */
const TOGETHER_BYTES_MAX = 65_536;
/** What an event costs beside its texts. */
const EVENT_BYTES = 600;

interface Kept {
  readonly loading: Promise<EventBody | undefined>;
  /** 0 until it is loaded. */
  sizeBytes: number;
}

export class EventCache {
  readonly #load: (id: string) => Promise<EventBody | undefined>;
  readonly #bytesMax: number;
  /** The longest unused first. */
  readonly #kept = new Map<string, Kept>();
  #keptBytes = 0;

  constructor(executor: Executor, bytesMax: number = BYTES_MAX_DEFAULT) {
    this.#load = gather((ids) => bodies(executor, ids), BATCH);
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
    const loading = this.#load(id);
    const added: Kept = { loading, sizeBytes: 0 };
    this.#kept.set(id, added);
    loading.then((event) => this.#loaded(id, added, event)).catch(() => this.#drop(id, added)); // who asked hears why
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
}

/** In the order of `ids`. Those that are too large to be read with others come later, one after the other. */
async function bodies(
  executor: Executor,
  ids: readonly string[],
): Promise<(EventBody | Promise<EventBody | undefined>)[]> {
  const rows = await eventBodies(executor, ids, TOGETHER_BYTES_MAX);
  const byId = new Map(rows.map((row) => [row.id, row]));
  let before: Promise<unknown> = Promise.resolve();
  const alone = (id: string) => {
    const body = before.then(async () => (await eventBodies(executor, [id]))[0]);
    before = body;
    return body;
  };
  return ids.map((id) => byId.get(id) ?? alone(id));
}

/** About what it takes in memory: strings at two bytes a character. */
function sizeOf({ payloadText, metaText }: EventBody): number {
  return EVENT_BYTES + 2 * (payloadText.length + metaText.length);
}
