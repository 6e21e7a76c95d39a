/** Starts a worker of an app: the handlers and loops of its parts, and its limits. */

import { DURATION_MS_MAX, type Duration } from "../base/duration.ts";
import type { Logger } from "../base/log.ts";
import { messageOf } from "../base/thrown.ts";
import { tell, type WorkObserver } from "../kernel/heard.ts";
import { type LocalSwitches, localSwitches } from "../kernel/local-switches.ts";
import { around } from "../kernel/middleware.ts";
import type { PartWork } from "../kernel/part.ts";
import { type StopWanted, Worker } from "../kernel/worker.ts";
import { readValue } from "../options/field.ts";
import { duration } from "../options/kinds.ts";
import type { HttpSender } from "../sender/sender.ts";
import { Outage } from "../store/outage.ts";
import { openStore, type Store } from "../store/store.ts";
import { untilReached } from "../store/until-reached.ts";
import type { App } from "./parts.ts";
import { type AppPart, PARTS, type Tools } from "./parts.ts";
import { provided, writesOf } from "./provided.ts";
import { WORK_FIELDS, type WorkOptions, type WorkPlan, workPlan } from "./work-options.ts";

/** What a handler left open gets only this time. */
const CLOSE_MS = 300;
const WITHIN = duration({ help: "how far ahead to look", maxMs: DURATION_MS_MAX });
const SERVES_NOTHING = { jobs: [], destinations: [], sources: [], stores: [] };

export interface RunningWorker {
  /**
   * Resolves when the worker has stopped: by `stop`, because an operator stopped all workers, or because its `limit`, its
   * `failureLimit` or its `timeLimit` is reached.
   */
  readonly stopped: Promise<Stopped>;
  /** Resolves when an operator has stopped all workers, or a limit is reached. @internal */
  readonly stopWanted: Promise<StopWanted>;
  readonly isIdle: boolean;
  /** It has a lease and takes tasks: false while the database cannot be reached, and once it stops. */
  readonly isReady: boolean;
  readonly running: number;
  /**
   * True while this worker has work now or within `withinMs`: tasks, events to route, sources to load or to store. Work that
   * a switch holds does not count.
   */
  isWorkLeft(withinMs: number): Promise<boolean>;
  wake(): void;
  /** Waits up to `grace` for running tasks, then gives the rest back. */
  stop(grace?: Duration): Promise<Stopped>;
}

export interface Stopped {
  /** Tasks that were given back; their attempts do not count. */
  givenBack: number;
}

export interface WorkBase {
  store: Store;
  app: App;
  http: HttpSender;
  log: Logger;
  /** Default: a new one. */
  outage?: Outage;
  /** Called when the worker has stopped and its destinations are closed. `isCut`: the grace was not enough. */
  ended?: (isCut: boolean) => void;
  /** True when the client is closing: the worker then does not finish its start. */
  isStopping?: () => boolean;
}

/** @throws PawlError `invalid_option`, `unknown_queue`, `invalid_environment` */
export async function startWork(
  base: WorkBase,
  options: WorkOptions,
  parts: readonly AppPart[] = PARTS,
): Promise<RunningWorker> {
  const { store, app, log, outage = new Outage(log), isStopping = () => false } = base;
  const reached = <T>(work: () => Promise<T>) => untilReached(work, { log, isStopping });
  const plan = await reached(() => workPlan(store, app, options, parts));
  const transactionPool = outage.watch(poolOfTransactions(base, plan.transactions));
  const tools = toolsOf(base, plan, transactionPool);
  const works = await worksOf(parts, tools, reached).catch(async (error: unknown) => {
    await transactionPool.close(CLOSE_MS);
    throw error;
  });
  const worker = new Worker({
    store,
    transactionPool,
    localSwitches: switchesHere(app, parts),
    application: app.name,
    revision: app.revision,
    handlers: works.flatMap((work) => work.handlers ?? []).map((one) => around(one, app.use)),
    queues: [...plan.queues, ...works.flatMap((work) => work.queues ?? [])],
    otherQueues: options.queues === undefined && plan.runsTasks,
    exclude: plan.exclude,
    weights: plan.weights,
    concurrency: plan.concurrency,
    turns: plan.turns,
    ...plan.limits,
    resultBytesMax: app.maxPayloadBytes,
    log,
    observer: plan.observer,
    serving: Object.assign(
      { queues: plan.queues, ...SERVES_NOTHING },
      ...works.map((work) => work.serving),
    ),
    serves: works.flatMap((work) => work.serves ?? []),
    loops: (kernel) => works.flatMap((work) => work.loops?.(kernel) ?? []),
  });
  let closed: Promise<void> | undefined;
  await reached(() => worker.start());
  const unobserve = observeOutage(outage, plan.observer);
  const stop = async (graceMs: number): Promise<Stopped> => {
    const askedAt = performance.now();
    const givenBack = await worker.stop(graceMs);
    const isCut = performance.now() - askedAt >= graceMs;
    closed ??= Promise.all([
      transactionPool.close(CLOSE_MS),
      ...works.map((work) => work.close?.()),
    ]).then(() => undefined);
    await closed;
    unobserve();
    base.ended?.(isCut);
    return { givenBack };
  };
  const ending = deferred<Stopped>();
  const running: RunningWorker = {
    stopped: ending.promise,
    stopWanted: worker.stopWanted,
    get isIdle() {
      return worker.isIdle && works.every((work) => work.isIdle?.() ?? true);
    },
    get isReady() {
      return worker.isReady;
    },
    get running() {
      return worker.running;
    },
    isWorkLeft: async (within) => {
      const withinMs = readValue("isWorkLeft", "withinMs", WITHIN, within);
      for (const work of works)
        if ((await work.isWorkLeft?.({ streams: worker.streams, withinMs })) === true) return true;
      return false;
    },
    wake: () => worker.wake(),
    stop: async (grace) => {
      const graceMs =
        grace === undefined ? plan.graceMs : readValue("stop", "grace", WORK_FIELDS.grace, grace);
      const stopped = stop(graceMs);
      stopped.then(ending.resolve, ending.reject);
      return stopped;
    },
  };
  stopWhenWanted(running, log);
  return running;
}

function stopWhenWanted(worker: RunningWorker, log: Logger): void {
  worker.stopWanted
    .then(() => worker.stop())
    .catch((error: unknown) => log.error({ err: messageOf(error) }, "stopping the worker failed"));
}

function switchesHere(app: App, parts: readonly AppPart[]): LocalSwitches {
  return localSwitches(
    process.env,
    parts.flatMap((part) => part.switchFiles?.(app) ?? []),
    app.groups,
  );
}

/** A rejection reaches whoever awaits the promise; if nobody does, it is not reported as unhandled. */
function deferred<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (reason: unknown) => void;
} {
  let resolve: (value: T) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  const promise = new Promise<T>((resolveIt, rejectIt) => {
    resolve = resolveIt;
    reject = rejectIt;
  });
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}

/** Checks all parts before the first of them does anything. */
async function worksOf(
  parts: readonly AppPart[],
  tools: Tools,
  reached: <T>(work: () => Promise<T>) => Promise<T>,
): Promise<PartWork[]> {
  for (const part of parts) await part.check?.(tools);
  const works: PartWork[] = [];
  for (const part of parts) works.push(await reached(async () => (await part.work?.(tools)) ?? {}));
  return works;
}

function toolsOf(base: WorkBase, plan: WorkPlan, transactionPool: Store): Tools {
  const { store, app, http, log } = base;
  const writes = writesOf({ app, store });
  const given = provided({ app, databaseUrl: store.url });
  return { store, app, http, log, plan, transactionPool, writes, ...given };
}

function poolOfTransactions({ store, log }: WorkBase, max: number): Store {
  const { url, schema } = store;
  return openStore({ url, schema, max, connectTimeoutMs: 0, log }); // a handler's own timeout is the bound
}

/** Returns how to stop. */
function observeOutage(outage: Outage, observer: WorkObserver | undefined): () => void {
  return outage.observe({
    databaseLost: (lost) => tell(observer, "databaseLost", lost),
    databaseBack: (back) => tell(observer, "databaseBack", back),
  });
}
