/**
 * The queue of all requests. Each host is a kind with its own limit and breaker, so that a host that fails or hangs does not
 * affect the others.
 */

import type { Duration } from "../../base/duration.ts";
import { PawlError, shown } from "../../base/errors.ts";
import type { RetrySeries } from "../../kernel/retry.ts";
import type { QueueRow } from "../../kernel/sql.ts";
import { type FieldsOf, readOptions, withDefault } from "../../options/field.ts";
import { orOff } from "../../options/parts.ts";
import {
  type BreakerOptions,
  breaker,
  keep,
  limit,
  type QueueBehaviour,
  type RateLimit,
  rate,
} from "../../queue/queue-options.ts";
import { behaviourRow } from "../../queue/queue-row.ts";

export const REQUESTS_QUEUE = "requests";
/** Prefix of the kinds: `request:crm.example`, and `request:#17` if too many hosts share one. */
export const REQUEST_KIND_PREFIX = "request:";
/** Each request brings its own number of tries and interval; what has neither an answer nor a fault comes back at once. */
const REQUEST_RETRY: RetrySeries = {
  attempts: 1_440,
  delays_ms: [0],
  jitter: 0,
  until_ms: null,
};

const LIMIT_VARIABLE = "PAWL_REQUESTS_LIMIT";
const LIMIT_MAX = 1_000_000;

export interface RequestsOptions {
  /**
   * Maximum number of requests at once, exactly, over all workers; default 100. Overridden by the variable
   * `PAWL_REQUESTS_LIMIT`.
   */
  concurrency?: number;
  /** Maximum number of requests at once to one host; default 10. */
  perHost?: number;
  /**
   * Pauses a host while its requests fail. Default: after 10 failures that are at least half of all attempts within 1 min.
   * `false`: never.
   */
  breaker?: BreakerOptions | false;
  /** Maximum rate of starts over all workers; default: no limit. */
  rate?: RateLimit;
  /** How long history keeps ended requests; default 7 days for `done`, 30 for the others. */
  keep?: { done?: Duration; cancelled?: Duration; removed?: Duration };
}

const FIELDS = {
  concurrency: withDefault(100, limit("under way at once, over all workers")),
  perHost: withDefault(10, limit("the same for each host")),
  breaker: withDefault({}, orOff(breaker)),
  rate,
  keep,
} satisfies FieldsOf<RequestsOptions>;

/** @throws PawlError `invalid_option` naming the option, as in `requests: expected \`perHost\`` */
export function requestsBehaviour(options: RequestsOptions): QueueBehaviour {
  const { perHost, breaker: pausing, ...read } = readOptions("requests", FIELDS, options);
  return {
    concurrency: read.concurrency,
    kindConcurrency: perHost,
    breaker: pausing === false ? null : pausing,
    rate: read.rate ?? null,
    onDead: "block",
    keepMs: read.keep ?? null,
  };
}

/** Applies the variable, if it is set. @throws PawlError `invalid_environment` */
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

/** @throws PawlError `invalid_environment` */
export function requestsRow(behaviour: QueueBehaviour): QueueRow {
  return {
    name: REQUESTS_QUEUE,
    retry: REQUEST_RETRY,
    timeout_ms: null,
    shards: 1,
    ...behaviourRow(requestsLimit(behaviour)),
    expired_is_dead: true,
  };
}
