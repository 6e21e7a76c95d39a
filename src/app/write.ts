/** Writes of an app's client: tasks and events, alone or in the caller's transaction. Everything is checked first. */

import { PawlError } from "../base/errors.ts";
import { didYouMean } from "../base/suggest.ts";
import { type EnqueueRow, enqueueEach, enqueueMany } from "../kernel/sql.ts";
import { eventInsert, type RecordOptions } from "../outbox/record.ts";
import { insertEvent } from "../outbox/sql.ts";
import {
  type EnqueueOptions,
  isKeyed,
  payloadTexts,
  sharedJson,
  tasksJson,
} from "../queue/enqueue.ts";
import type { AnyJob } from "../queue/job.ts";
import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import { type ForeignTransaction, inForeignTransaction } from "../store/transaction.ts";
import type { App } from "./define-app.ts";

const ENQUEUE_BATCH = 1_000;

export interface InTransaction {
  /** Your open transaction: of pawl.transaction, or any client with `query(text, params)` that sent BEGIN. */
  tx?: ForeignTransaction;
}

type WriteBatch = (executor: Executor, xid: string | null) => Promise<EnqueueRow[]>;

export async function writeTasks(
  app: App,
  store: Store,
  job: AnyJob,
  inputs: readonly unknown[],
  { tx, ...options }: EnqueueOptions & InTransaction,
): Promise<EnqueueRow[]> {
  if (!app.jobs.includes(job)) {
    const names = app.jobs.map((one) => one.name);
    throw new PawlError(
      "unknown_kind",
      `enqueue: job "${job?.name}" is not in the app's \`jobs\`; add it there, or ${didYouMean(String(job?.name), names)}`,
    );
  }
  if (inputs.length === 0) return [];
  const shared = sharedJson(job, options, app.maxPayloadBytes);
  const batches: WriteBatch[] = [];
  for (let start = 0; start < inputs.length; start += ENQUEUE_BATCH) {
    const batch = inputs.slice(start, start + ENQUEUE_BATCH);
    const payloads = await payloadTexts(job, batch, app.maxPayloadBytes);
    batches.push(writeBatch(job, batch, payloads, { shared, options }));
  }
  const write = async (
    executor: Executor,
    xid: string | null,
  ): Promise<EnqueueRow[] | undefined> => {
    const rows: EnqueueRow[] = [];
    for (const writeOne of batches) {
      const answered = await writeOne(executor, xid);
      if (answered.length === 0) return undefined;
      rows.push(...answered);
    }
    return rows;
  };
  if (tx !== undefined) return inForeignTransaction(tx, store.render, write);
  if (batches.length === 1) return (await write(store, null)) ?? [];
  return store.transaction((own) => inForeignTransaction(own, store.render, write));
}

function writeBatch(
  job: AnyJob,
  inputs: readonly unknown[],
  payloads: readonly string[],
  given: { shared: string; options: EnqueueOptions },
): WriteBatch {
  if (isKeyed(job, given.options)) {
    const tasks = tasksJson(job, inputs, payloads, given);
    return (executor, xid) => enqueueEach(executor, tasks, xid);
  }
  const batch = { task: given.shared, payloads: `[${payloads.join(",")}]` };
  return (executor, xid) => enqueueMany(executor, batch, xid);
}

export async function writeEvent(
  app: App,
  store: Store,
  name: string,
  event: RecordOptions,
  { tx, target }: InTransaction & { target?: { type: string; name: string } },
): Promise<{ id: string }> {
  const insert = {
    ...eventInsert(name, event, app.maxPayloadBytes),
    ...(target !== undefined && { target }),
  };
  const write = async (executor: Executor, xid: string | null) =>
    (await insertEvent(executor, insert, xid))[0];
  if (tx !== undefined) return inForeignTransaction(tx, store.render, write);
  const written = await write(store, null);
  if (written === undefined)
    throw new PawlError("database_error", `record "${name}": the database answered no row`);
  return written;
}
