/** Durations: strings such as `"90s"` or milliseconds in the API, always milliseconds inside. */

import { PawlError, shown } from "./errors.ts";

const UNIT_MS: Record<string, number> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
/** 2,147,483,647 ms, about 24.8 days, is the longest that a timer of Node can wait. */
export const TIMER_MS_MAX = 2_147_483_647;
/** The longest wait that another side (a feed, a receiver) can ask for. */
const DAYS_30_MS = 30 * 86_400_000;
/** The longest duration: 3,650 days. PostgreSQL can add a hundred of them to any of our times. */
export const DURATION_MS_MAX: number = 3_650 * 86_400_000;
const PART = /(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*/gy;

/** `"500ms"`, `"90s"`, `"1h30m"`, `"7d"`, or a number of milliseconds. */
export type Duration = string | number;

/**
 * @param name what the value is, for the message of the error
 * @throws PawlError `invalid_option` for anything that is not a duration from 0 to 10 years
 */
export function durationMs(value: Duration, name: string): number {
  const ms = typeof value === "string" ? parseDuration(value.trim()) : waitMs(value);
  if (ms !== undefined && ms <= DURATION_MS_MAX) return ms;
  throw new PawlError(
    "invalid_option",
    `expected \`${name}\` to be a duration such as "500ms", "90s" or "1h30m", or milliseconds, from 0 to ${showBound(DURATION_MS_MAX)}, got ${shown(value)}`,
    { data: { option: name, value: typeof value === "bigint" ? String(value) : value } },
  );
}

/** Makes milliseconds that somebody else computed a whole number; undefined if it is not a number from 0 up. */
export function waitMs(value: unknown): number | undefined {
  const isWait = typeof value === "number" && Number.isFinite(value) && value >= 0;
  return isWait ? Math.round(value) : undefined;
}

/** The same of somebody who is waited for, such as a feed: never less than asked, and 30 days at most. */
export function boundedWaitMs(value: unknown): number | undefined {
  if (waitMs(value) === undefined) return undefined;
  return Math.min(Math.ceil(Number(value)), DAYS_30_MS);
}

/** Exact, unlike `showDuration`: `10m`, `24d`; what a timer can wait is said in whole days. */
export function showBound(ms: number): string {
  if (ms === 0) return "0";
  if (ms === TIMER_MS_MAX) return "24d";
  const [unit, size] = Object.entries(UNIT_MS)
    .filter(([name, unitMs]) => name !== "w" && ms % unitMs === 0)
    .reduce((longest, one) => (one[1] > longest[1] ? one : longest), ["ms", 1]);
  return `${ms / size}${unit}`;
}

function parseDuration(text: string): number | undefined {
  let total = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < text.length) {
    const part = PART.exec(text);
    if (part === null) return undefined;
    total += Number(part[1]) * (UNIT_MS[part[2] ?? ""] ?? Number.NaN);
  }
  return text === "" || !Number.isFinite(total) ? undefined : Math.round(total);
}

/** `1h 30m`, `2.5s`, `40ms`: short, for people. Cut, not rounded up: no `60s`, and nothing looks reached too early. */
export function showDuration(ms: number): string {
  if (ms < 1_000) return `${Math.floor(ms)}ms`;
  if (ms < 60_000) return `${Math.floor(ms / 100) / 10}s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)}m ${Math.floor((ms % 60_000) / 1_000)}s`;
  if (ms < 86_400_000)
    return `${Math.floor(ms / 3_600_000)}h ${Math.floor((ms % 3_600_000) / 60_000)}m`;
  return `${Math.floor(ms / 86_400_000)}d ${Math.floor((ms % 86_400_000) / 3_600_000)}h`;
}
