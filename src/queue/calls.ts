/** Calls of the client that write jobs. */

import { PawlError } from "../base/errors.ts";
import { refuseOptions } from "../base/options.ts";
import type { Store } from "../store/store.ts";
import type { InTransaction, Transaction } from "../store/transaction.ts";
import type { Enqueued, EnqueueOptions } from "./enqueue.ts";
import type { AnyJob, JobInput } from "./job.ts";
import { type JobsOf, tasksOn, writeTasks } from "./write.ts";

export interface QueueCalls {
  /**
   * Enqueues one task of a job.
   * @throws PawlError `unknown_kind`, `invalid_payload`, `payload_not_json`, `payload_too_large`, `not_a_transaction`
   */
  enqueue<J extends AnyJob>(
    job: J,
    input: JobInput<J>,
    options?: EnqueueOptions & InTransaction,
  ): Promise<Enqueued>;
  /**
   * Enqueues many tasks, all or none. Returns results in the order of the inputs. Without `tx`, more than 1,000 run in their
   * own transaction.
   */
  enqueueMany<J extends AnyJob>(
    job: J,
    inputs: readonly JobInput<J>[],
    options?: EnqueueOptions & InTransaction,
  ): Promise<Enqueued[]>;
}

export const QUEUE_PRODUCER_CALLS = ["enqueue", "enqueueMany"] as const;

export function queueCalls(app: JobsOf, store: Store): QueueCalls {
  const tasks = tasksOn(store);
  return {
    enqueue: async (job, input, options = {}) => {
      const [enqueued] = await writeTasks(app, tasks, job, [input], options);
      if (enqueued === undefined)
        throw new PawlError("database_error", "enqueue: the database returned no row");
      return enqueued;
    },
    enqueueMany: async (job, inputs, options = {}) => writeTasks(app, tasks, job, inputs, options),
  };
}

export interface QueueWrites {
  /** Like `pawl.enqueue`, in this transaction. */
  readonly enqueue: <J extends AnyJob>(job: J, input: JobInput<J>) => Promise<{ id: string }>;
}

export function queueWrites({
  app,
  store,
  where,
}: {
  app: JobsOf;
  store: Store;
  where: string;
}): (tx: Transaction) => QueueWrites {
  const tasks = tasksOn(store);
  return (tx) => ({
    enqueue: async (job, input, ...more: unknown[]) => {
      refuseOptions(`${where}: enqueue`, more);
      const [row] = await writeTasks(app, tasks, job, [input], { tx });
      return { id: row?.id ?? "" };
    },
  });
}
