/** `pawl work`: a worker until a signal, a request, a limit or the end of the work; it stops in good order. */

import { setTimeout as wait } from "node:timers/promises";
import type { Command } from "commander";
import { connect } from "../app/connect.ts";
import type { App } from "../app/parts.ts";
import type { RunningWorker } from "../app/work.ts";
import { WORK_FIELDS } from "../app/work-options.ts";
import { PawlError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { messageOf } from "../base/thrown.ts";
import type { StopWanted } from "../kernel/worker.ts";
import { field, type ValueOf } from "../options/field.ts";
import { flag, integer } from "../options/kinds.ts";
import { type Call, command, requireApp, takes } from "./command.ts";
import { HEALTH_HOST, healthFields, healthPort } from "./health-options.ts";
import { type Health, serveHealth } from "./health-server.ts";
import type { Answer } from "./output.ts";
import { argvWithout, Processes } from "./processes.ts";
import { stoppable } from "./signals.ts";
import { isSupervised, TELL_MS, tellParent } from "./supervised.ts";

/** One each for what the worker says, for a transaction of a handler, and to be woken. */
const CONNECTIONS_MIN = 3;
const CONNECTIONS_MAX = 1_000;
const TRANSACTIONS_MAX = 10;
const PROCESSES_MAX = 256;
const SIZE = /^(\d+(?:\.\d+)?)([KMG]?)B?$/i;
const SIZE_BYTES_MIN = 1_048_576;
const IDLE_LOOK_MS = 50;
const MEMORY_LOOK_MS = 1_000;
/** --until-idle waits for tasks that are due within this time. */
const DUE_SOON_MS = 1_000;

const { roles, queues, exclude, weights, concurrency, grace } = WORK_FIELDS;
const { limit, failureLimit, timeLimit, pollInterval } = WORK_FIELDS;
const WORK = {
  roles,
  queues,
  exclude,
  weights,
  concurrency,
  connections: integer({
    help: "the maximum number of database connections of this process, from 3 (default: 21)",
    min: CONNECTIONS_MIN,
    max: CONNECTIONS_MAX,
  }),
  untilIdle: flag(
    "stop when no work is left: no task is ready, running or due within 1 s, no event waits to be routed, and sources have no more events",
  ),
  once: flag("the same as --until-idle"),
  limit,
  failureLimit,
  grace,
  timeLimit,
  memoryLimit: field({
    kind: "size",
    help: "stop when the process uses more memory than this, such as 256M",
    shape: "size",
    expected: "a size of at least 1M, such as 256M or 1.5G",
    read: bytesOf,
  }),
  pollInterval,
  processes: integer({
    help: "run this many processes of this command line, and start again those that die; other options are for each of them",
    max: PROCESSES_MAX,
  }),
  ...healthFields(0),
};
/** Of the parent, not of its processes. */
const OF_PARENT = ["--processes", "--health-port", "--health-host"];
type Options = ValueOf<typeof WORK>;

/** K, M and G are powers of 1,024. */
function bytesOf(given: unknown): number | undefined {
  const [, digits = "NaN", unit = ""] = SIZE.exec(String(given)) ?? [];
  const bytes = Math.round(Number(digits) * 1_024 ** " KMG".indexOf(unit.toUpperCase() || " "));
  return bytes >= SIZE_BYTES_MIN && Number.isSafeInteger(bytes) ? bytes : undefined;
}

type EndedBy = "signal" | StopWanted | "idle" | "memory limit";

const AFTER_HELP = `
SIGTERM, SIGINT and SIGHUP stop it: what runs may finish within --grace, the rest is given back to its queue
without counting the attempt, and the exit code is 0. A second signal ends it at once, with exit code 1;
its tasks then come back when its lease runs out, 10 s later, and the attempt counts.

With --processes, the parent passes signals on, and ends when all processes have ended by a limit, --until-idle or
a stop. One that dies is started again after 0.5 s, then twice as long each time, up to 30 s. One that is stuck for 60 s is
killed and started again. Each opens its own connections.

/live answers 200 while the process does. /ready answers 200 while the worker has a lease and takes work, else 503:
while it starts or stops, or the database is away. With --processes they are the parent's: ready when all are.`;

export function workCommand(): Command {
  const made = command("work", "Run tasks of the app until told to stop", [
    ["pawl work", "all queues of the app, then its destinations"],
    ["pawl work --queues high,normal --concurrency 50", "two queues, high first"],
    ["pawl work --weights high=5,normal=3,low=1", "low goes on while high has work"],
    ["pawl work --until-idle", "for cron and for tests: end when nothing is left"],
    ["pawl work --roles loader,mover --once", "load and store what there is, then end"],
    ["pawl work --processes 4", "four processes, for handlers that compute"],
    ["pawl work --time-limit 1h --limit 10000 -v", "end early, for a supervisor to start again"],
  ]).addHelpText("after", AFTER_HELP);
  return takes(made, WORK, work);
}

async function work(call: Call, options: Options): Promise<Answer> {
  const { log } = call;
  const uncaught = (error: Error) =>
    log.error({ err: error.message, stack: error.stack }, "uncaught: the worker ends");
  process.on("uncaughtExceptionMonitor", uncaught);
  try {
    return await stoppable(log, (stop) => workWithHealth(stop, call, options));
  } finally {
    process.off("uncaughtExceptionMonitor", uncaught);
  }
}

/** The port answers from before it connects until it has ended. */
async function workWithHealth(stop: Promise<void>, call: Call, options: Options): Promise<Answer> {
  const state: State = { health: () => STARTING };
  const { healthHost: host = HEALTH_HOST } = options;
  const port = isSupervised() ? undefined : healthPort(options);
  if (port === undefined && options.healthHost !== undefined)
    throw new PawlError(
      "invalid_option",
      "work: --health-host without a port would answer nowhere; give --health-port too, or set PAWL_HEALTH_PORT",
      { data: { option: "--health-host" } },
    );
  const server =
    port === undefined
      ? undefined
      : await serveHealth({ port, host, health: () => state.health() });
  if (server !== undefined)
    call.log.info({ healthPort: server.port }, "answering /live and /ready");
  const tell = () => tellParent(state.health());
  const telling = isSupervised() ? setInterval(tell, TELL_MS) : undefined;
  try {
    await tell(); // before what may take long
    if (options.processes === undefined) return await workUntil(stop, call, options, state);
    const argv = argvWithout(process.argv.slice(2), OF_PARENT);
    const { log } = call;
    const { processes: count, grace: graceMs } = options;
    const processes = new Processes({ count, argv, log, stop, graceMs });
    state.health = () => processes.health;
    return await processes.run();
  } finally {
    clearInterval(telling);
    server?.close();
  }
}

interface State {
  health: () => Health;
}

const STARTING: Health = { isReady: false, reason: "starting" };
const READY: Health = { isReady: true, reason: "ok" };

function healthOf(worker: RunningWorker, isStopping: boolean): Health {
  if (isStopping) return { isReady: false, reason: "stopping" };
  return worker.isReady ? READY : { isReady: false, reason: "no lease: database not reached" };
}

async function workUntil(
  stop: Promise<void>,
  call: Call,
  options: Options,
  state: State,
): Promise<Answer> {
  const { log } = call;
  let isAsked = false;
  const signal = stop.then(() => {
    isAsked = true;
  });
  // a start that is asked to stop gets this time to end; then the process ends in the middle of it
  const graceOver = signal.then(() => wait(options.grace));
  const app = await requireApp(call);
  const shares = options.connections === undefined ? undefined : sharesOf(options.connections);
  const pawl = await before(graceOver, connect(app, { log, ...shares?.pool }));
  if (pawl === undefined) return ended("signal", 0);
  let isStarted = false;
  try {
    if (isAsked) return await ended("signal", 0); // while it connected
    const ofWorker = Object.entries(options).filter(([name]) => Object.hasOwn(WORK_FIELDS, name));
    const starting = pawl.work({ ...Object.fromEntries(ofWorker), ...shares?.handlers });
    const worker = await before(signal, starting);
    if (worker === undefined) return await ended("signal", 0);
    isStarted = true;
    let isStopping = false;
    state.health = () => healthOf(worker, isStopping);
    await tellParent(state.health());
    tellPerson(app);
    const endedBy = await firstReason({ worker, signal, options, app, log });
    isStopping = true;
    log.info({ endedBy, running: worker.running }, "worker stopping");
    const { givenBack } = await worker.stop();
    return await ended(endedBy, givenBack);
  } finally {
    await (isStarted ? pawl.close() : before(graceOver, pawl.close()));
  }
}

/** What `work` comes to; undefined when `end` comes first. */
async function before<T>(end: Promise<void>, work: Promise<T>): Promise<T | undefined> {
  work.catch(() => undefined); // when nobody waits for it any more
  return Promise.race([work, end.then(() => undefined)]);
}

/** How a given number of connections is used: one listens, and handlers' transactions have up to half of the others. */
function sharesOf(connections: number) {
  const transactions = Math.min(Math.ceil((connections - 2) / 2), TRANSACTIONS_MAX);
  return { pool: { connections: connections - 1 - transactions }, handlers: { transactions } };
}

async function ended(endedBy: EndedBy, givenBack: number): Promise<Answer> {
  await tellParent({ isReady: false, reason: "ended", endedBy, givenBack });
  return {
    json: { endedBy, givenBack },
    text: `ended by ${endedBy}, ${givenBack} tasks given back`,
  };
}

interface Run {
  worker: RunningWorker;
  signal: Promise<void>;
  options: Options;
  app: App;
  log: Logger;
}

async function firstReason(run: Run): Promise<EndedBy> {
  const { worker, signal, options } = run;
  const over = new AbortController();
  const reasons: Promise<EndedBy>[] = [signal.then(() => "signal"), worker.stopWanted];
  const { memoryLimit } = options;
  if (memoryLimit !== undefined)
    reasons.push(untilOver(memoryLimit, over.signal).then(() => "memory limit"));
  if (options.untilIdle === true || options.once === true)
    reasons.push(untilIdle(run, over.signal).then(() => "idle"));
  const reason = await Promise.race(reasons);
  over.abort();
  return reason;
}

/** The memory of this process as the system counts it (resident set size). */
async function untilOver(bytes: number, over: AbortSignal): Promise<void> {
  while (!over.aborted && process.memoryUsage.rss() <= bytes) await wait(MEMORY_LOOK_MS);
}

/** The worker's own view is cheap and comes first; the database has the last word, as other workers may run tasks too. */
async function untilIdle({ worker, log }: Run, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    if (worker.isIdle && !(await isWorkLeft(worker, log))) return;
    await wait(IDLE_LOOK_MS);
  }
}

async function isWorkLeft(worker: RunningWorker, log: Logger): Promise<boolean> {
  try {
    return await worker.isWorkLeft(DUE_SOON_MS);
  } catch (error) {
    log.warn(
      { err: messageOf(error) },
      "looking for the end of the work failed, it is tried again",
    );
    return true;
  }
}

/** Not if logs are collected: there, every line is JSON. */
function tellPerson(app: App): void {
  if (process.stderr.isTTY)
    process.stderr.write(`pawl: app "${app.name}" works; Ctrl-C stops it\n`);
}
