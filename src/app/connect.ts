/** The client of an app: what your code calls. Every write takes `{ tx }`, and then commits or rolls back with it. */

import { PawlError, shown } from "../base/errors.ts";
import { jsonLogger, LOG_LEVELS, type Logger, type LogLevel } from "../base/log.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { didYouMean } from "../base/suggest.ts";
import * as people from "../kernel/people/sql.ts";
import { type EnqueueRow, enqueueMany as enqueueTasks, stopWorkers } from "../kernel/sql.ts";
import { eventInsert, type RecordOptions } from "../outbox/record.ts";
import { type EventRow, events, insertEvent } from "../outbox/sql.ts";
import { type Enqueued, type EnqueueOptions, payloadsJson, sharedJson } from "../queue/enqueue.ts";
import type { AnyJob, JobInput } from "../queue/job.ts";
import { closeHttpSender } from "../requests/sender.ts";
import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import {
  type ForeignTransaction,
  inForeignTransaction,
  type Transaction,
} from "../store/transaction.ts";
import { type Database, openDatabase } from "./database.ts";
import { type App, isApp } from "./define-app.ts";
import { registerApp } from "./register.ts";
import { type RunningWorker, startWork, type WorkOptions } from "./work.ts";

const ENQUEUE_BATCH = 1_000;
/** Besides the turns: looks, heartbeats, the keeper, events of deliveries, and the app's own transactions. */
const CONNECTIONS_DEFAULT = 10;
const CONNECTIONS_MAX = 1_000;
const OPTIONS = ["databaseUrl", "migrate", "connections", "log"];

export interface ConnectOptions {
  /** Default: `DATABASE_URL`; without either, the embedded PostgreSQL. */
  databaseUrl?: string;
  /** Migrate at connect. Default: only the embedded server; a given database wants `pawl migrate`. */
  migrate?: boolean;
  /** Connections at most, 2 to 1,000; default 10. A LISTEN connection for each worker comes on top. */
  connections?: number;
  /** Anything with pino's methods; default JSON lines on stderr from `PAWL_LOG_LEVEL` (`info`) up. */
  log?: Logger;
}

export interface InTransaction {
  /** Your open transaction: of pawl.transaction, or any client with `query(text, params)` that sent BEGIN. */
  tx?: ForeignTransaction;
}

export interface Pawl {
  readonly app: App;
  readonly store: Store;
  /** BEGIN, your function, COMMIT; ROLLBACK when it throws. READ COMMITTED. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** @throws PawlError `unknown_kind`, `invalid_payload`, `payload_not_json`, `payload_too_large`, `not_a_transaction` */
  enqueue<J extends AnyJob>(
    job: J,
    input: JobInput<J>,
    options?: EnqueueOptions & InTransaction,
  ): Promise<Enqueued>;
  /** All or none; answers in the order of the inputs. Without `tx`, more than 1,000 go in one transaction of their own. */
  enqueueMany<J extends AnyJob>(
    job: J,
    inputs: readonly JobInput<J>[],
    options?: EnqueueOptions & InTransaction,
  ): Promise<Enqueued[]>;
  /** One INSERT. Answers the event's id, a UUIDv7. */
  record(name: string, event: RecordOptions, options?: InTransaction): Promise<{ id: string }>;
  work(options?: WorkOptions): Promise<RunningWorker>;
  /** Asks every live worker to stop; answers how many were asked. */
  stopWorkers(): Promise<number>;
  stats(): Promise<people.QueueStats[]>;
  task(id: string): Promise<people.TaskDetail | undefined>;
  event(id: string): Promise<EventRow | undefined>;
  close(): Promise<void>;
}

/** @throws PawlError `database_unreachable`, `database_too_old`, `database_permission`, `schema_missing`, `invalid_option`, … */
export async function connect(app: App, options: ConnectOptions = {}): Promise<Pawl> {
  if (!isApp(app)) {
    throw new PawlError(
      "invalid_option",
      `connect: expected what defineApp(...) returned, got ${shown(app)}`,
    );
  }
  refuseUnknownOptions("connect", options, OPTIONS);
  const log = options.log ?? jsonLogger(logLevel());
  const connections = options.connections ?? CONNECTIONS_DEFAULT;
  if (!Number.isInteger(connections) || connections < 2 || connections > CONNECTIONS_MAX) {
    throw new PawlError(
      "invalid_option",
      `connect: expected \`connections\` to be an integer from 2 to ${CONNECTIONS_MAX}, got ${shown(connections)}`,
    );
  }
  const { databaseUrl, migrate } = options;
  const database = await openDatabase({
    databaseUrl,
    schema: app.schema,
    connections,
    migrate,
    log,
  });
  try {
    await registerApp(database.store, app);
  } catch (error) {
    await database.close();
    throw error;
  }
  return client(app, database, log);
}

/** `PAWL_LOG_LEVEL`. @throws PawlError `invalid_environment` */
export function logLevel(): LogLevel {
  const level = process.env.PAWL_LOG_LEVEL ?? "info";
  const known = LOG_LEVELS.find((one) => one === level);
  if (known !== undefined) return known;
  throw new PawlError(
    "invalid_environment",
    `PAWL_LOG_LEVEL: expected one of ${LOG_LEVELS.join(", ")}, got ${shown(level)}; ${didYouMean(level, LOG_LEVELS)}`,
  );
}

function client(app: App, database: Database, log: Logger): Pawl {
  const { store } = database;
  const workers = new Set<RunningWorker>();
  const pawl: Pawl = {
    app,
    store,
    transaction: (work) => store.transaction(work),
    enqueue: async (job, input, options) => {
      const [enqueued] = await pawl.enqueueMany(job, [input], options);
      if (enqueued === undefined)
        throw new PawlError("database_error", "enqueue: the database answered no row");
      return enqueued;
    },
    enqueueMany: (job, inputs, options = {}) => enqueueMany(app, store, job, inputs, options),
    record: (name, event, options = {}) => record(app, store, name, event, options),
    work: async (options = {}) => {
      const worker = await startWork(store, app, options, log);
      workers.add(worker);
      return worker;
    },
    stopWorkers: () => stopWorkers(store),
    stats: () => people.stats(store),
    task: (id) => people.findTask(store, id),
    event: async (id) => (await events(store, { id, limit: 1 }))[0],
    close: async () => {
      await Promise.all([...workers].map((worker) => worker.stop()));
      await closeHttpSender();
      await database.close();
    },
  };
  return pawl;
}

async function enqueueMany(
  app: App,
  store: Store,
  job: AnyJob,
  inputs: readonly unknown[],
  { tx, ...options }: EnqueueOptions & InTransaction,
): Promise<Enqueued[]> {
  if (!app.jobs.includes(job)) {
    const names = app.jobs.map((one) => one.name);
    throw new PawlError(
      "unknown_kind",
      `enqueue: job "${job?.name}" is not in the app's \`jobs\`; add it there, or ${didYouMean(String(job?.name), names)}`,
    );
  }
  if (inputs.length === 0) return [];
  const task = sharedJson(job, options, app.maxPayloadBytes);
  const batches: string[] = [];
  for (let start = 0; start < inputs.length; start += ENQUEUE_BATCH) {
    const batch = inputs.slice(start, start + ENQUEUE_BATCH);
    batches.push(await payloadsJson(job, batch, app.maxPayloadBytes));
  }
  const write = async (
    executor: Executor,
    xid: string | null,
  ): Promise<EnqueueRow[] | undefined> => {
    const rows: EnqueueRow[] = [];
    for (const payloads of batches) {
      const answered = await enqueueTasks(executor, { task, payloads }, xid);
      if (answered.length === 0) return undefined;
      rows.push(...answered);
    }
    return rows;
  };
  if (tx !== undefined) return inForeignTransaction(tx, store.render, write);
  if (batches.length === 1) return (await write(store, null)) ?? [];
  return store.transaction((own) => inForeignTransaction(own, store.render, write));
}

async function record(
  app: App,
  store: Store,
  name: string,
  event: RecordOptions,
  { tx }: InTransaction,
): Promise<{ id: string }> {
  const insert = eventInsert(name, event, app.maxPayloadBytes);
  const write = async (executor: Executor, xid: string | null) =>
    (await insertEvent(executor, insert, xid))[0];
  if (tx !== undefined) return inForeignTransaction(tx, store.render, write);
  const written = await write(store, null);
  if (written === undefined)
    throw new PawlError("database_error", `record "${name}": the database answered no row`);
  return written;
}
