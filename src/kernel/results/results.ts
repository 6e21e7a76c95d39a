/**
 * Waits for the ends of tasks. All waits of a client share one LISTEN connection and one query a second: the query is the
 * truth, a notification only hastens it. The connection lives while somebody waits, and a little longer.
 */

import { PawlError } from "../../base/errors.ts";
import { silentLogger } from "../../base/log.ts";
import { messageOf } from "../../base/thrown.ts";
import { listen } from "../../store/notify.ts";
import type { Store } from "../../store/store.ts";
import type { TaskId } from "../task.ts";
import { awaitTasks, type EndedRow } from "./sql.ts";

const POLL_MS = 1_000;
/** The connection stays open for so long for the next wait. */
const LINGER_MS = 2_000;
const IDS_PER_QUERY = 1_000;

export type Stoppable = <T>(work: (stop: Promise<void>) => Promise<T>) => Promise<T>;

interface Waiter {
  id: TaskId;
  ended: (row: EndedRow) => void;
  failed: (error: PawlError) => void;
}

export class Results {
  readonly #store: Store;
  readonly #stoppable: Stoppable;
  readonly #waiters = new Map<TaskId, Set<Waiter>>();
  /** Asked for with the next query, besides those of the poll. */
  readonly #asked = new Set<TaskId>();
  #isAsking = false;
  #isOpen = false;
  #lastError: unknown;
  #wake: () => void = () => undefined;

  /** @param stoppable runs work that ends when the client closes */
  constructor(store: Store, stoppable: Stoppable) {
    this.#store = store;
    this.#stoppable = stoppable;
  }

  /** Resolves when the task has ended, however. @throws PawlError `result_timeout`, `client_closed` */
  ended(id: TaskId, timeoutMs: number): Promise<EndedRow> {
    return new Promise((resolve, reject) => {
      const over = () => {
        clearTimeout(timer);
        this.#remove(waiter);
      };
      const waiter: Waiter = {
        id,
        ended: (row) => {
          over();
          resolve(row);
        },
        failed: (error) => {
          over();
          reject(error);
        },
      };
      const timer = setTimeout(() => waiter.failed(this.#late(id, timeoutMs)), timeoutMs);
      const isFirst = this.#waiters.size === 0;
      const others = this.#waiters.get(id) ?? new Set();
      this.#waiters.set(id, others.add(waiter));
      this.#ask([id]);
      this.#open();
      if (isFirst) this.#wake(); // the connection lingers: from now on it polls again
    });
  }

  #remove(waiter: Waiter): void {
    const others = this.#waiters.get(waiter.id);
    others?.delete(waiter);
    if (others?.size === 0) this.#waiters.delete(waiter.id);
    if (this.#waiters.size === 0) this.#wake();
  }

  #late(id: TaskId, timeoutMs: number): PawlError {
    const cause = this.#lastError;
    const why = cause === undefined ? "" : `; the last look failed: ${messageOf(cause)}`;
    return new PawlError(
      "result_timeout",
      `result: task ${id} has not ended within ${timeoutMs} ms${why}; it goes on: wait again, or see \`pawl why ${id}\``,
      { data: { id, timeoutMs }, cause },
    );
  }

  /** Waits that begin together, or are told together, share a query. */
  #ask(ids: Iterable<TaskId>): void {
    for (const id of ids) if (this.#waiters.has(id)) this.#asked.add(id);
    if (this.#isAsking || this.#asked.size === 0) return;
    this.#isAsking = true;
    setImmediate(() => {
      const again = () => {
        this.#isAsking = false;
        this.#ask([]);
      };
      this.#askAll().then(again, again);
    });
  }

  async #askAll(): Promise<void> {
    const ids = [...this.#asked].slice(0, IDS_PER_QUERY);
    for (const id of ids) this.#asked.delete(id);
    try {
      const rows = await awaitTasks(this.#store, ids);
      this.#lastError = undefined;
      for (const row of rows)
        for (const waiter of this.#waiters.get(row.id) ?? []) waiter.ended(row);
    } catch (error) {
      this.#lastError = error; // asked again with the next poll
    }
  }

  #open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#stoppable((stop) => this.#listen(stop)).catch(() => undefined);
  }

  async #listen(stop: Promise<void>): Promise<void> {
    const { url, schema } = this.#store;
    let isStopped = false;
    const stopped = stop.then(() => {
      isStopped = true;
    });
    const listener = listen({
      url,
      channel: `${schema}.ended`,
      log: silentLogger, // whatever it misses, the poll finds
      heard: (payload) => this.#ask(payload === "" ? this.#waiters.keys() : payload.split(",")),
    });
    let isLingering = false;
    while (!isStopped && (this.#waiters.size > 0 || !isLingering)) {
      isLingering = this.#waiters.size === 0;
      await Promise.race([stopped, this.#pause(isLingering)]);
      this.#ask(this.#waiters.keys());
    }
    this.#isOpen = false;
    const closed = new PawlError("client_closed", "result: the client was closed while it waited");
    if (isStopped)
      for (const waiter of [...this.#waiters.values()].flatMap((all) => [...all]))
        waiter.failed(closed);
    await listener.stop();
  }

  /** Until the next poll; or, if nobody waits, until somebody does or the connection is given up. */
  #pause(isLingering: boolean): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, isLingering ? LINGER_MS : POLL_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
