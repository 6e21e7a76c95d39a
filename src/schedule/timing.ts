/**
 * When a schedule is due. Everything here is computed from its definition alone, so that every worker comes to the same times.
 * A cron expression is local time of its zone; `every` counts from its origin.
 */

import { Cron } from "croner";
import { PawlError, shown } from "../base/errors.ts";
import { messageOf } from "../base/thrown.ts";

interface CronTiming {
  readonly cron: string;
  readonly timeZone: string;
}

export type Timing = CronTiming | { readonly everyMs: number; readonly from: Date };

const CRON_CHARS_MAX = 200;
const KEPT_MAX = 20_000;
const NICKNAMES = ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"];
const kept = new Map<string, Cron>();
/** Many schedules have the same times, and computing one takes 100 µs. */
const computed = new Map<string, Date | undefined>();

/**
 * The first due time after `from`; undefined when it never comes again.
 *
 * A cron time whose second, minute and hour are all written out is a fixed time. When the clock is put forward over it, it is due at the
 * moment of the jump; when the clock is put back and shows it twice, it is due the first time. One with `*` in them goes by the time
 * that passes: what is skipped does not come, and what is shown twice comes twice.
 */
export function nextDue(timing: Timing, from: Date): Date | undefined {
  if (!("cron" in timing)) return nextOfEvery(timing.everyMs, timing.from, from);
  const key = `${timing.timeZone} ${timing.cron} ${from.getTime()}`;
  if (computed.has(key)) return computed.get(key);
  const next = nextOfCron(timing, from);
  if (computed.size >= KEPT_MAX) computed.clear();
  computed.set(key, next);
  return next;
}

function nextOfCron(timing: CronTiming, from: Date): Date | undefined {
  const next = cronOf(timing.cron, timing.timeZone).nextRun(from) ?? undefined;
  if (next === undefined || next.getTime() > from.getTime()) return next;
  throw new PawlError(
    "invalid_option",
    `cron ${shown(timing.cron)} in ${timing.timeZone}: no due time after ${from.toISOString()} could be computed`,
  );
}

function nextOfEvery(everyMs: number, origin: Date, from: Date): Date {
  const sinceMs = from.getTime() - origin.getTime();
  const turns = Math.max(0, Math.floor(sinceMs / everyMs) + 1);
  return new Date(origin.getTime() + turns * everyMs);
}

/** When a due time is fired: the same for every worker that asks. `jitterMs` 0: at once. */
export function firedAt(name: string, due: Date, jitterMs: number): Date {
  if (jitterMs === 0) return due;
  return new Date(due.getTime() + (hashOf(`${name} ${due.getTime()}`) % jitterMs));
}

/** FNV-1a, and a last mix: neighbouring times are far apart. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1)
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) >>> 0;
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** @throws PawlError `invalid_option` for what is no cron expression or no time zone, and for one that never comes */
export function checkTiming(where: string, timing: Timing): void {
  if (!("cron" in timing)) return;
  const { cron, timeZone } = timing;
  if (!isTimeZone(timeZone)) {
    throw new PawlError(
      "invalid_option",
      `${where}: expected \`timeZone\` to be a name of the IANA database, such as "Europe/Prague" or "UTC", got ${shown(timeZone)}`,
      { data: { option: "timeZone" } },
    );
  }
  if (nextDueOrNone(where, timing) !== undefined) return;
  throw new PawlError(
    "invalid_option",
    `${where}: cron ${shown(cron)} never comes: there is no such day; correct it`,
    { data: { option: "cron" } },
  );
}

function nextDueOrNone(where: string, timing: CronTiming): Date | undefined {
  const { cron } = timing;
  const isShort = cron.length <= CRON_CHARS_MAX;
  const isNickname = cron.startsWith("@");
  const isKnown = isNickname
    ? NICKNAMES.includes(cron)
    : [5, 6].includes(cron.trim().split(/\s+/).length);
  try {
    if (isShort && isKnown) return nextDue(timing, new Date());
  } catch (thrown) {
    throw badCron(where, cron, messageOf(thrown).replace(/^CronPattern: /, ""));
  }
  throw badCron(where, cron, undefined);
}

function badCron(where: string, cron: string, why: string | undefined): PawlError {
  const reason = why === undefined ? "" : `; ${why}`;
  return new PawlError(
    "invalid_option",
    `${where}: expected \`cron\` to be "minute hour day month weekday", with seconds before it if wanted, such as "30 6 * * 1-5", or one of ${NICKNAMES.join(", ")}, got ${shown(cron)}${reason}`,
    { data: { option: "cron" } },
  );
}

function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]*$/.test(name)) return false;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).format() !== "";
  } catch {
    return false;
  }
}

function cronOf(cron: string, timeZone: string): Cron {
  const key = `${timeZone} ${cron}`;
  const known = kept.get(key);
  if (known !== undefined) return known;
  // paused: it computes, and never runs anything by itself
  const made = new Cron(cron, {
    timezone: timeZone,
    paused: true,
    mode: "5-or-6-parts",
    fixedTimeRule: "no-wildcard",
  });
  if (kept.size >= KEPT_MAX) kept.clear();
  kept.set(key, made);
  return made;
}
