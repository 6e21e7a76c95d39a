/** The client of an app: what your code calls. With `{ tx }`, a write commits or rolls back together with that transaction. */

import { hostname } from "node:os";
import { PawlError, shown } from "../base/errors.ts";
import { jsonLogger, type Logger, logLevel, safeLogger } from "../base/log.ts";
import { badOption, refuseOptions } from "../base/options.ts";
import { type FieldsOf, readOptions, withDefault } from "../options/field.ts";
import { choice, flag, integer } from "../options/kinds.ts";
import { anything } from "../options/parts.ts";
import { registerApp } from "../registry/register.ts";
import { openSender } from "../sender/sender.ts";
import { type Database, openDatabase } from "../store/open-database.ts";
import { Outage } from "../store/outage.ts";
import type { Store } from "../store/store.ts";
import type { Transaction } from "../store/transaction.ts";
import { isApp } from "./define-app.ts";
import { nounCalls, partCalls } from "./nouns.ts";
import { operating } from "./operating.ts";
import { type App, type Calls, type Nouns, type Operating, PARTS } from "./parts.ts";
import { type ProducerCall, producerOf, refuseMigrate } from "./producer.ts";
import type { Root } from "./root.ts";
import { type RunningWorker, startWork, type WorkBase } from "./work.ts";
import type { WorkOptions } from "./work-options.ts";

const CONNECTIONS_MAX = 1_000;
/** Transactions that handlers have left open get only this time to end. */
const LEFT_OVER_MS = 300;

export interface ConnectOptions {
  /**
   * Default: `DATABASE_URL`; if that is not set, the embedded PostgreSQL, but not under `NODE_ENV=production`. `embedded`
   * always means the embedded PostgreSQL.
   */
  databaseUrl?: string;
  /** Runs pending migrations first. Default: true for the embedded server, false for any other (run `pawl migrate`). */
  migrate?: boolean;
  /**
   * Maximum number of connections, 1 to 1,000; default 10. Each worker opens one more for LISTEN, and those of its
   * `transactions`. With 1, a call inside `transaction` must take `tx`: without it, it waits for the connection that the
   * transaction holds.
   */
  connections?: number;
  /** A logger with pino's methods. Default: JSON lines on stderr, from level `PAWL_LOG_LEVEL` (`info`) up. */
  log?: Logger;
  /**
   * `producer`: a client that only writes work and events. It registers nothing and needs only the database role
   * `pawl_producer`; a worker of the app must have started once before. Default: everything.
   */
  role?: "producer";
}

const FIELDS = {
  databaseUrl: anything<string>("a URL, or `embedded`; checked where it is used"),
  migrate: flag("migrate at connect"),
  // besides the turns: looks, heartbeats, the keeper, events of deliveries, and the app's own transactions
  connections: withDefault(
    10,
    integer({ help: "maximum number of connections", max: CONNECTIONS_MAX }),
  ),
  log: anything<Logger>("anything with pino's methods"),
  role: choice(["producer"]),
} satisfies FieldsOf<ConnectOptions>;

export interface Pawl extends Nouns, Root, Calls {
  readonly app: App;
  /** The database's URL, with its password, for example for a pool of your own. */
  readonly databaseUrl: string;
  /** @internal */
  readonly store: Store;
  /** Runs `work` in a transaction: COMMIT when it returns, ROLLBACK when it throws. READ COMMITTED. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  work(options?: WorkOptions): Promise<RunningWorker>;
  /**
   * Stops this client's workers, then closes its connections. Open transactions get 5 s to end. A second call waits for the
   * first.
   */
  close(): Promise<void>;
}

/** What `connect(app, { role: "producer" })` gives. */
export type Producer = Pick<Pawl, ProducerCall>;

/**
 * Connects an app to its database and returns the client.
 *
 * @throws PawlError `database_unreachable`, `database_too_old`, `database_permission`, `schema_missing`, `invalid_option`,
 * `invalid_environment`, …
 */
export async function connect(
  app: App,
  options: ConnectOptions & { role: "producer" },
): Promise<Producer>;
export async function connect(app: App, options?: ConnectOptions): Promise<Pawl>;
export async function connect(app: App, options: ConnectOptions = {}): Promise<Pawl | Producer> {
  if (!isApp(app)) {
    throw new PawlError(
      "invalid_option",
      `connect: expected what defineApp(...) returned, got ${shown(app)}`,
    );
  }
  const { databaseUrl, migrate, connections, ...read } = readOptions("connect", FIELDS, options);
  const outage = new Outage(read.log === undefined ? jsonLogger(logLevel()) : safeLogger(read.log));
  const { log } = outage;
  const writesOnly = read.role === "producer";
  if (writesOnly) refuseMigrate(migrate);
  const database = await openDatabase({
    databaseUrl,
    root: app.root,
    schema: app.schema,
    connections,
    migrate,
    isUnread: writesOnly,
    log,
  });
  try {
    const watched = { ...database, store: outage.watch(database.store) };
    if (writesOnly) return producerOf(client(app, watched, outage));
    await registerApp({ store: watched.store, log }, app, PARTS); // watched: from now on losing the database is an outage
    return client(app, watched, outage);
  } catch (error) {
    await database.close();
    throw error;
  }
}

function client(app: App, database: Database, outage: Outage): Pawl {
  const { store } = database;
  const { log } = outage;
  const http = openSender(app.http);
  const workers = workersOf({ store, app, http, log, outage });
  const runs = runsOf();
  const close = async () => {
    await Promise.all([workers.stop(), runs.stop()]);
    await http.close();
    await database.close(workers.wasCut() ? LEFT_OVER_MS : undefined);
  };
  let closed: Promise<void> | undefined;
  const caller = {
    base: operating({
      store,
      http,
      log,
      app,
      isRegistered: true,
      isWorking: workers.isWorking,
      report: () => undefined,
      stoppable: runs.stoppable,
    }),
    by: `${app.name}@${hostname()}`,
  };
  return {
    ...nounCalls(caller),
    ...partCalls(app, caller),
    app,
    databaseUrl: store.url,
    store,
    transaction: async (work, ...more: unknown[]) => {
      refuseOptions("transaction", more);
      if (typeof work !== "function")
        throw badOption("transaction", "work", "a function of the transaction", work);
      return store.transaction(work);
    },
    work: (options = {}) => workers.start(options),
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

/** Work that verbs run in this process. When the client closes, it is asked to end and waited for. */
function runsOf(): Pick<Operating, "stoppable"> & { stop: () => Promise<void> } {
  const running = new Set<Promise<unknown>>();
  const over = new AbortController();
  const stop = new Promise<void>((resolve) => {
    over.signal.addEventListener("abort", () => resolve());
  });
  return {
    stoppable: async (work) => {
      const one = work(stop);
      running.add(one);
      try {
        return await one;
      } finally {
        running.delete(one);
      }
    },
    stop: async () => {
      over.abort();
      await Promise.allSettled(running);
    },
  };
}

/** The workers of a client. When it closes, all of them stop, also one that is still starting. */
function workersOf(base: WorkBase): {
  start: (options: WorkOptions) => Promise<RunningWorker>;
  stop: () => Promise<void>;
  isWorking: () => boolean;
  /** A handler may have left something open. */
  wasCut: () => boolean;
} {
  const running = new Set<RunningWorker>();
  const starting = new Set<Promise<RunningWorker>>();
  let isStopping = false;
  let wasCut = false;
  const start = async (options: WorkOptions) => {
    const ended = (isCut: boolean) => {
      running.delete(worker);
      wasCut ||= isCut;
    };
    const worker = await startWork({ ...base, ended, isStopping: () => isStopping }, options);
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
    wasCut: () => wasCut,
  };
}
