/**
 * Tells the observers of workers of the events that their client records, once they have committed. It never tells of one that was rolled back:
 * a transaction may be another library's, and a savepoint may be undone, so it asks the database when the transaction has ended.
 */

import { type Loop, loop } from "../base/loop.ts";
import { type RecordedEvent, tell, type WorkObserver } from "../kernel/heard.ts";
import type { Store } from "../store/store.ts";
import { endedTransactions, recordedOf } from "./sql.ts";

/** Maximum number of events whose transactions are open; what is recorded beyond is not told. */
const PENDING_MAX = 10_000;
/** Maximum number of events that one statement asks about. */
const ASKED_MAX = 1_000;
/** It doubles from question to question, while nothing new is recorded. */
const ASK_MS = { min: 20, max: 1_000 };
const NOTHING_MS = 60_000;

class Recordings {
  readonly #store: Store;
  /** By the loop of their worker: several may have the same observer. */
  readonly #heard = new Map<Loop, WorkObserver>();
  /** By the id of their transaction. */
  readonly #pending = new Map<string, RecordedEvent[]>();
  #count = 0;
  #waitMs = ASK_MS.min;
  #round: Promise<unknown> = Promise.resolve();

  constructor(store: Store) {
    this.#store = store;
  }

  get isHeard(): boolean {
    return this.#heard.size > 0;
  }

  /** The loop of a worker, and what tells at its end of all that has committed by then. */
  of(observer: WorkObserver): { loop: Loop; close: () => Promise<void> } {
    const asking = loop({
      runOnce: async () => {
        await this.runOnce();
        if (this.#count === 0) return NOTHING_MS; // it is woken
        this.#waitMs = Math.min(this.#waitMs * 2, ASK_MS.max);
        return this.#waitMs;
      },
      failed: () => undefined, // it asks again; that the database is away is told by others
      gapMs: ASK_MS.min,
    });
    const start = () => {
      this.#heard.set(asking, observer);
      asking.start();
    };
    const close = async () => {
      await this.runOnce().catch(() => undefined);
      this.#heard.delete(asking);
      if (!this.isHeard) for (const xid of this.#pending.keys()) this.#forget(xid);
    };
    return { loop: { ...asking, start }, close };
  }

  /** `xid`: the transaction that it was written in; null: it has committed. */
  recorded(event: RecordedEvent, xid: string | null): void {
    if (!this.isHeard) return;
    if (xid === null) this.#tell(event);
    else if (this.#count < PENDING_MAX) this.#await(event, xid);
  }

  /** Asks which transactions have ended, and tells what is there of them. Returns how many events it told. */
  runOnce(): Promise<number> {
    const round = this.#round.catch(() => undefined).then(() => this.#ask());
    this.#round = round;
    return round;
  }

  async #ask(): Promise<number> {
    if (this.#count === 0) return 0;
    const ended = await endedTransactions(this.#store, [...this.#pending.keys()]);
    const asked = ended.map((xid) => ({ xid, events: [...(this.#pending.get(xid) ?? [])] }));
    const events = asked.flatMap((one) => one.events);
    const there = new Set<string>();
    for (let from = 0; from < events.length; from += ASKED_MAX) {
      const ids = events.slice(from, from + ASKED_MAX).map(({ eventId }) => eventId);
      for (const id of await recordedOf(this.#store, ids)) there.add(id);
    }
    // what came meanwhile stays: the call that recorded it may hear of that after the commit
    for (const { xid, events: some } of asked) this.#forget(xid, some.length);
    for (const event of events) if (there.has(event.eventId)) this.#tell(event);
    return there.size;
  }

  #await(event: RecordedEvent, xid: string): void {
    const others = this.#pending.get(xid);
    if (others === undefined) this.#pending.set(xid, [event]);
    else others.push(event);
    this.#count += 1;
    this.#waitMs = ASK_MS.min;
    for (const asking of this.#heard.keys()) asking.wake();
  }

  /** The first `count` of a transaction; default: all. */
  #forget(xid: string, count = Number.POSITIVE_INFINITY): void {
    const events = this.#pending.get(xid);
    if (events === undefined) return;
    this.#count -= events.splice(0, count).length;
    if (events.length === 0) this.#pending.delete(xid);
  }

  #tell(event: RecordedEvent): void {
    for (const observer of new Set(this.#heard.values())) tell(observer, "recorded", event);
  }
}

const all = new WeakMap<Store, Recordings>();

/** Those of a client: all that it writes goes through its store. */
export function recordingsOf(store: Store): Recordings {
  const known = all.get(store) ?? new Recordings(store);
  all.set(store, known);
  return known;
}
