/** What people ask is tested on a catalogue of a few queues, with a slow clock that is moved and workers that are rows only. */

import { seeOff, startWorker, streams } from "../../../src/kernel/sql.ts";
import { openStore, type Store } from "../../../src/store/store.ts";
import { atEnd } from "../../support/at-end.ts";
import { movableClock } from "../../support/clock.ts";
import { freshDatabase } from "../../support/database.ts";
import { enqueueSql, QUICK_RETRY } from "../../support/kernel.ts";

export const MINUTE_MS = 60_000;
export const ADA = { by: "ada", why: "erp down" };

export interface Bench {
  url: string;
  store: Store;
  /** The workers keep their leases. */
  advance(ms: number): Promise<void>;
  /** Enqueues one task of kind `k`; answers its id. */
  enqueue(task?: Record<string, unknown>): Promise<string>;
  /** A live worker that knows kind `k` in these queues. */
  worker(options?: { host?: string; queues?: string[]; offHere?: string[] }): Promise<number>;
}

/** Queues q, low and limited (one at a time), each with kind k. */
export async function bench(): Promise<Bench> {
  const { url } = await freshDatabase();
  const store = openStore({ url, max: 4 });
  atEnd(() => store.close());
  const clock = await movableClock(store, { isSlow: true });
  const defaults = { retry: QUICK_RETRY, timeout_ms: null, shards: 1 };
  const names = ["q", "low", "limited", "paced", "unblocked"];
  await store.rows("select pawl.register_v1($1)", [
    JSON.stringify({
      application: "test",
      revision: 0,
      payload_bytes_max: 1_048_576,
      queues: [
        { ...defaults, name: "q" },
        { ...defaults, name: "low" },
        { ...defaults, name: "limited", concurrency: 1 },
        { ...defaults, name: "paced", rate: { limit: 1, per_ms: 60_000, burst: 1 } },
        { ...defaults, name: "unblocked", on_dead: "skip" },
      ],
      streams: names.map((queue) => ({ queue, kind: "k" })),
    }),
  ]);
  return {
    url,
    store,
    advance: async (ms) => {
      await clock.advance(ms);
      await store.rows(
        "update pawl.worker set lease_until = pawl.now() + pawl.lease_length() where ended_at is null",
      );
    },
    enqueue: async (task = {}) => {
      const [row] = await enqueueSql(store, [{ kind: "k", queue: "q", payload: {}, ...task }]);
      return row?.id ?? "";
    },
    worker: async ({ host = "host-a", queues = names, offHere = [] } = {}) => {
      const worker = await startWorker(store, {
        host,
        pid: 4711,
        application: "test",
        revision: 0,
        queues,
        concurrency: 10,
        refused: 0,
        streams: (await streams(store))
          .filter((one) => queues.includes(one.queue))
          .map((one) => one.id),
        off_here: offHere,
      });
      await seeOff(store, worker, "9000000000000000000"); // nothing that it claims is ever on its way
      return worker;
    },
  };
}
