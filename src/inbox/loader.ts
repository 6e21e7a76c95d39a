/**
 * The loader, run by any worker: loads the sources that are due, several at once, each under its lease. A fault of one never
 * stops the others; a source that no worker loads is taken up by the next one that looks.
 */

import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import { messageOf } from "../base/thrown.ts";
import { NamedLease } from "../kernel/named-lease/named-lease.ts";
import type { Starting } from "../kernel/starts.ts";
import { type Question, watchedMs } from "../kernel/watch/watch.ts";
import type { HttpSender } from "../sender/sender.ts";
import type { PreparedExecutor } from "../store/executor.ts";
import { runPush } from "./push.ts";
import { isPush, type SourceDefinition } from "./source.ts";
import { dueSources, IS_SOURCE_DUE, makePartitions } from "./sql.ts";
import { isLeaseLost, nextWindow, type Point, type WindowContext } from "./window.ts";

/** Maximum number of sources requested at once; sources that deliver by themselves are not counted. */
const AT_ONCE = 8;
/** After this time a source makes room for one that waits. */
const TURN_MS = 2_000;
const LOOK_MS_MAX = 1_000;
/** The minimum time between two looks, even if something is due: another loader may be about to take it. */
const LOOK_GAP_MS = 20;
/**
 * How long a stop lets running requests end, whatever its grace. Requests that are cut off are unknown, and hold their
 * source.
 */
const GRACE_MS = 20_000;
const REST_MS = 1_000;
/** While a long query runs, each try blocks others for 2 s. */
const PARTITIONS_GAP_MS = 60_000;
const PARTITIONS_MS = 3_600_000;
const MONTHS_AHEAD = 2;

export interface LoaderOptions {
  executor: PreparedExecutor;
  sources: readonly SourceDefinition[];
  http: HttpSender;
  log: Logger;
  payloadBytesMax: number;
  /** For people: which worker. */
  holder: string;
  /** A switch on this host holds everything, or this source. */
  isOffHere: (source?: string) => boolean;
  /** Default: the loader looks every second itself. */
  watch?: (question: Question) => void;
  /** See `WorkerView`. */
  starting?: Starting;
  /** Events were received. */
  received?: () => void;
  /** Tests stop here. */
  at?: (point: Point, source: string) => Promise<void> | void;
}

export interface Loader extends Loop {
  /** True if no request is running and nothing was due at the last look. */
  readonly isIdle: boolean;
}

export function loader(options: LoaderOptions): Loader {
  const { executor, log, isOffHere } = options;
  const byName = new Map(options.sources.map((source) => [source.name, source]));
  const crew = openCrew(options, () => rounds.wake());
  let isIdle = false;
  const lookMs = options.watch === undefined ? LOOK_MS_MAX : watchedMs(LOOK_MS_MAX);
  /** Loading goes on without them: rows without a partition are in the default one. */
  const partitions = loop({
    gapMs: PARTITIONS_GAP_MS,
    runOnce: async () => {
      await makePartitions(executor, MONTHS_AHEAD);
      return PARTITIONS_MS;
    },
    failed: (error) =>
      log.warn({ err: messageOf(error) }, "making partitions failed, it is tried again"),
  });
  const rounds: Loop = loop({
    gapMs: LOOK_GAP_MS,
    runOnce: async () => {
      if (isOffHere()) {
        isIdle = true;
        return LOOK_MS_MAX;
      }
      const names = [...byName.keys()].filter((name) => crew.isFree(name) && !isOffHere(name));
      const due = names.length === 0 ? [] : await dueSources(executor, names);
      const ready = due.flatMap(({ name, wait_ms }) =>
        wait_ms > 0 ? [] : (byName.get(name) ?? []),
      );
      isIdle = ready.length === 0;
      crew.start(ready);
      return Math.min(lookMs, ...due.map((one) => one.wait_ms).filter((ms) => ms > 0));
    },
    failed: (error) => log.warn({ err: messageOf(error) }, "looking for due sources failed"),
  });
  options.watch?.({
    sql: IS_SOURCE_DUE,
    value: () => [...byName.keys()].filter((name) => crew.isFree(name) && !isOffHere(name)),
    yes: () => rounds.wake(),
  });
  return {
    start: () => {
      partitions.start();
      rounds.start();
    },
    wake: () => rounds.wake(),
    get isIdle() {
      return isIdle && crew.isIdle();
    },
    get graceMsMin() {
      return crew.isIdle() ? 0 : GRACE_MS;
    },
    stop: async () => {
      crew.stopStarting();
      await Promise.all([partitions.stop(), rounds.stop()]);
      await crew.stop(GRACE_MS);
    },
  };
}

/** The sources that this process loads now. */
interface Crew {
  /** It is not being loaded now, and no error makes it rest. */
  isFree: (name: string) => boolean;
  isIdle: () => boolean;
  /** Starts as many as there is room for. */
  start: (ready: readonly SourceDefinition[]) => void;
  stopStarting: () => void;
  stop: (graceMs: number) => Promise<void>;
}

function openCrew(options: LoaderOptions, ended: () => void): Crew {
  const { log } = options;
  const pulled = new Map<string, Promise<void>>();
  const pushed = new Map<string, Promise<void>>();
  /** When a source may be loaded again after an error of ours, such as a lost database. */
  const restUntil = new Map<string, number>();
  const abort = new AbortController();
  let isStopping = false;
  let isCrowded = false;
  const context: WindowContext = {
    ...options,
    abort: abort.signal,
    isStopping: () => isStopping,
    starting: options.starting ?? (() => () => true),
    received: () => options.received?.(),
  };
  const run = async (source: SourceDefinition, running: Map<string, Promise<void>>) => {
    try {
      const isStopped = () => isStopping || options.isOffHere(source.name);
      await runSource(source, { ...context, isStopping: isStopped }, () => isCrowded);
    } catch (error) {
      const data = { source: source.name, err: messageOf(error) };
      if (isLeaseLost(error)) log.warn(data, "lost the lease of a source");
      else {
        log.warn(data, "loading failed, it is tried again");
        restUntil.set(source.name, performance.now() + REST_MS);
      }
    } finally {
      running.delete(source.name);
      ended();
    }
  };
  return {
    isFree: (name) =>
      !pulled.has(name) &&
      !pushed.has(name) &&
      (restUntil.get(name) ?? 0) < performance.now() &&
      !isStopping,
    isIdle: () => pulled.size === 0,
    start: (ready) => {
      if (isStopping) return;
      for (const source of ready.filter(isPush)) pushed.set(source.name, run(source, pushed));
      const waiting = ready.filter((source) => !isPush(source));
      const taken = waiting.slice(0, AT_ONCE - pulled.size);
      isCrowded = taken.length < waiting.length;
      for (const source of taken) pulled.set(source.name, run(source, pulled));
    },
    stopStarting: () => {
      isStopping = true;
    },
    stop: async (graceMs) => {
      const cut = setTimeout(() => abort.abort(new Error("the loader stops")), graceMs);
      await Promise.all([...pulled.values(), ...pushed.values()]);
      clearTimeout(cut);
    },
  };
}

/** Runs window after window, until there is nothing more, a window fails, or others wait. */
async function runSource(
  source: SourceDefinition,
  context: WindowContext,
  isCrowded: () => boolean,
): Promise<void> {
  const { executor, holder, log, isStopping } = context;
  const lease = await NamedLease.take(executor, {
    name: `source:${source.name}`,
    owner: holder,
    lengthMs: source.leaseMs,
    log,
  });
  if (!(lease instanceof NamedLease)) return;
  const startedAt = performance.now();
  try {
    if (isPush(source)) return await runPush(source, lease, context);
    while (!isStopping() && (await nextWindow(source, lease, context))) {
      if (isCrowded() && performance.now() - startedAt > TURN_MS) break;
    }
  } finally {
    await lease.release().catch(() => undefined);
  }
}
