/** Writes of an app's client: tasks of its jobs, alone or in the caller's transaction. Everything is checked first. */

import { PawlError, shown } from "../base/errors.ts";
import { badOption } from "../base/options.ts";
import { didYouMean } from "../base/suggest.ts";
import { read } from "../base/thrown.ts";
import type { EnqueueRow } from "../kernel/sql.ts";
import type { Executor } from "../store/executor.ts";
import { outOfDeadlock } from "../store/out-of-deadlock.ts";
import type { Store } from "../store/store.ts";
import { together } from "../store/together.ts";
import {
  chosenTransaction,
  type InTransaction,
  inForeignTransaction,
} from "../store/transaction.ts";
import {
  type EnqueueOptions,
  isKeyed,
  type KeyedTask,
  keyedTasks,
  payloadTexts,
  readEnqueue,
  sharedJson,
} from "./enqueue.ts";
import type { AnyJob } from "./job.ts";
import { enqueueEach, enqueueMany } from "./sql.ts";

const ENQUEUE_BATCH = 1_000;

/** Whose jobs they are. */
export interface JobsOf {
  jobs: readonly AnyJob[];
  maxPayloadBytes: number;
}

interface Batch {
  write: (executor: Executor, xid: string | null) => Promise<EnqueueRow[]>;
  /** Of its tasks among the inputs. */
  places: readonly number[];
}

/** How a client writes tasks: in the caller's transactions, and alone. */
export interface TasksOn {
  store: Store;
  alone: (job: AnyJob, one: OneTask) => Promise<EnqueueRow>;
}

/** What it shares with others of its job, and its own payload, as JSON. */
interface OneTask {
  shared: string;
  payload: string;
}

/** A job's single tasks travel together when they come at about the same time; those of another do not wait for a lock that they wait for. */
export function tasksOn(store: Store): TasksOn {
  const ofJobs = new Map<AnyJob, ReturnType<typeof together<OneTask, EnqueueRow>>>();
  const write = (tasks: readonly OneTask[]) => writeTogether(store, tasks);
  return {
    store,
    alone: (job, one) => {
      const send = ofJobs.get(job) ?? together(write);
      ofJobs.set(job, send);
      return send({ row: one, chars: one.shared.length + one.payload.length });
    },
  };
}

function writeTogether(store: Store, tasks: readonly OneTask[]): Promise<EnqueueRow[]> {
  const [first] = tasks;
  if (first !== undefined && tasks.every(({ shared }) => shared === first.shared)) {
    const payloads = `[${tasks.map(({ payload }) => payload).join(",")}]`;
    return enqueueMany(store, { task: first.shared, payloads }, null);
  }
  const each = tasks.map(({ shared, payload }) => `${shared.slice(0, -1)},"payload":${payload}}`);
  return enqueueEach(store, `[${each.join(",")}]`, null);
}

export async function writeTasks(
  app: JobsOf,
  { store, alone }: TasksOn,
  job: AnyJob,
  inputs: readonly unknown[],
  given: EnqueueOptions & InTransaction,
): Promise<EnqueueRow[]> {
  if (!app.jobs.includes(job)) throw unknownJob(app, job);
  const options = readEnqueue(job, given);
  const tx = chosenTransaction(given);
  if (!Array.isArray(inputs)) throw badOption(`enqueue "${job.name}"`, "inputs", "a list", inputs);
  if (inputs.length === 0) return [];
  const { maxPayloadBytes: bytesMax } = app;
  const shared = sharedJson(job, options, bytesMax);
  if (inputs.length === 1 && tx === undefined && !isKeyed(job, options)) {
    const [payload = ""] = await payloadTexts(job, inputs, { bytesMax });
    return [await alone(job, { shared, payload })];
  }
  const texts: string[] = [];
  for (let start = 0; start < inputs.length; start += ENQUEUE_BATCH) {
    const some = inputs.slice(start, start + ENQUEUE_BATCH);
    const place = inputs.length > 1 ? { first: start + 1 } : {};
    texts.push(...(await payloadTexts(job, some, { bytesMax, ...place })));
  }
  const batches = isKeyed(job, options)
    ? batchesByKey(keyedTasks(job, inputs, texts, { shared, options }))
    : batchesOf(inputs, (places) => writeAlike(shared, at(texts, places)));
  const write = async (
    executor: Executor,
    xid: string | null,
  ): Promise<EnqueueRow[] | undefined> => {
    const rows: EnqueueRow[] = [];
    for (const { write: writeOne, places } of batches) {
      const answered = await writeOne(executor, xid);
      if (answered.length === 0) return undefined;
      for (const [i, row] of answered.entries()) rows[places[i] ?? i] = row;
    }
    return rows;
  };
  if (tx !== undefined) return inForeignTransaction(tx, store.render, write);
  if (batches.length === 1) return (await write(store, null)) ?? [];
  return outOfDeadlock(() =>
    store.ownTransaction((own) => inForeignTransaction(own, store.render, write)),
  );
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

type Write = Batch["write"];

function batchesOf(
  all: readonly unknown[],
  writeOf: (places: readonly number[]) => Write,
  order: readonly number[] = [...all.keys()],
): Batch[] {
  const batches: Batch[] = [];
  for (let start = 0; start < order.length; start += ENQUEUE_BATCH) {
    const places = order.slice(start, start + ENQUEUE_BATCH);
    batches.push({ places, write: writeOf(places) });
  }
  return batches;
}

function writeAlike(task: string, payloads: readonly string[]): Write {
  const batch = { task, payloads: `[${payloads.join(",")}]` };
  return (executor, xid) => enqueueMany(executor, batch, xid);
}

/**
 * By key over all batches, as the database orders those of one: calls that have the same keys lock them in the same order. Lanes keep the order of
 * the call instead.
 */
function batchesByKey(tasks: readonly KeyedTask[]): Batch[] {
  const writeOf = (places: readonly number[]): Write => {
    const json = `[${at(tasks, places)
      .map((task) => task.json)
      .join(",")}]`;
    return (executor, xid) => enqueueEach(executor, json, xid);
  };
  if (tasks.length <= ENQUEUE_BATCH || tasks.some(({ lane }) => lane !== undefined))
    return batchesOf(tasks, writeOf);
  const keys = tasks.map(({ key = "" }) => Buffer.from(key));
  const byKey = [...keys.entries()].sort(([, one], [, other]) => Buffer.compare(one, other));
  return batchesOf(
    tasks,
    writeOf,
    byKey.map(([place]) => place),
  );
}

function at<T>(all: readonly T[], places: readonly number[]): T[] {
  return places.flatMap((place) => all.slice(place, place + 1));
}
