/** Starts a worker of an app: its handlers, its loops, its limits. */

import { type Duration, durationMs } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { didYouMean } from "../base/suggest.ts";
import { localSwitches } from "../control/local-switches.ts";
import { CLAIM_MIN } from "../kernel/pump.ts";
import type { TaskHandler } from "../kernel/task.ts";
import { Worker } from "../kernel/worker.ts";
import { type Deliverer, deliverer } from "../outbox/deliver.ts";
import { OWN_QUEUE, replayHandler } from "../outbox/replay/task.ts";
import { router } from "../outbox/router.ts";
import { operatorsDestinations } from "../outbox/sql.ts";
import { jobHandler } from "../queue/job.ts";
import { requestHandler } from "../requests/dispatch/handler.ts";
import { keyRing } from "../requests/dispatch/key-ring.ts";
import { REQUESTS_QUEUE } from "../requests/dispatch/queue.ts";
import { checkKey } from "../requests/keys/index.ts";
import type { HttpSender } from "../requests/sender.ts";
import { openStore, type Store } from "../store/store.ts";
import type { App } from "./define-app.ts";
import {
  type InboxLoops,
  inboxLoops,
  isInboxWorkLeft,
  type WorkRole,
  wantedRoles,
} from "./inbox-loops.ts";

const CONCURRENCY_DEFAULT = 20;
const CONCURRENCY_MAX = 10_000;
const TURNS_DEFAULT_MAX = 3;
const TURNS_MAX = 16;
const TRANSACTIONS_DEFAULT_MAX = 10;
const TRANSACTIONS_MAX = 1_000;
const OPTIONS = ["roles", "queues", "concurrency", "turns", "transactions", "limit", "grace"];
const GRACE_DEFAULT: Duration = "25s";

export interface WorkOptions {
  /** `worker` runs tasks, `loader` loads the app's sources, `mover` stores what they gave; default all three. */
  roles?: readonly WorkRole[];
  /** Which queues, the preferred first; default: all of the app, then its destinations. */
  queues?: readonly string[];
  /** Tasks run at once, 1 to 10,000; default 20. */
  concurrency?: number;
  /** Turns under way at once, each on a connection of its own, 1 to 16; default one for each 50 slots, at most 3. */
  turns?: number;
  /** Handlers with `context.tx` open at once, each on a connection of its own; default `concurrency`, at most 10. */
  transactions?: number;
  /** Stops after so many tasks. */
  limit?: number;
  /** How long a stop waits for what runs before it gives it back; default 25 s. */
  grace?: Duration;
}

export interface RunningWorker {
  /** Resolves when a person asked all workers to stop, or the limit is reached. Then call `stop`. */
  readonly stopWanted: Promise<void>;
  readonly isIdle: boolean;
  readonly running: number;
  /** Ids of the streams that it can run: what it knows by its code, and what operators have made of that. */
  readonly streams: readonly number[];
  /** Something of the sources that it loads or stores is still to be asked for or stored, as far as is known. */
  isInboxWorkLeft(): Promise<boolean>;
  wake(): void;
  /** Finishes what runs or gives it back, uncounted. Returns how many tasks were given back. */
  stop(grace?: Duration): Promise<{ givenBack: number }>;
}

export interface WorkBase {
  store: Store;
  app: App;
  http: HttpSender;
  log: Logger;
  /** Only deliveries run, and each is told of when it starts. */
  delivering?: (taskId: string) => void;
}

/** @throws PawlError `invalid_option`, `unknown_queue`, `invalid_environment` */
export async function startWork(base: WorkBase, options: WorkOptions): Promise<RunningWorker> {
  const { store, app, http, log, delivering } = base;
  refuseUnknownOptions("work", options, OPTIONS);
  const concurrency = whole(
    "concurrency",
    options.concurrency ?? CONCURRENCY_DEFAULT,
    CONCURRENCY_MAX,
  );
  const turns = whole("turns", options.turns ?? turnsFor(concurrency), TURNS_MAX);
  const graceMs = durationMs(options.grace ?? GRACE_DEFAULT, "grace");
  const roles = delivering === undefined ? wantedRoles(options.roles) : (["worker"] as const);
  const runsTasks = roles.includes("worker");
  const queues = runsTasks ? await wantedQueues(store, app, options.queues) : [];
  checkSecrets(app, queues, roles);
  const transactions = whole(
    "transactions",
    options.transactions ?? Math.min(concurrency, TRANSACTIONS_DEFAULT_MAX),
    TRANSACTIONS_MAX,
  );
  const transactionPool = openStore({
    url: store.url,
    schema: store.schema,
    max: transactions,
    connectTimeoutMs: 0, // a handler's own timeout is the bound
    log,
  });
  const deliveries = await deliverer({
    executor: store,
    destinations: app.destinations,
    types: app.destinationTypes,
    http,
  });
  let inbox: InboxLoops | undefined;
  const isInboxLeft = await isInboxWorkLeft(store, app, roles);
  const worker = new Worker({
    store,
    transactionPool,
    localSwitches: localSwitches(),
    application: app.name,
    revision: app.revision,
    handlers: runsTasks ? taskHandlers(base, deliveries) : [],
    queues: delivering === undefined && runsTasks ? [...queues, OWN_QUEUE] : queues,
    otherQueues: options.queues === undefined && runsTasks,
    concurrency,
    turns,
    ...(options.limit !== undefined && {
      limit: whole("limit", options.limit, Number.MAX_SAFE_INTEGER),
    }),
    resultBytesMax: app.maxPayloadBytes,
    log,
    loops: (kernel) => {
      inbox = inboxLoops({ store, app, http, log }, roles, kernel);
      return [...(runsTasks ? [router({ executor: store, log, ...kernel })] : []), ...inbox.loops];
    },
  });
  let closed: Promise<void> | undefined;
  await worker.start();
  return {
    stopWanted: worker.stopWanted,
    get isIdle() {
      return worker.isIdle && (inbox?.isIdle() ?? true);
    },
    get running() {
      return worker.running;
    },
    get streams() {
      return worker.streams;
    },
    isInboxWorkLeft: isInboxLeft,
    wake: () => worker.wake(),
    stop: async (grace) => {
      const givenBack = await worker.stop(
        grace === undefined ? graceMs : durationMs(grace, "grace"),
      );
      closed ??= Promise.all([transactionPool.close(), deliveries.close()]).then(() => undefined);
      await closed;
      return { givenBack };
    },
  };
}

/** What the queues and sources will need is here, or the worker does not start. */
function checkSecrets(app: App, queues: readonly string[], roles: readonly WorkRole[]): void {
  for (const { queue, definition } of app.destinations)
    if (queues.includes(queue)) definition.check?.();
  if (queues.includes(REQUESTS_QUEUE)) for (const key of app.keys.values()) checkKey(key);
  if (roles.includes("loader")) for (const source of app.sources) source.check?.();
}

function taskHandlers(
  { store, app, http, delivering }: WorkBase,
  deliveries: Deliverer,
): TaskHandler[] {
  if (delivering !== undefined)
    return deliveries.handlers.map((handler) => toldOf(handler, delivering));
  const timeouts = new Map(app.queues.map((queue) => [queue.name, queue.timeoutMs]));
  return [
    ...app.jobs.map((job) => jobHandler(job, timeouts.get(job.queue) ?? null)),
    ...deliveries.handlers,
    replayHandler(store),
    requestHandler({ executor: store, http, keys: keyRing(store, app.keys) }),
  ];
}

/** More turns than the slots can fill are smaller ones, and what a turn costs is mostly fixed. */
function turnsFor(concurrency: number): number {
  return Math.min(Math.ceil(concurrency / CLAIM_MIN), TURNS_DEFAULT_MAX);
}

function toldOf(handler: TaskHandler, delivering: (taskId: string) => void): TaskHandler {
  return {
    ...handler,
    run: (payload, context) => {
      delivering(context.taskId);
      return handler.run(payload, context);
    },
  };
}

async function wantedQueues(
  store: Store,
  app: App,
  wanted: readonly string[] | undefined,
): Promise<string[]> {
  const known = [
    ...app.queues.map((queue) => queue.name),
    ...app.destinations.map((one) => one.queue),
    REQUESTS_QUEUE,
  ];
  if (wanted?.some((name) => !known.includes(name)) === true) {
    known.push(...(await operatorsDestinations(store)).map((one) => one.queue));
  }
  for (const name of wanted ?? []) {
    if (known.includes(name)) continue;
    throw new PawlError("unknown_queue", `work: no queue "${name}"; ${didYouMean(name, known)}`);
  }
  if (wanted !== undefined && wanted.length === 0) {
    throw new PawlError(
      "invalid_option",
      "work: expected `queues` to name at least one queue, got []",
    );
  }
  return wanted === undefined ? known : [...wanted];
}

function whole(name: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new PawlError(
    "invalid_option",
    `work: expected \`${name}\` to be an integer from 1 to ${max}, got ${shown(value)}`,
  );
}
