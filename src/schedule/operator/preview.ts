/** The next due times of a schedule, as people read them: local time, and where a change of the clock moves one. */

import { firedAt, nextDue, type Timing } from "../timing.ts";

const MINUTE_MS = 60_000;

export interface PreviewedDue {
  dueAt: Date;
  /** Local time in the schedule's zone: `Sun 2026-03-29 03:00 +02:00`. */
  local: string;
  /** When it is fired: later than the due time by its jitter. */
  fireAt: Date;
  /** What a change of the clock does about this time; null: there is none. */
  clock: string | null;
}

export function preview(
  { name, timing, jitterMs }: { name: string; timing: Timing; jitterMs: number },
  { after, count }: { after: Date; count: number },
): PreviewedDue[] {
  const zone = "cron" in timing ? timing.timeZone : "UTC";
  const dues: PreviewedDue[] = [];
  let before = after;
  while (dues.length < count) {
    const dueAt = nextDue(timing, before);
    if (dueAt === undefined) break;
    dues.push({
      dueAt,
      local: localTime(dueAt, zone),
      fireAt: firedAt(name, dueAt, jitterMs),
      clock: clockChange(before, dueAt, zone),
    });
    before = dueAt;
  }
  return dues;
}

/** Between two due times, in whole minutes east of UTC. */
function clockChange(before: Date, due: Date, zone: string): string | null {
  const changed = offsetMinutes(due, zone) - offsetMinutes(before, zone);
  if (changed === 0) return null;
  const [direction, minutes] = changed > 0 ? ["forward", changed] : ["back", -changed];
  const by = minutes % 60 === 0 ? `${minutes / 60} h` : `${minutes} min`;
  const isJump =
    changed > 0 && offsetMinutes(new Date(due.getTime() - 1), zone) !== offsetMinutes(due, zone);
  const what = isJump ? "; it is due at the moment of the jump" : "";
  return `the clock was put ${direction} by ${by} since the time before${what}`;
}

function offsetMinutes(at: Date, zone: string): number {
  const { year, month, day, hour, minute, second } = partsOf(at, zone);
  const local = Date.UTC(+year, +month - 1, +day, +hour, +minute, +second);
  return Math.round((local - Math.floor(at.getTime() / 1_000) * 1_000) / MINUTE_MS);
}

function localTime(at: Date, zone: string): string {
  const { weekday, year, month, day, hour, minute, second } = partsOf(at, zone);
  const seconds = second === "00" ? "" : `:${second}`;
  const offset = offsetMinutes(at, zone);
  const [sign, ahead] = offset < 0 ? ["-", -offset] : ["+", offset];
  const two = (n: number) => String(n).padStart(2, "0");
  const zoned = offset === 0 ? "Z" : `${sign}${two(Math.floor(ahead / 60))}:${two(ahead % 60)}`;
  return `${weekday} ${year}-${month}-${day} ${hour}:${minute}${seconds} ${zoned}`;
}

type Parts = Record<"weekday" | "year" | "month" | "day" | "hour" | "minute" | "second", string>;

function partsOf(at: Date, timeZone: string): Parts {
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone,
    weekday: "short",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  });
  return Object.fromEntries(
    format.formatToParts(at).map(({ type, value }) => [type, value]),
  ) as Parts;
}
