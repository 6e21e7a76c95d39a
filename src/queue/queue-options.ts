/** Queues: a name, and the defaults of the tasks in it. */

import { type Duration, durationMs } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
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

/** What limits a queue and keeps its order and history: the part of the options that destinations share. */
export type QueueBehaviourOptions = Pick<QueueOptions, "concurrency" | "rate" | "onDead" | "keep">;

export interface QueueDefinition extends QueueBehaviour {
  name: string;
  retry: RetrySeries | null;
  timeoutMs: number | null;
  shards: number;
}

export interface QueueBehaviour {
  concurrency: number | null;
  rate: { limit: number; perMs: number; burst: number } | null;
  onDead: "block" | "skip";
  /** By outcome; null: the defaults. */
  keepMs: Partial<Record<(typeof OUTCOMES)[number], number>> | null;
}

const OUTCOMES = ["done", "cancelled", "expired", "removed"] as const;
const OPTIONS = ["retry", "timeout", "shards", "concurrency", "rate", "onDead", "keep"];
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
  const { concurrency, rate, onDead = "block", keep } = options;
  if (onDead !== "block" && onDead !== "skip") {
    throw new PawlError(
      "invalid_option",
      `expected \`${where}.onDead\` to be "block" or "skip", got ${shown(onDead)}`,
    );
  }
  return {
    concurrency:
      concurrency === undefined ? null : whole(`${where}.concurrency`, concurrency, LIMIT_MAX),
    rate: rate === undefined ? null : rateOf(`${where}.rate`, rate),
    onDead,
    keepMs: keep === undefined ? null : keepOf(`${where}.keep`, keep),
  };
}

function rateOf(where: string, rate: RateLimit): QueueDefinition["rate"] {
  refuseUnknownOptions(where, rate, ["limit", "per", "burst"]);
  const limit = whole(`${where}.limit`, rate.limit, LIMIT_MAX);
  const perMs = durationMs(rate.per ?? "1s", `${where}.per`);
  if (perMs < 1) {
    throw new PawlError(
      "invalid_option",
      `expected \`${where}.per\` to be at least 1 ms, got ${shown(rate.per)}`,
    );
  }
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
