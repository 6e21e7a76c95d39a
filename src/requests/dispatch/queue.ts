/**
 * The queue of all requests. Each host is a kind of its own, with a limit and a breaker of its own, so that one that
 * fails or hangs takes nothing from the others.
 */

import type { Duration } from "../../base/duration.ts";
import { PawlError, shown } from "../../base/errors.ts";
import { refuseUnknownOptions } from "../../base/options.ts";
import type { RetrySeries } from "../../kernel/retry.ts";
import {
  type BreakerOptions,
  type QueueBehaviour,
  queueBehaviour,
  type RateLimit,
} from "../../queue/queue-options.ts";

export const REQUESTS_QUEUE = "requests";
/** Of the kinds: `request:crm.example`, and `request:#17` where too many hosts share one. */
export const REQUEST_KIND_PREFIX = "request:";
/** Each request brings its own number of tries and interval; what has neither an answer nor a fault comes back at once. */
export const REQUEST_RETRY: RetrySeries = {
  attempts: 1_440,
  delays_ms: [0],
  jitter: 0,
  until_ms: null,
};

const CONCURRENCY_DEFAULT = 100;
const PER_HOST_DEFAULT = 10;
const LIMIT_VARIABLE = "PAWL_REQUESTS_LIMIT";
const LIMIT_MAX = 1_000_000;

export interface RequestsOptions {
  /** Under way at once, over all workers, exactly; default 100. The variable `PAWL_REQUESTS_LIMIT` goes before it. */
  concurrency?: number;
  /** The same for each host; default 10. */
  perHost?: number;
  /** Pauses a host whose answers fail; default 10 failures that are half of all within 10 s. `false`: none. */
  breaker?: BreakerOptions | false;
  /** Starts that all workers together may make; default no limit. */
  rate?: RateLimit;
  /** How long history keeps what ended; default 7 days for `done`, 30 for the others. */
  keep?: { done?: Duration; cancelled?: Duration; removed?: Duration };
}

/** @throws PawlError `invalid_option` naming the option, as in `requests.perHost` */
export function requestsBehaviour(options: RequestsOptions): QueueBehaviour {
  refuseUnknownOptions("requests", options, ["concurrency", "perHost", "breaker", "rate", "keep"]);
  const { concurrency = CONCURRENCY_DEFAULT, perHost, breaker = {}, rate, keep } = options;
  return queueBehaviour("requests", {
    concurrency,
    kindConcurrency: perHost ?? PER_HOST_DEFAULT,
    ...(breaker !== false && { breaker }),
    ...(rate !== undefined && { rate }),
    ...(keep !== undefined && { keep }),
  });
}

/** What the variable says, where it is set. @throws PawlError `invalid_environment` */
export function requestsLimit(behaviour: QueueBehaviour): QueueBehaviour {
  const text = process.env[LIMIT_VARIABLE] ?? "";
  if (text === "") return behaviour;
  const concurrency = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (concurrency >= 1 && concurrency <= LIMIT_MAX) return { ...behaviour, concurrency };
  throw new PawlError(
    "invalid_environment",
    `${LIMIT_VARIABLE}: expected an integer from 1 to ${LIMIT_MAX}, got ${shown(text)}`,
    { data: { variable: LIMIT_VARIABLE } },
  );
}
