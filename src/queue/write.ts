/** Writes of an app's client: tasks of its jobs, alone or in the caller's transaction. Everything is checked first. */

import { PawlError, shown } from "../base/errors.ts";
import { badOption } from "../base/options.ts";
import { didYouMean } from "../base/suggest.ts";
import { read } from "../base/thrown.ts";
import type { EnqueueRow } from "../kernel/sql.ts";
import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import {
  chosenTransaction,
  type InTransaction,
  inForeignTransaction,
} from "../store/transaction.ts";
import {
  type EnqueueOptions,
  type EnqueueRead,
  isKeyed,
  payloadTexts,
  readEnqueue,
  sharedJson,
  tasksJson,
} from "./enqueue.ts";
import type { AnyJob } from "./job.ts";
import { enqueueEach, enqueueMany } from "./sql.ts";

const ENQUEUE_BATCH = 1_000;

/** Whose jobs they are. */
export interface JobsOf {
  jobs: readonly AnyJob[];
  maxPayloadBytes: number;
}

type WriteBatch = (executor: Executor, xid: string | null) => Promise<EnqueueRow[]>;

export async function writeTasks(
  app: JobsOf,
  store: Store,
  job: AnyJob,
  inputs: readonly unknown[],
  given: EnqueueOptions & InTransaction,
): Promise<EnqueueRow[]> {
  if (!app.jobs.includes(job)) throw unknownJob(app, job);
  const options = readEnqueue(job, given);
  const tx = chosenTransaction(given);
  if (!Array.isArray(inputs)) throw badOption(`enqueue "${job.name}"`, "inputs", "a list", inputs);
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
  return store.ownTransaction((own) => inForeignTransaction(own, store.render, write));
}

function unknownJob(app: JobsOf, given: unknown): PawlError {
  const names = app.jobs.map((one) => one.name);
  const name = typeof given === "string" ? given : read(given, "name");
  if (typeof name !== "string") {
    return new PawlError(
      "unknown_kind",
      `enqueue: expected one of the app's jobs, made by defineJob(...), got ${shown(given)}`,
    );
  }
  const isKnown = typeof given === "string" && names.includes(name);
  const remedy = isKnown
    ? "pass the job itself, as defineJob(...) returned it"
    : `add it there, or ${didYouMean(name, names)}`;
  const what = isKnown ? "is given by its name" : "is not in the app's `jobs`";
  return new PawlError("unknown_kind", `enqueue: job ${shown(name)} ${what}; ${remedy}`);
}

function writeBatch(
  job: AnyJob,
  inputs: readonly unknown[],
  payloads: readonly string[],
  given: { shared: string; options: EnqueueRead },
): WriteBatch {
  if (isKeyed(job, given.options)) {
    const tasks = tasksJson(job, inputs, payloads, given);
    return (executor, xid) => enqueueEach(executor, tasks, xid);
  }
  const batch = { task: given.shared, payloads: `[${payloads.join(",")}]` };
  return (executor, xid) => enqueueMany(executor, batch, xid);
}
