/** The options that all types of destinations share, and the fields by which operators set them. */

import { type Duration, durationMs, showDuration } from "../../base/duration.ts";
import { PawlError, shown } from "../../base/errors.ts";
import type { RetryPolicy } from "../../kernel/retry.ts";
import type { BreakerOptions, RateLimit } from "../../queue/queue-options.ts";
import type { ConfigFields } from "./fields.ts";
import type { DeliveryOrder, DestinationDefinition } from "./types.ts";
import { webhookRetry } from "./webhook-options.ts";

const TIMEOUT_MS_MAX = 600_000;

export interface CommonOptions {
  /** Over the default: 10 attempts, 60 s × 2^(n−1), at most 12 h, jitter 0.1. */
  retry?: RetryPolicy;
  /** `aggregate`: deliveries about the same aggregate one after the other; `all`: all of them. Default `none`. */
  order?: DeliveryOrder;
  /** What an ordered destination does behind a dead delivery: `block` (default) until a person acts, or `skip` it. */
  onDead?: "block" | "skip";
  /** Deliveries at once, over all workers; default no limit. */
  concurrency?: number;
  /** Deliveries started in a time, over all workers; default no limit. */
  rate?: RateLimit;
  /** Pauses the destination while its deliveries fail; `false`: never. */
  breaker?: BreakerOptions | false;
  /** Over the whole try; at most 10 min. */
  timeout?: Duration;
}

export const COMMON_OPTIONS: readonly (keyof CommonOptions)[] = [
  "retry",
  "order",
  "onDead",
  "concurrency",
  "rate",
  "breaker",
  "timeout",
];

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
    label: "Behind a dead delivery",
    choices: ["block", "skip"],
    default: "block",
  },
  concurrency: { kind: "number", label: "Deliveries at once", min: 1, max: 1_000_000 },
  rate: { kind: "rate", label: "Rate" },
  retry: { kind: "retry", label: "Retries" },
  breaker: { kind: "breaker", label: "Breaker" },
};

interface Defaults {
  timeout: Duration;
  /** Left out: no breaker unless one is asked for. */
  breaker?: BreakerOptions;
}

/** @throws PawlError `invalid_option` */
export function commonDefinition(
  where: string,
  options: CommonOptions,
  defaults: Defaults,
): Pick<DestinationDefinition, "retry" | "order" | "queue" | "timeoutMs"> {
  const { order, onDead, concurrency, rate, breaker = defaults.breaker ?? false } = options;
  return {
    retry: webhookRetry(options.retry ?? {}),
    ...(order !== undefined && { order }),
    queue: {
      ...(breaker !== false && { breaker }),
      ...(onDead !== undefined && { onDead }),
      ...(concurrency !== undefined && { concurrency }),
      ...(rate !== undefined && { rate }),
    },
    timeoutMs: timeoutOf(where, options.timeout ?? defaults.timeout),
  };
}

function timeoutOf(where: string, timeout: Duration): number {
  const ms = durationMs(timeout, "timeout");
  if (ms >= 1 && ms <= TIMEOUT_MS_MAX) return ms;
  throw new PawlError(
    "invalid_option",
    `${where}: expected \`timeout\` to be from ${showDuration(1)} to ${showDuration(TIMEOUT_MS_MAX)}, got ${shown(timeout)}`,
    { data: { option: "timeout", value: timeout } },
  );
}
