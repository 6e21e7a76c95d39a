/**
 * The retry policy of all parts. A policy is written in one of two forms and made into a series of delays once; the
 * catalogue keeps the series, and TypeScript and SQL only look delays up in it.
 */

import { DURATION_MS_MAX, type Duration } from "../base/duration.ts";
import {
  type Field,
  type FieldsOf,
  mapped,
  readOptions,
  type ValueOf,
  withDefault,
} from "../options/field.ts";
import { duration, integer, number } from "../options/kinds.ts";
import { group, list } from "../options/parts.ts";

const ATTEMPTS_MAX = 32_000;
/** A series never needs more entries than this: the last one repeats. */
const SERIES_MAX = 1_000;

/**
 * By formula: delay × factor^(n−1) after the nth failed attempt, at most `max`. `{ attempts: 4, delay: "1s", factor: 2 }` →
 * after 1 s, 2 s, 4 s, then dead.
 * By list: `{ delays: ["1s", "10s", "1m"] }`; the last delay repeats; `attempts` defaults to the number of delays plus 1.
 */
export interface RetryPolicy {
  /** Maximum number of attempts, the first included; default 4 (or delays + 1). `1` never retries. */
  attempts?: number;
  /** The first delay; default 1 s. */
  delay?: Duration;
  /** Factor from one delay to the next; default 2. `1` gives a fixed interval. */
  factor?: number;
  /** Added to the delay each time, instead of `factor`: a linear series. */
  step?: Duration;
  /** The longest delay; default 24 h. */
  max?: Duration;
  delays?: readonly Duration[];
  /** Random part of the delay, in both directions, 0 to 1; default 0.1. */
  jitter?: number;
  /** No attempt starts later than this after the task was created. Default: no limit. */
  until?: Duration;
}

/** The policy as the catalogue keeps it. */
export interface RetrySeries {
  attempts: number;
  delays_ms: number[];
  jitter: number;
  until_ms: number | null;
}

const span = (help: string) => duration({ help, maxMs: DURATION_MS_MAX });
const FIELDS = {
  attempts: integer({ help: "maximum number of attempts, the first included", max: ATTEMPTS_MAX }),
  delay: withDefault("1s", span("after the first failed attempt")),
  factor: withDefault(2, number({ help: "what each delay is multiplied by", min: 1 })),
  step: span("added to the delay each time, instead of the factor"),
  max: withDefault("24h", span("the longest delay")),
  delays: list(span("a delay")),
  jitter: withDefault(
    0.1,
    number({ help: "random part of the delay, in both directions", min: 0, max: 1 }),
  ),
  until: span("no try starts later than this after the task was created"),
} satisfies FieldsOf<RetryPolicy>;

const policy = group("how failures are retried", FIELDS, {
  example: "10x 60s x2 max 12h or 1s,10s,1m",
  shape: "retry",
  parts: partsOf,
});
export const retry: Field<RetryPolicy, RetrySeries> = mapped(policy, seriesOf);

/**
 * Returns a policy as a series of delays.
 * @throws PawlError `invalid_option`, whose message begins with `name`, such as `queues.high.retry`
 */
export function retrySeries(given: RetryPolicy, name: string): RetrySeries {
  return seriesOf(readOptions(name, FIELDS, given));
}

function seriesOf(given: ValueOf<typeof FIELDS>): RetrySeries {
  const { delays, jitter, until } = given;
  const attempts = given.attempts ?? Math.min((delays?.length ?? 3) + 1, ATTEMPTS_MAX);
  return {
    attempts,
    delays_ms: withoutRepeats(delays ?? byFormula(given, attempts)),
    jitter,
    until_ms: until ?? null,
  };
}

/**
 * Returns the delay after the nth failed attempt (n from 1), in ms. `luck`, 0 to 1, is the position within the jitter; 0.5
 * is the middle.
 */
export function retryDelayMs(series: RetrySeries, attempt: number, luck: number): number {
  const delay = series.delays_ms[Math.min(attempt, series.delays_ms.length) - 1] ?? 0;
  return Math.round(delay * (1 + series.jitter * (2 * luck - 1)));
}

function byFormula(
  { delay, step, factor, max }: ValueOf<typeof FIELDS>,
  attempts: number,
): number[] {
  return Array.from({ length: Math.max(Math.min(attempts - 1, SERIES_MAX), 1) }, (_, i) =>
    Math.round(Math.min(step === undefined ? grown(delay, factor, i) : delay + step * i, max)),
  );
}

/** 0 stays 0, even if the power is too large for a number. */
function grown(delay: number, factor: number, times: number): number {
  return delay === 0 ? 0 : delay * factor ** times;
}

function withoutRepeats(delays: readonly number[]): number[] {
  let length = delays.length;
  while (length > 1 && delays[length - 1] === delays[length - 2]) length -= 1;
  return delays.slice(0, length);
}

/** `10x 60s x2 max 12h`: tries, first delay, factor (or `+30s`: step), longest delay; or `1s,10s,1m`. */
function partsOf(text: string): Record<string, string> | undefined {
  const parts: Record<string, string> = {};
  const words = text.trim().split(/\s+/);
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const isNamed = word === "max" || word === "until" || word === "jitter";
    const part = isNamed ? { [word]: words.shift() ?? "" } : partOf(word);
    if (part === undefined) return undefined;
    Object.assign(parts, part);
  }
  return parts;
}

function partOf(word: string): Record<string, string> | undefined {
  const attempts = /^(\d+)x$/.exec(word)?.[1];
  if (attempts !== undefined) return { attempts };
  const factor = /^[x×*](\d+(?:\.\d+)?)$/.exec(word)?.[1];
  if (factor !== undefined) return { factor };
  if (word.startsWith("+")) return { step: word.slice(1) };
  if (word.includes(",")) return { delays: word };
  return /^\d/.test(word) ? { delay: word } : undefined;
}
