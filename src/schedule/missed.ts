/** Decides what becomes of the due times that have come since the last look: which are started, and which were missed. */

import { firedAt, nextDue, type Timing } from "./timing.ts";

/** A due time that is found so much later than its moment was missed, as after a stop of all workers. */
const MISSED_AFTER_MS = 60_000;
/** Maximum number of due times of one schedule that are started at once; the next look takes the next ones. */
export const STARTS_MAX = 100;
/** Due times that were missed are counted one by one only up to this number; from there to the last ones they are passed over. */
export const COUNTED_MAX = 50;
/** Not less than `MISSED_AFTER_MS`: nothing that is in time is passed over. */
const LEAP_MS = MISSED_AFTER_MS;

/** Of those that were missed, `skip`: none is caught up. `last`: the last of them. `all`: those of the last `withinMs`. */
export type Missed =
  | { readonly policy: "skip" }
  | { readonly policy: "last" }
  | { readonly policy: "all"; readonly withinMs: number };

export interface DueSchedule {
  readonly name: string;
  readonly timing: Timing;
  readonly jitterMs: number;
  readonly missed: Missed;
  /** The first due time that nobody has decided about. */
  readonly nextAt: Date;
  /** When it is fired: not before its own moment with jitter, nor before those that came before it. */
  readonly fireAt: Date;
}

export interface Decision {
  /** To be started, in order. */
  dues: Date[];
  /** How many others were missed; of more than `COUNTED_MAX` only some are counted. */
  missed: number;
  missedSince: Date | undefined;
  missedAt: Date | undefined;
  /** The due time after all of them; undefined when it never comes again. */
  following: { at: Date; fireAt: Date } | undefined;
}

/** @param now the database's time */
export function decide(schedule: DueSchedule, now: Date): Decision {
  const { dues, moments, next } = dueTimes(schedule, now);
  const from = startsFrom(schedule.missed, moments, now);
  const rest = dues[from + STARTS_MAX];
  const missed = dues.slice(0, from);
  return {
    dues: dues.slice(from, from + STARTS_MAX),
    missed: missed.length,
    missedSince: missed[0],
    missedAt: missed.at(-1),
    following: followingOf(schedule, { at: rest ?? next, moment: moments[from + STARTS_MAX] }),
  };
}

/** Those that are left for the next look keep the moment at which they could be fired: waiting for their turn does not make them late. */
function followingOf(
  { name, jitterMs }: DueSchedule,
  { at, moment }: { at: Date | undefined; moment: number | undefined },
): Decision["following"] {
  if (at === undefined) return undefined;
  return { at, fireAt: moment === undefined ? firedAt(name, at, jitterMs) : new Date(moment) };
}

interface DueTimes {
  dues: Date[];
  /** When each could be fired: due times are fired in order, so one waits for the moments of those before it. */
  moments: number[];
  next: Date | undefined;
}

/** What is due at `now`, each with its own jitter, and the first that is not: of many that were missed only some, and the last. */
function dueTimes(schedule: DueSchedule, now: Date): DueTimes {
  const { name, timing, jitterMs, nextAt, fireAt } = schedule;
  const isYoung = (moment: number) => now.getTime() - moment <= lateMs(schedule.missed);
  const dues: Date[] = [];
  const moments: number[] = [];
  let next: Date | undefined = nextAt;
  let moment = fireAt.getTime();
  let young = 0;
  while (next !== undefined && young <= STARTS_MAX) {
    moment = Math.max(moment, firedAt(name, next, jitterMs).getTime());
    if (moment > now.getTime()) break;
    dues.push(next);
    moments.push(moment);
    if (isYoung(moment)) young += 1;
    next = nextDue(timing, dues.length === COUNTED_MAX ? leap(schedule, next, now) : next);
  }
  return { dues, moments, next };
}

/** A time from `at` on, behind which only a few are due before `now`, or those that are to be caught up; every young one is among them. */
function leap({ timing, missed, jitterMs }: DueSchedule, at: Date, now: Date): Date {
  const atMs = at.getTime();
  const end = now.getTime() - jitterMs;
  if (missed.policy === "all") return new Date(Math.max(atMs, end - lateMs(missed) - 1));
  const isSomeDueAfter = (ms: number) => {
    const next = nextDue(timing, new Date(ms));
    return next !== undefined && next.getTime() <= end;
  };
  let backMs = LEAP_MS;
  while (end - backMs > atMs && !isSomeDueAfter(end - backMs)) backMs *= 2;
  let some = Math.max(atMs, end - backMs);
  let none = end - backMs / 2;
  while (none - some > LEAP_MS) {
    const middle = Math.floor((some + none) / 2);
    if (isSomeDueAfter(middle)) some = middle;
    else none = middle;
  }
  return new Date(some);
}

function lateMs(missed: Missed): number {
  return missed.policy === "all" ? Math.max(missed.withinMs, MISSED_AFTER_MS) : MISSED_AFTER_MS;
}

/** From which one on they are started; those before it were missed. */
function startsFrom(missed: Missed, moments: readonly number[], now: Date): number {
  const young = moments.findIndex((moment) => now.getTime() - moment <= lateMs(missed));
  if (young !== -1) return young;
  return missed.policy === "last" ? Math.max(0, moments.length - 1) : moments.length;
}
