/** Starts a worker of an app: its handlers, its loops, its limits. */

import { type Duration, durationMs } from "../base/duration.ts";
import type { Logger } from "../base/log.ts";
import { localSwitches } from "../control/local-switches.ts";
import type { TaskHandler } from "../kernel/task.ts";
import { Worker } from "../kernel/worker.ts";
import { deliverer } from "../outbox/deliver.ts";
import { OWN_QUEUE, replayHandler } from "../outbox/replay/task.ts";
import { router } from "../outbox/router.ts";
import { hasWork } from "../outbox/sql.ts";
import { jobHandler } from "../queue/job.ts";
import { requestHandler } from "../requests/dispatch/handler.ts";
import { keyRing } from "../requests/dispatch/key-ring.ts";
import { REQUESTS_QUEUE } from "../requests/dispatch/queue.ts";
import { checkKey } from "../requests/keys/index.ts";
import type { HttpSender } from "../requests/sender.ts";
import { openStore, type Store } from "../store/store.ts";
import type { App } from "./define-app.ts";
import { type InboxLoops, inboxLoops, isInboxWorkLeft, servedSources } from "./inbox-loops.ts";
import { type WorkOptions, type WorkPlan, workPlan } from "./work-options.ts";

export interface RunningWorker {
  /** Resolves when a person asked all workers to stop, or the limit is reached. Then call `stop`. */
  readonly stopWanted: Promise<void>;
  readonly isIdle: boolean;
  readonly running: number;
  /**
   * Whether anything that it takes up is to be done now, in any worker, or within so many ms, as far as the database
   * knows: tasks, events to route, sources to ask or store. What a switch holds is no work now.
   */
  isWorkLeft(withinMs: number): Promise<boolean>;
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
  /** It has stopped, and closed what its destinations had opened. */
  ended?: () => void;
}

/** @throws PawlError `invalid_option`, `unknown_queue`, `invalid_environment` */
export async function startWork(base: WorkBase, options: WorkOptions): Promise<RunningWorker> {
  const { store, app, http, log } = base;
  const roles = base.delivering === undefined ? options.roles : (["worker"] as const);
  const plan = await workPlan(store, app, { ...options, ...(roles !== undefined && { roles }) });
  checkSecrets(app, plan);
  const transactionPool = openStore({
    url: store.url,
    schema: store.schema,
    max: plan.transactions,
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
  const isInboxLeft = await isInboxWorkLeft(store, app, plan.roles);
  const { runsTasks, limit } = plan;
  const worker = new Worker({
    store,
    transactionPool,
    localSwitches: localSwitches(),
    application: app.name,
    revision: app.revision,
    handlers: runsTasks ? handlersOf(base, deliveries.handlers) : [],
    queues: runsTasks && base.delivering === undefined ? [...plan.queues, OWN_QUEUE] : plan.queues,
    otherQueues: options.queues === undefined && runsTasks,
    concurrency: plan.concurrency,
    turns: plan.turns,
    ...(limit !== undefined && { limit }),
    resultBytesMax: app.maxPayloadBytes,
    log,
    serves: servedSources(app, plan.roles),
    loops: (kernel) => {
      inbox = inboxLoops(base, plan.roles, kernel);
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
    isWorkLeft: async (withinMs) =>
      (inbox?.isOffHere() !== true && (await isInboxLeft())) ||
      (runsTasks && (await hasWork(store, { streams: worker.streams, withinMs }))),
    wake: () => worker.wake(),
    stop: async (grace) => {
      const graceMs = grace === undefined ? plan.graceMs : durationMs(grace, "grace");
      const givenBack = await worker.stop(graceMs);
      closed ??= Promise.all([transactionPool.close(), deliveries.close()]).then(() => undefined);
      await closed;
      base.ended?.();
      return { givenBack };
    },
  };
}

/** What would fail at every try is said at the start. @throws PawlError `invalid_environment`, `invalid_option` */
function checkSecrets({ destinations, keys, sources }: App, { queues, roles }: WorkPlan): void {
  for (const { queue, definition } of destinations)
    if (queues.includes(queue)) definition.check?.();
  if (roles.includes("loader")) for (const source of sources) source.check?.();
  if (queues.includes(REQUESTS_QUEUE)) for (const key of keys.values()) checkKey(key);
}

function handlersOf(
  { store, app, http, delivering }: WorkBase,
  deliveries: readonly TaskHandler[],
): TaskHandler[] {
  if (delivering !== undefined) return deliveries.map((handler) => toldOf(handler, delivering));
  const timeouts = new Map(app.queues.map((queue) => [queue.name, queue.timeoutMs]));
  return [
    ...app.jobs.map((job) => jobHandler(job, timeouts.get(job.queue) ?? null)),
    ...deliveries,
    replayHandler(store),
    requestHandler({ executor: store, http, keys: keyRing(store, app.keys) }),
  ];
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
