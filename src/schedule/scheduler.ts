/**
 * The scheduler, run by any worker: starts the tasks of schedules that are due. All workers look; the database lets one of them fire
 * each due time. It sleeps until the next one; what changes meanwhile the watch finds.
 */

import { setImmediate } from "node:timers/promises";
import { DURATION_MS_MAX } from "../base/duration.ts";
import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import { messageOf } from "../base/thrown.ts";
import { type Question, WATCHED_MS } from "../kernel/watch/watch.ts";
import type { PreparedExecutor } from "../store/executor.ts";
import { decide, type Missed } from "./missed.ts";
import {
  cancelScheduled,
  type Fired,
  type Firing,
  fireSchedules,
  IS_SCHEDULE_DUE,
  isScheduleLeft,
  type Look,
  lookAtSchedules,
  type SeenSchedule,
} from "./sql.ts";
import type { Timing } from "./timing.ts";

/** Maximum number of schedules fired in one transaction: a switch that is turned waits for it. */
const BATCH = 2_000;
/** Another worker may be firing what was seen. */
const LOOK_GAP_MS = 20;
const BUSY_MS = 1_000;
const TURN_MS = 20;
const LEFT_OUT_MS = 60_000;

export interface SchedulerOptions {
  executor: PreparedExecutor;
  log: Logger;
  offHere: () => readonly string[];
  /** Tasks were put. */
  wake: () => void;
  watch: (question: Question) => void;
}

export interface Scheduler extends Loop {
  /** Nothing was due at the last look. */
  readonly isIdle: boolean;
  /** True if a due time has come that this worker can compute and nothing holds, or one that waited can start. */
  isWorkLeft(): Promise<boolean>;
}

export function scheduler(options: SchedulerOptions): Scheduler {
  const { executor, log, wake } = options;
  const left = faultySchedules(log);
  const offHere = () => [...options.offHere(), ...left.scopes()];
  let isIdle = true;
  const rounds = loop({
    gapMs: LOOK_GAP_MS,
    runOnce: async () => {
      const { fired, faults, cancelled, waitMs, isMore } = await fireDue(executor, offHere());
      isIdle = !isMore && fired.length === 0;
      for (const one of fired) tell(log, one);
      for (const fault of faults) left.add(fault);
      if (fired.some(({ task_id }) => task_id !== null)) wake();
      const isDone = fired.some(({ outcome }) => outcome !== "busy");
      if (isMore) return isDone || cancelled > 0 || faults.some(isLeftOut) ? 0 : BUSY_MS;
      return Math.min(waitMs ?? WATCHED_MS, WATCHED_MS);
    },
    failed: (error) =>
      log.warn({ err: messageOf(error) }, "firing schedules failed, it is tried again"),
  });
  options.watch({ sql: IS_SCHEDULE_DUE, value: offHere, yes: () => rounds.wake() });
  return {
    ...rounds,
    get isIdle() {
      return isIdle;
    },
    isWorkLeft: () => isScheduleLeft(executor, offHere()),
  };
}

/** What one schedule could not do; the others go on. */
export interface Fault {
  name: string;
  doing: "computing its due times" | "cancelling its last task";
  error: string;
}

/** Another worker may be able to compute its times, and this one after a while; until then it takes no place in the looks. */
const isLeftOut = ({ doing }: Fault) => doing === "computing its due times";

/** Tells each fault once, and says which schedules this worker leaves out for a while. */
function faultySchedules(log: Logger): { add: (fault: Fault) => void; scopes: () => string[] } {
  const told = new Map<string, string>();
  const leftUntil = new Map<string, number>();
  return {
    add: (fault) => {
      const { name, doing, error } = fault;
      if (isLeftOut(fault)) leftUntil.set(name, performance.now() + LEFT_OUT_MS);
      if (told.get(`${doing} ${name}`) === error) return;
      told.set(`${doing} ${name}`, error);
      log.error({ schedule: name, err: error }, `schedule "${name}": ${doing} failed`);
    },
    scopes: () => {
      for (const [name, until] of leftUntil) if (until <= performance.now()) leftUntil.delete(name);
      return [...leftUntil.keys()].map((name) => `schedule:${name}`);
    },
  };
}

export interface Round {
  fired: Fired[];
  faults: Fault[];
  /** How many last tasks were asked to end. */
  cancelled: number;
  waitMs: number | null;
  /** Something was due: look again at once. */
  isMore: boolean;
}

/** One look, and what it asks for. */
export async function fireDue(
  executor: PreparedExecutor,
  offHere: readonly string[] = [],
): Promise<Round> {
  const look = await lookAtSchedules(executor, BATCH, offHere);
  const faults: Fault[] = [];
  const firings = await firingsOf(look, faults);
  const fired = firings.length === 0 ? [] : await fireSchedules(executor, firings, offHere);
  const cancelled = await cancelLasts(executor, look, faults);
  return { fired, faults, cancelled, waitMs: look.waitMs, isMore: look.schedules.length > 0 };
}

/** After the firing: it may wait for locks. */
async function cancelLasts(
  executor: PreparedExecutor,
  { schedules }: Look,
  faults: Fault[],
): Promise<number> {
  const names = new Map<number, string>();
  const tasks: number[] = [];
  for (const { id, name, cancel } of schedules) {
    if (cancel === null) continue;
    names.set(id, name);
    tasks.push(cancel);
  }
  if (tasks.length === 0) return 0;
  const asked = await cancelScheduled(executor, [...names.keys()], tasks);
  for (const { schedule_id: id, error } of asked)
    if (error !== null)
      faults.push({ name: names.get(id) ?? "", doing: "cancelling its last task", error });
  return asked.filter(({ error }) => error === null).length;
}

/** Lets others run meanwhile: after a long stop there is much to compute. */
async function firingsOf(look: Look, faults: Fault[]): Promise<Firing[]> {
  const firings: Firing[] = [];
  let since = performance.now();
  for (const seen of look.schedules) {
    try {
      firings.push(firingOf(seen, look));
    } catch (error) {
      const doing = "computing its due times";
      faults.push({ name: seen.name, doing, error: messageOf(error) });
    }
    if (performance.now() - since < TURN_MS) continue;
    await setImmediate();
    since = performance.now();
  }
  return firings;
}

function firingOf(seen: SeenSchedule, { seenAt }: Look): Firing {
  const { id, name, version, next_ms: nextMs, fire_ms: fireMs, jitter_ms: jitterMs } = seen;
  const nextAt = nextMs === null ? null : new Date(nextMs);
  const fireAt = new Date(fireMs ?? 0);
  const due = { name, timing: timingOf(seen), jitterMs, missed: missedOf(seen), fireAt };
  const decision = nextAt === null ? undefined : decide({ ...due, nextAt }, seenAt);
  return {
    id,
    version,
    next_at: nextAt,
    dues: decision?.dues ?? [],
    missed: decision?.missed ?? 0,
    missed_since: decision?.missedSince ?? null,
    missed_at: decision?.missedAt ?? null,
    then_at: decision?.following?.at ?? null,
    then_fire_at: decision?.following?.fireAt ?? null,
  };
}

function timingOf({ cron, time_zone, every_ms, origin_ms }: SeenSchedule): Timing {
  return cron === null
    ? { everyMs: every_ms ?? DURATION_MS_MAX, from: new Date(origin_ms ?? 0) }
    : { cron, timeZone: time_zone ?? "UTC" };
}

function missedOf({ missed, missed_ms }: SeenSchedule): Missed {
  return missed === "all" ? { policy: "all", withinMs: missed_ms ?? 0 } : { policy: missed };
}

function tell(log: Logger, { name, due_at, outcome, task_id, error }: Fired): void {
  const data = { schedule: name, due: due_at, task: task_id };
  if (outcome === "failed")
    log.error({ ...data, err: error }, `schedule "${name}" could not start its task`);
  else if (outcome === "busy")
    log.warn({ ...data, err: error }, `schedule "${name}" waits for a lock`);
  else log.debug(data, `schedule "${name}": ${outcome}`);
}
