/** A database whose answers get lost on the way, and a worker on it. */

import { PawlError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/log.ts";
import type { TaskHandler } from "../../src/kernel/task.ts";
import { Worker } from "../../src/kernel/worker.ts";
import type { Store } from "../../src/store/store.ts";
import type { Random } from "./random.ts";

/** Turns whose answer is lost on the way: most were done by then, some never arrived. */
export function lossy(store: Store, { next }: Random): { store: Store; lost: () => number } {
  let lost = 0;
  const cut = () => {
    lost += 1;
    throw new PawlError("database_unreachable", "the connection was cut");
  };
  const prepared = async <Row>(text: string, values: readonly unknown[]): Promise<Row[]> => {
    const luck = text.includes("turn_v1") ? next() : 1;
    if (luck < 0.05) cut();
    const rows = await store.prepared<Row>(text, values);
    if (luck < 0.25) cut();
    return rows;
  };
  return { store: { ...store, prepared }, lost: () => lost };
}

/** A worker on a store that is not what it seems. */
export function workerOn(store: Store, handler: TaskHandler, concurrency: number): Worker {
  return new Worker({
    store,
    application: "test",
    revision: 0,
    handlers: [handler],
    queues: ["q"],
    concurrency,
    turns: 3,
    transactionPool: store,
    localSwitches: { read: async () => [] },
    resultBytesMax: 1_000,
    log: silentLogger,
  });
}
