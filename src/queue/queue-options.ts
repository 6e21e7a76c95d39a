/** Queues: a name, and the defaults of the tasks in it. */

import { type Duration, durationMs } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import type { BreakerPolicy } from "../kernel/breaker/sql.ts";
import { type RetryPolicy, type RetrySeries, retrySeries } from "../kernel/retry.ts";

const QUEUE_NAME = /^[a-z][a-z0-9_.-]{0,99}$/;
const SHARDS_MAX = 64;

export interface QueueOptions {
  /** Default: 4 attempts after 1, 2 and 4 s. */
  retry?: RetryPolicy;
  /** Longest run of one attempt; default 5 minutes. */
  timeout?: Duration;
  /**
   * Parts in which the ready tasks of one kind lie, 1 to 64; default 1, and more are made where workers get into each
   * other's way. Within a part tasks start in the order in which they became ready; with several, roughly so.
   */
  shards?: number;
  /** Tasks that may run at once, over all workers together, exactly; default no limit. */
  concurrency?: number;
  /** Starts that all workers together may make, exactly; default no limit. */
  rate?: RateLimit;
  /** The same for each kind of task in the queue. */
  kindConcurrency?: number;
  /** Pauses a kind of task whose attempts fail, all its tasks keeping their attempts; default no breaker. */
  breaker?: BreakerOptions;
  /** What a lane does behind a dead letter: `block` (default) until a person retries or removes it, or `skip` it. */
  onDead?: "block" | "skip";
  /** How long history keeps what ended; default 7 days for `done`, 30 for the others. Dead letters stay until a person acts. */
  keep?: Partial<Record<(typeof OUTCOMES)[number], Duration>>;
}

export interface RateLimit {
  /** Starts in `per`, evenly spaced (GCRA). */
  limit: number;
  /** Default 1 s. */
  per?: Duration;
  /** Starts that may follow each other without a pause after a quiet time; default what the rate gives in 100 ms, at least 1. */
  burst?: number;
}

/** Opens when, within `window`, at least `failures` attempts failed and they were at least `ratio` of all. */
export interface BreakerOptions {
  /** Default 10. */
  failures?: number;
  /** 0 to 1; default 0.5. */
  ratio?: number;
  /** Default 10 s. */
  window?: Duration;
  /** How long nothing starts before one attempt is made as a probe; doubles each time that the probe fails. Default 30 s. */
  open?: Duration;
  /** The longest that it stays open; default 10 min. */
  openMax?: Duration;
}

/** What limits a queue and keeps its order and history: the part of the options that destinations share. */
export type QueueBehaviourOptions = Pick<
  QueueOptions,
  "concurrency" | "kindConcurrency" | "rate" | "breaker" | "onDead" | "keep"
>;

export interface QueueDefinition extends QueueBehaviour {
  name: string;
  retry: RetrySeries | null;
  timeoutMs: number | null;
  shards: number;
}

export interface QueueBehaviour {
  concurrency: number | null;
  kindConcurrency: number | null;
  breaker: BreakerPolicy | null;
  rate: { limit: number; perMs: number; burst: number } | null;
  onDead: "block" | "skip";
  /** By outcome; null: the defaults. */
  keepMs: Partial<Record<(typeof OUTCOMES)[number], number>> | null;
}

const OUTCOMES = ["done", "cancelled", "expired", "removed"] as const;
const OPTIONS = [
  "retry",
  "timeout",
  "shards",
  "concurrency",
  "kindConcurrency",
  "rate",
  "breaker",
  "onDead",
  "keep",
];
const LIMIT_MAX = 1_000_000;
const BURST_DEFAULT_MS = 100;

/** There without being named: 3 retries after 1 s × 2; 3 after 5 s × 3; 2 after 30 s × 2. */
export const DEFAULT_QUEUES: Record<string, QueueOptions> = {
  high: { retry: { attempts: 4, delay: "1s", factor: 2 } },
  normal: { retry: { attempts: 4, delay: "5s", factor: 3 } },
  low: { retry: { attempts: 3, delay: "30s", factor: 2 } },
};

/** @throws PawlError `invalid_option` naming the option, e.g. `queues.high.shards` */
export function defineQueue(name: string, options: QueueOptions): QueueDefinition {
  if (!QUEUE_NAME.test(name)) {
    throw new PawlError(
      "invalid_option",
      `expected a queue's name to be 1 to 100 of a-z, 0-9, "_", "." and "-", starting with a letter, got ${shown(name)}`,
    );
  }
  const where = `queues.${name}`;
  refuseUnknownOptions(where, options, OPTIONS);
  return {
    name,
    retry: options.retry === undefined ? null : retrySeries(options.retry, `${where}.retry`),
    timeoutMs:
      options.timeout === undefined ? null : durationMs(options.timeout, `${where}.timeout`),
    shards: whole(`${where}.shards`, options.shards ?? 1, SHARDS_MAX),
    ...queueBehaviour(where, options),
  };
}

/** @throws PawlError `invalid_option` naming the option after `where` */
export function queueBehaviour(where: string, options: QueueBehaviourOptions): QueueBehaviour {
  const { concurrency, kindConcurrency, rate, breaker, onDead = "block", keep } = options;
  if (onDead !== "block" && onDead !== "skip") {
    throw new PawlError(
      "invalid_option",
      `expected \`${where}.onDead\` to be "block" or "skip", got ${shown(onDead)}`,
    );
  }
  return {
    concurrency: optionalWhole(`${where}.concurrency`, concurrency),
    kindConcurrency: optionalWhole(`${where}.kindConcurrency`, kindConcurrency),
    breaker: breaker === undefined ? null : breakerPolicy(`${where}.breaker`, breaker),
    rate: rate === undefined ? null : rateOf(`${where}.rate`, rate),
    onDead,
    keepMs: keep === undefined ? null : keepOf(`${where}.keep`, keep),
  };
}

/** @throws PawlError `invalid_option` naming the option after `where` */
export function breakerPolicy(where: string, options: BreakerOptions): BreakerPolicy {
  refuseUnknownOptions(where, options, ["failures", "ratio", "window", "open", "openMax"]);
  const { failures = 10, ratio = 0.5, window = "10s", open = "30s", openMax = "10m" } = options;
  if (!(ratio > 0 && ratio <= 1)) {
    throw new PawlError(
      "invalid_option",
      `expected \`${where}.ratio\` to be a number over 0 and up to 1, got ${shown(ratio)}`,
    );
  }
  const openMs = positiveMs(`${where}.open`, open);
  return {
    failures: whole(`${where}.failures`, failures, LIMIT_MAX),
    ratio,
    window_ms: positiveMs(`${where}.window`, window),
    open_ms: openMs,
    open_ms_max: Math.max(openMs, positiveMs(`${where}.openMax`, openMax)),
  };
}

function positiveMs(name: string, value: Duration): number {
  const ms = durationMs(value, name);
  if (ms >= 1) return ms;
  throw new PawlError(
    "invalid_option",
    `expected \`${name}\` to be at least 1 ms, got ${shown(value)}`,
  );
}

function optionalWhole(name: string, value: number | undefined): number | null {
  return value === undefined ? null : whole(name, value, LIMIT_MAX);
}

function rateOf(where: string, rate: RateLimit): QueueDefinition["rate"] {
  refuseUnknownOptions(where, rate, ["limit", "per", "burst"]);
  const limit = whole(`${where}.limit`, rate.limit, LIMIT_MAX);
  const perMs = positiveMs(`${where}.per`, rate.per ?? "1s");
  const burst = rate.burst ?? Math.max(1, Math.floor((limit * BURST_DEFAULT_MS) / perMs));
  return { limit, perMs, burst: whole(`${where}.burst`, burst, LIMIT_MAX) };
}

function keepOf(where: string, keep: NonNullable<QueueOptions["keep"]>): QueueDefinition["keepMs"] {
  refuseUnknownOptions(where, keep, OUTCOMES);
  return Object.fromEntries(
    Object.entries(keep).map(([outcome, time]) => [
      outcome,
      durationMs(time, `${where}.${outcome}`),
    ]),
  );
}

function whole(name: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new PawlError(
    "invalid_option",
    `expected \`${name}\` to be an integer from 1 to ${max}, got ${shown(value)}`,
  );
}
