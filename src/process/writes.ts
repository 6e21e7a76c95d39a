/** What code may call that gets a transaction from Pawl. */

import { refuseOptions } from "../base/options.ts";
import type { OutboxWrites } from "../outbox/calls.ts";
import type { QueueWrites } from "../queue/calls.ts";
import type { Store } from "../store/store.ts";
import type { Transaction } from "../store/transaction.ts";
import type { AnyProcess, ProcessInput } from "./define-process.ts";
import { type ProcessesOf, type Started, startRun, startsOn } from "./start.ts";

export interface ProcessWrites {
  /** Like `pawl.start`, in this transaction. */
  readonly start: <P extends AnyProcess>(process: P, input: ProcessInput<P>) => Promise<Started>;
}

/** All that such code may call beside the transaction. */
export interface Writes extends QueueWrites, OutboxWrites, ProcessWrites {}

/** Makes them for a transaction. `where`: the code that gets them, for messages. */
export type WritesFor = (where: string) => (tx: Transaction) => Writes;

export function processWrites({
  app,
  store,
  where,
}: {
  app: ProcessesOf;
  store: Store;
  where: string;
}): (tx: Transaction) => ProcessWrites {
  const starts = startsOn(store);
  return (tx) => ({
    start: async (process, input, ...more: unknown[]) => {
      refuseOptions(`${where}: start`, more);
      return startRun(app, starts, process, input, { tx });
    },
  });
}
