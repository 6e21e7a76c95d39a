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
}

export interface QueueDefinition {
  name: string;
  retry: RetrySeries | null;
  timeoutMs: number | null;
  shards: number;
}

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
  refuseUnknownOptions(where, options, ["retry", "timeout", "shards"]);
  const shards = options.shards ?? 1;
  if (!Number.isInteger(shards) || shards < 1 || shards > SHARDS_MAX) {
    throw new PawlError(
      "invalid_option",
      `expected \`${where}.shards\` to be an integer from 1 to ${SHARDS_MAX}, got ${shown(shards)}`,
    );
  }
  return {
    name,
    retry: options.retry === undefined ? null : retrySeries(options.retry, `${where}.retry`),
    timeoutMs:
      options.timeout === undefined ? null : durationMs(options.timeout, `${where}.timeout`),
    shards,
  };
}
