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
const PART = /(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*/gy;

/** `"500ms"`, `"90s"`, `"1h30m"`, `"7d"`, or a number of milliseconds. */
export type Duration = string | number;

/**
 * @param name what the value is, for the message of the error
 * @throws PawlError `invalid_option` for anything that is not a duration from 0 up
 */
export function durationMs(value: Duration, name: string): number {
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return Math.round(value);
  if (typeof value === "string") {
    const parsed = parseDuration(value.trim());
    if (parsed !== undefined) return parsed;
  }
  throw new PawlError(
    "invalid_option",
    `expected \`${name}\` to be a duration such as "500ms", "90s", "1h30m" or milliseconds from 0, got ${shown(value)}`,
    { data: { option: name, value: typeof value === "bigint" ? String(value) : value } },
  );
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
