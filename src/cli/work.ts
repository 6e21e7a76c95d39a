/** `pawl work`: a worker until a signal, a request, a limit or the end of the work; it stops in good order. */

import { setTimeout as wait } from "node:timers/promises";
import type { Command } from "commander";
import { connect } from "../app/connect.ts";
import type { App } from "../app/define-app.ts";
import type { WorkRole } from "../app/inbox-loops.ts";
import type { RunningWorker } from "../app/work.ts";
import { toError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { type Call, command, does, requireApp } from "./command.ts";
import type { Answer } from "./output.ts";
import { stopSignals } from "./signals.ts";
import { byteSize, duration, nameList, wholeNumber } from "./values.ts";

const CONCURRENCY_MAX = 10_000;
const LIMIT_MAX = 1_000_000_000;
const IDLE_LOOK_MS = 50;
const MEMORY_LOOK_MS = 1_000;
/** With --until-idle: what is due within is waited for. */
const DUE_SOON_MS = 1_000;

interface Options {
  roles?: WorkRole[];
  queues?: string[];
  concurrency?: number;
  untilIdle?: boolean;
  once?: boolean;
  limit?: number;
  grace?: number;
  timeLimit?: number;
  memoryLimit?: number;
}

type EndedBy = "signal" | "request" | "limit or request" | "idle" | "time limit" | "memory limit";

const AFTER_HELP = `
SIGTERM, SIGINT and SIGHUP stop it: what runs may finish within --grace, the rest is given back to its queue
without counting the attempt, and the exit code is 0. A second signal ends it at once, with exit code 1;
its tasks then come back when its lease runs out, 10 s later, and the attempt counts.
Bare numbers in durations are seconds.`;

export function workCommand(): Command {
  const made = command("work", "Run tasks of the app until told to stop", [
    ["pawl work", "all queues of the app, then its destinations"],
    ["pawl work --queues high,normal --concurrency 50", "two queues, high first"],
    ["pawl work --until-idle", "for cron and for tests: end when nothing is left"],
    ["pawl work --roles loader,mover --once", "load and store what there is, then end"],
    ["pawl work --time-limit 1h --limit 10000 -v", "end early, for a supervisor to start anew"],
  ])
    .option(
      "--roles <names>",
      "worker runs tasks, loader loads sources, mover stores what they gave (default: all)",
      nameList("--roles"),
    )
    .option(
      "--queues <names>",
      "only these, the preferred first: high,normal",
      nameList("--queues"),
    )
    .option(
      "--concurrency <n>",
      "tasks at once (default: 20)",
      wholeNumber("--concurrency", CONCURRENCY_MAX),
    )
    .option(
      "--until-idle",
      "end when nothing of these queues is ready, running, to be routed, or due within 1 s, and sources have nothing more",
    )
    .option("--once", "the same as --until-idle")
    .option("--limit <n>", "end after so many tasks", wholeNumber("--limit", LIMIT_MAX))
    .option(
      "--grace <duration>",
      "how long a stop lets tasks finish (default: 25s)",
      duration("--grace", 0),
    )
    .option("--time-limit <duration>", "end after this time", duration("--time-limit", 1))
    .option(
      "--memory-limit <size>",
      "end when the process holds more memory than this, such as 256M",
      byteSize("--memory-limit"),
    )
    .addHelpText("after", AFTER_HELP);
  return does<Options>(made, work);
}

async function work(call: Call, options: Options): Promise<Answer> {
  const { log } = call;
  let isAsked = false;
  const signal = stopSignals(log).then(() => {
    isAsked = true;
  });
  process.on("uncaughtExceptionMonitor", (error) =>
    log.error({ err: error.message, stack: error.stack }, "uncaught: the worker ends"),
  );
  const app = await requireApp(call);
  const pawl = await connect(app, { log });
  try {
    if (isAsked) return ended("signal", 0); // while it connected
    const { roles, queues, concurrency, limit, grace } = options;
    const worker = await pawl.work({
      ...(roles !== undefined && { roles }),
      ...(queues !== undefined && { queues }),
      ...(concurrency !== undefined && { concurrency }),
      ...(limit !== undefined && { limit }),
      ...(grace !== undefined && { grace }),
    });
    tellPerson(app);
    const endedBy = await firstReason({ worker, signal, options, app, log });
    log.info({ endedBy, running: worker.running }, "worker stopping");
    const { givenBack } = await worker.stop();
    return ended(endedBy, givenBack);
  } finally {
    await pawl.close();
  }
}

function ended(endedBy: EndedBy, givenBack: number): Answer {
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
  const asked = options.limit === undefined ? "request" : "limit or request";
  const reasons: Promise<EndedBy>[] = [
    signal.then(() => "signal"),
    worker.stopWanted.then(() => asked),
  ];
  const { timeLimit, memoryLimit } = options;
  if (timeLimit !== undefined) reasons.push(wait(timeLimit, "time limit"));
  if (memoryLimit !== undefined)
    reasons.push(untilOver(memoryLimit, over.signal).then(() => "memory limit"));
  if (options.untilIdle === true || options.once === true)
    reasons.push(untilIdle(run, over.signal).then(() => "idle"));
  const reason = await Promise.race(reasons);
  over.abort();
  return reason;
}

/** What the system counts as the process's own (resident set size). */
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
      { err: toError(error).message },
      "looking for the end of the work failed, it is tried again",
    );
    return true;
  }
}

/** Not where logs are collected: there, every line is JSON. */
function tellPerson(app: App): void {
  if (process.stderr.isTTY)
    process.stderr.write(`pawl: app "${app.name}" works; Ctrl-C stops it\n`);
}
