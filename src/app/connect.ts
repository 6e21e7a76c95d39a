/** The client of an app: what your code calls. Every write takes `{ tx }`, and then commits or rolls back with it. */

import { PawlError, shown } from "../base/errors.ts";
import { jsonLogger, LOG_LEVELS, type Logger, type LogLevel } from "../base/log.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { didYouMean } from "../base/suggest.ts";
import * as people from "../kernel/people/sql.ts";
import type { RecordOptions } from "../outbox/record.ts";
import { type EventRow, events } from "../outbox/sql.ts";
import type { Enqueued, EnqueueOptions } from "../queue/enqueue.ts";
import type { AnyJob, JobInput } from "../queue/job.ts";
import { keyRing } from "../requests/dispatch/key-ring.ts";
import { openSender } from "../requests/sender.ts";
import type { Store } from "../store/store.ts";
import type { Transaction } from "../store/transaction.ts";
import { type Database, openDatabase } from "./database.ts";
import { type App, isApp } from "./define-app.ts";
import { type Operate, operate } from "./operate.ts";
import { type OperateOutbox, operateOutbox } from "./operate-outbox.ts";
import { registerApp } from "./register.ts";
import { type Replays, replayCalls } from "./replays.ts";
import { requestSender, type SendRequest } from "./send.ts";
import { type Inbox, inboxCalls, type Sources, sourceCalls } from "./sources.ts";
import { type RunningWorker, startWork, type WorkBase } from "./work.ts";
import type { WorkOptions } from "./work-options.ts";
import { type InTransaction, writeEvent, writeTasks } from "./write.ts";

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

export interface Pawl extends Operate, Replays, OperateOutbox {
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
  /**
   * Records an event for one destination and no other, whatever the routes say: it only writes to the outbox.
   * @throws PawlError as `record`, and `unknown_destination` when there is none of this type and name
   */
  sendTo(
    type: string,
    destination: string,
    name: string,
    event: RecordOptions,
    options?: InTransaction,
  ): Promise<{ id: string }>;
  /**
   * Writes an HTTP request that a worker will send, until it succeeds, is told to stop, expires, or has used up its tries.
   * @throws PawlError `invalid_option` naming the field, `invalid_url`, `address_forbidden`, `payload_too_large`, `not_a_transaction`
   */
  send: SendRequest;
  readonly sources: Sources;
  readonly inbox: Inbox;
  work(options?: WorkOptions): Promise<RunningWorker>;
  stats(): Promise<people.QueueStats[]>;
  task(id: string): Promise<people.TaskDetail | undefined>;
  event(id: string): Promise<EventRow | undefined>;
  /** Stops its workers first. A second call waits for the first. */
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
    return client(app, database, log);
  } catch (error) {
    await database.close();
    throw error;
  }
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
  const http = openSender(app.http);
  const workers = workersOf({ store, app, http, log });
  const keys = keyRing(store, app.keys);
  const outbox = {
    store,
    http,
    log,
    types: app.destinationTypes,
    destinations: app.destinations,
    allow: app.http.allow ?? [],
    isWorking: workers.isWorking,
  };
  const close = async () => {
    await workers.stop();
    await http.close();
    await database.close();
  };
  let closed: Promise<void> | undefined;
  const pawl: Pawl = {
    ...operate(store, app.name),
    ...operateOutbox(outbox, app.name),
    ...replayCalls(store, app.name),
    app,
    store,
    transaction: (work) => store.transaction(work),
    enqueue: async (job, input, options) => {
      const [enqueued] = await pawl.enqueueMany(job, [input], options);
      if (enqueued === undefined)
        throw new PawlError("database_error", "enqueue: the database answered no row");
      return enqueued;
    },
    enqueueMany: (job, inputs, options = {}) => writeTasks(app, store, job, inputs, options),
    record: (name, event, options = {}) => writeEvent(app, store, name, event, options),
    sendTo: (type, destination, name, event, options = {}) =>
      writeEvent(app, store, name, event, { ...options, target: { type, name: destination } }),
    send: requestSender(app, store, keys),
    sources: sourceCalls(store, app.name),
    inbox: inboxCalls(store, app.name),
    work: (options = {}) => workers.start(options),
    stats: () => people.stats(store),
    task: (id) => people.findTask(store, id),
    event: async (id) => (await events(store, { id, limit: 1 }))[0],
    close: () => {
      closed ??= close();
      return closed;
    },
  };
  return pawl;
}

/** The workers of a client: none is left when it closes, also none that was still starting. */
function workersOf(base: WorkBase): {
  start: (options: WorkOptions) => Promise<RunningWorker>;
  stop: () => Promise<void>;
  isWorking: () => boolean;
} {
  const running = new Set<RunningWorker>();
  const starting = new Set<Promise<RunningWorker>>();
  let isStopping = false;
  const start = async (options: WorkOptions) => {
    const ended = () => running.delete(worker);
    const worker = await startWork({ ...base, ended }, options);
    running.add(worker);
    return worker;
  };
  return {
    start: async (options) => {
      if (isStopping) throw new PawlError("worker_stopping", "work: this client is closing");
      const started = start(options);
      starting.add(started);
      try {
        return await started;
      } finally {
        starting.delete(started);
      }
    },
    stop: async () => {
      isStopping = true;
      await Promise.allSettled(starting);
      await Promise.all([...running].map((worker) => worker.stop()));
    },
    isWorking: () => running.size > 0,
  };
}
