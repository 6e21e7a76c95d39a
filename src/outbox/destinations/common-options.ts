/** The options that all types of destinations share, and the fields by which operators set them. */

import type { Duration } from "../../base/duration.ts";
import { type RetryPolicy, retry } from "../../kernel/retry.ts";
import {
  type Field,
  type FieldsOf,
  mapped,
  type ValueOf,
  withDefault,
} from "../../options/field.ts";
import { choice, duration } from "../../options/kinds.ts";
import { asItIs, orOff } from "../../options/parts.ts";
import {
  type BreakerOptions,
  breaker,
  limit,
  type RateLimit,
  rate,
} from "../../queue/queue-options.ts";
import type { ConfigFields } from "./fields.ts";
import type { DeliveryOrder, DestinationDefinition } from "./types.ts";

/** After the 1st failed attempt 1 min, then 2, 4, 8, 16, 32 min, 1 h 4 min, 2 h 8 min, 4 h 16 min, then dead. */
const RETRY_DEFAULT = {
  attempts: 10,
  delay: "60s",
  factor: 2,
  max: "12h",
  jitter: 0.1,
} satisfies RetryPolicy;
const TIMEOUT_MS_MAX = 600_000;

export interface CommonOptions {
  /** Replaces parts of the default: 10 attempts, 60 s × 2^(n−1), at most 12 h, jitter 0.1. */
  retry?: RetryPolicy;
  /** `aggregate`: deliveries about the same aggregate go one after the other; `all`: all deliveries do. Default `none`. */
  order?: DeliveryOrder;
  /** What an ordered destination does after a dead delivery: `block` (default) waits until an operator acts, `skip` goes on. */
  onDead?: "block" | "skip";
  /** Maximum number of deliveries at once, over all workers; default: no limit. */
  concurrency?: number;
  /** Maximum rate of starts, over all workers; default: no limit. */
  rate?: RateLimit;
  /** Pauses the destination while its deliveries fail; `false`: never. By default only `webhook` and `rabbitmq` have one. */
  breaker?: BreakerOptions | false;
  /** Time limit of one attempt; at most 10 min. */
  timeout?: Duration;
}

export const ORDER: Field<DeliveryOrder> = choice(["none", "aggregate", "all"]);
/** Checked here and passed on unchanged: the code that knows the destination's name reads them. */
export const COMMON: {
  readonly retry: Field<RetryPolicy, RetryPolicy, "default">;
  readonly order: Field<DeliveryOrder>;
  readonly onDead: Field<"block" | "skip">;
  readonly concurrency: Field<number>;
  readonly rate: Field<RateLimit>;
  readonly breaker: Field<BreakerOptions | false>;
  readonly timeout: Field<Duration, number>;
} = {
  retry: withDefault({}, mapped(asItIs(retry), overDefault)),
  order: ORDER,
  onDead: choice(["block", "skip"]),
  concurrency: limit("deliveries at once, over all workers"),
  rate: asItIs(rate),
  breaker: asItIs(orOff(breaker)),
  timeout: duration({ help: "time limit of one attempt", minMs: 1, maxMs: TIMEOUT_MS_MAX }),
} satisfies FieldsOf<CommonOptions>;

/** A list of delays replaces the formula and its number of attempts. */
function overDefault(policy: RetryPolicy): RetryPolicy {
  return policy.delays === undefined
    ? { ...RETRY_DEFAULT, ...policy }
    : { jitter: RETRY_DEFAULT.jitter, ...policy };
}

export const COMMON_FIELDS: ConfigFields = {
  timeout: { kind: "duration", label: "Timeout" },
  order: {
    kind: "choice",
    label: "Order",
    choices: ["none", "aggregate", "all"],
    default: "none",
  },
  onDead: {
    kind: "choice",
    label: "After a dead delivery",
    choices: ["block", "skip"],
    default: "block",
  },
  concurrency: { kind: "number", label: "Deliveries at once", min: 1, max: 1_000_000 },
  rate: { kind: "rate", label: "Rate" },
  retry: { kind: "retry", label: "Retries" },
  breaker: { kind: "breaker", label: "Breaker" },
};

/** The options, read. */
export type Common = ValueOf<typeof COMMON>;

/** @param defaults without a breaker: none unless an option sets one */
export function commonDefinition(
  { retry: policy, order, onDead, concurrency, rate: most, breaker: given, timeout }: Common,
  defaults: { timeoutMs: number; breaker?: BreakerOptions },
): Pick<DestinationDefinition, "retry" | "order" | "queue" | "timeoutMs"> {
  const pausing = given ?? defaults.breaker ?? false;
  return {
    retry: policy,
    ...(order !== undefined && { order }),
    queue: {
      ...(pausing !== false && { breaker: pausing }),
      ...(onDead !== undefined && { onDead }),
      ...(concurrency !== undefined && { concurrency }),
      ...(most !== undefined && { rate: most }),
    },
    timeoutMs: timeout ?? defaults.timeoutMs,
  };
}
