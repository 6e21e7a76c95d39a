/**
 * The one retry policy of all parts. A policy is written in one of two forms and made into a series of delays, once;
 * the catalogue keeps the series, and both TypeScript and SQL only look delays up in it.
 */

import { type Duration, durationMs } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";

const ATTEMPTS_MAX = 32_000;
/** No delay is longer than this unless `max` says so. */
const MAX_DEFAULT: Duration = "24h";
const JITTER_DEFAULT = 0.1;
/** A series never needs more entries than this: the last one repeats. */
const SERIES_MAX = 1_000;
const OPTIONS = ["attempts", "delay", "factor", "step", "max", "delays", "jitter", "until"];

/**
 * By formula: delay × factor^(n−1) after the nth failed attempt, at most `max`.
 * `{ attempts: 4, delay: "1s", factor: 2 }` → after 1 s, 2 s, 4 s, then dead.
 * By list: `{ delays: ["1s", "10s", "1m"] }`, the last one repeats; `attempts` defaults to one more than delays.
 */
export interface RetryPolicy {
  /** Tries in all, the first included; default 4 (or delays + 1). `1` never retries. */
  attempts?: number;
  /** Default 1 s. */
  delay?: Duration;
  /** Default 2; `1` is a fixed interval. */
  factor?: number;
  /** Added to the delay each time, instead of `factor`: a linear series. */
  step?: Duration;
  /** The longest delay; default 24 h. */
  max?: Duration;
  delays?: Duration[];
  /** Part of the delay by which it is spread to both sides, 0 to 1; default 0.1. */
  jitter?: number;
  /** No try starts later than this after the task was created. */
  until?: Duration;
}

/** As the catalogue keeps it. */
export interface RetrySeries {
  attempts: number;
  delays_ms: number[];
  jitter: number;
  until_ms: number | null;
}

/** @throws PawlError `invalid_option` naming the option, e.g. `queues.high.retry.attempts` */
export function retrySeries(policy: RetryPolicy, name: string): RetrySeries {
  refuseUnknownOptions(name, policy, OPTIONS);
  const attempts = whole(
    policy.attempts ?? (policy.delays?.length ?? 3) + 1,
    1,
    `${name}.attempts`,
  );
  const max = durationMs(policy.max ?? MAX_DEFAULT, `${name}.max`);
  const delays =
    policy.delays === undefined
      ? byFormula(policy, attempts, max, name)
      : byList(policy.delays, name);
  const jitter = policy.jitter ?? JITTER_DEFAULT;
  if (!(jitter >= 0 && jitter <= 1)) {
    throw invalid(`${name}.jitter`, "a number from 0 to 1", jitter);
  }
  return {
    attempts,
    delays_ms: withoutRepeats(delays),
    jitter,
    until_ms: policy.until === undefined ? null : durationMs(policy.until, `${name}.until`),
  };
}

/** Delay after the nth failed attempt (n from 1), in ms. `luck` 0 to 1 places it within the jitter; 0.5 is the middle. */
export function retryDelayMs(series: RetrySeries, attempt: number, luck: number): number {
  const delay = series.delays_ms[Math.min(attempt, series.delays_ms.length) - 1] ?? 0;
  return Math.round(delay * (1 + series.jitter * (2 * luck - 1)));
}

function byFormula(policy: RetryPolicy, attempts: number, maxMs: number, name: string): number[] {
  const delay = durationMs(policy.delay ?? "1s", `${name}.delay`);
  const step = policy.step === undefined ? undefined : durationMs(policy.step, `${name}.step`);
  const factor = policy.factor ?? 2;
  if (!(factor >= 1 && Number.isFinite(factor))) {
    throw invalid(`${name}.factor`, "a number from 1", factor);
  }
  return Array.from({ length: Math.max(Math.min(attempts - 1, SERIES_MAX), 1) }, (_, i) =>
    Math.round(Math.min(step === undefined ? delay * factor ** i : delay + step * i, maxMs)),
  );
}

function byList(delays: Duration[], name: string): number[] {
  if (delays.length === 0) throw invalid(`${name}.delays`, "at least one duration", delays);
  return delays.map((delay, i) => durationMs(delay, `${name}.delays[${i}]`));
}

function withoutRepeats(delays: number[]): number[] {
  let length = delays.length;
  while (length > 1 && delays[length - 1] === delays[length - 2]) length -= 1;
  return delays.slice(0, length);
}

function whole(value: number, min: number, name: string): number {
  if (Number.isInteger(value) && value >= min && value <= ATTEMPTS_MAX) return value;
  throw invalid(name, `a whole number from ${min} to ${ATTEMPTS_MAX}`, value);
}

function invalid(name: string, expected: string, value: unknown): PawlError {
  return new PawlError(
    "invalid_option",
    `expected \`${name}\` to be ${expected}, got ${shown(value)}`,
  );
}
