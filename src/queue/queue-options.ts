/** Queues: a name, and the defaults of the tasks in it. */

import { DURATION_MS_MAX, type Duration, TIMER_MS_MAX } from "../base/duration.ts";
import { PawlError } from "../base/errors.ts";
import type { BreakerPolicy } from "../kernel/breaker/sql.ts";
import { type RetryPolicy, type RetrySeries, retry } from "../kernel/retry.ts";
import {
  type Field,
  type FieldsOf,
  mapped,
  readOptions,
  required,
  type ValueOf,
  withDefault,
  wrong,
} from "../options/field.ts";
import { choice, duration, integer, matching, number } from "../options/kinds.ts";
import { group } from "../options/parts.ts";

/** In the name of a file that holds a queue on one host, the colon of `destination:erp` is written like this. */
const DESTINATION_FILE = "destination-";
const QUEUE_NAME = /^[a-z][a-z0-9_.-]{0,99}$/;
const SHARDS_MAX = 64;

export interface QueueOptions {
  /** Default: 4 attempts, after delays of 1, 2 and 4 s. */
  retry?: RetryPolicy;
  /** Time limit of one attempt; default 5 minutes. */
  timeout?: Duration;
  /**
   * Number of parts that the ready tasks of one kind are stored in, 1 to 64. Default 1; more are made when workers get into
   * each other's way. Within a part tasks start in the order in which they became ready; over several parts roughly so.
   */
  shards?: number;
  /** Maximum number of tasks that run at once, exactly, over all workers; default: no limit. */
  concurrency?: number;
  /** Maximum rate of starts, exactly, over all workers; default: no limit. */
  rate?: RateLimit;
  /** Maximum number of tasks of one kind that run at once, exactly, over all workers; default: no limit. */
  kindConcurrency?: number;
  /** Maximum rate of starts of one kind of task, exactly, over all workers; default: no limit. */
  kindRate?: RateLimit;
  /** Maximum number of tasks with the same `limitKey` that run at once, exactly, over all workers; default: no limit. */
  keyConcurrency?: number;
  /** Maximum rate of starts of tasks with the same `limitKey`, exactly, over all workers; default: no limit. */
  keyRate?: RateLimit;
  /** Pauses a kind of task while its attempts fail; the paused tasks lose no attempts. Default: no breaker. */
  breaker?: BreakerOptions;
  /** What a lane does after a dead letter: `block` (default) waits until an operator retries or removes it, `skip` goes on. */
  onDead?: "block" | "skip";
  /**
   * How long history keeps ended tasks; default 7 days for `done`, 30 for the others. Dead letters stay until an operator
   * acts.
   */
  keep?: Partial<Record<Outcome, Duration>>;
}

export interface RateLimit {
  /** Maximum number of starts in `per`, evenly spaced (GCRA). */
  limit: number;
  /** The time for `limit`; default 1 s. */
  per?: Duration;
  /**
   * Number of starts that may follow each other without a pause after a quiet time; default: what the rate gives in 100 ms,
   * at least 1.
   */
  burst?: number;
}

/** Opens when at least `failures` attempts failed within `window`, and they were at least `ratio` of all. */
export interface BreakerOptions {
  /** Minimum number of failures; default 10. */
  failures?: number;
  /** Minimum share of failures, 0 to 1; default 0.5. */
  ratio?: number;
  /** The time over which attempts are counted; default 1 min. */
  window?: Duration;
  /** How long nothing starts before one attempt is made as a probe; default 30 s. Doubles each time that the probe fails. */
  open?: Duration;
  /** The maximum of `open`; default 10 min. */
  openMax?: Duration;
}

/** Limits, order and history of a queue: the options that destinations share. */
export type QueueBehaviourOptions = Pick<
  QueueOptions,
  "concurrency" | "kindConcurrency" | "rate" | "breaker" | "onDead" | "keep"
>;

export interface QueueDefinition extends QueueBehaviour {
  name: string;
  retry: RetrySeries | null;
  timeoutMs: number | null;
  shards: number;
  kindRate: QueueRate | null;
  keyConcurrency: number | null;
  keyRate: QueueRate | null;
  /** One of Pawl's default queues, which the app does not configure: it belongs to no app. */
  isDefault: boolean;
}

export interface QueueBehaviour {
  concurrency: number | null;
  kindConcurrency: number | null;
  breaker: BreakerPolicy | null;
  rate: QueueRate | null;
  onDead: "block" | "skip";
  /** By outcome; null: the defaults. */
  keepMs: KeepMs | null;
}

interface QueueRate {
  limit: number;
  perMs: number;
  burst: number;
}

type KeepMs = Partial<Record<Outcome, number>>;
type Outcome = "done" | "cancelled" | "expired" | "removed";

const LIMIT_MAX = 1_000_000;
const BURST_DEFAULT_MS = 100;
const RATE = /^(\d+)\s*\/\s*(\d*)(ms|s|m|h|d)(?:\s+burst\s+(\d+))?$/;

/** What a timer waits for, and an int of SQL holds. */
export function timer(help: string): Field<Duration, number> {
  return duration({ help, minMs: 1, maxMs: TIMER_MS_MAX });
}

export function limit(help: string): Field<number> {
  return integer({ help, max: LIMIT_MAX });
}

/** `50/s`, `1000/m` or `10/30s burst 5` when typed. */
export const rate: Field<RateLimit, QueueRate> = mapped(
  group(
    "starts in a time, such as 50/s, 1000/m or 10/30s burst 5",
    {
      limit: required(limit("starts in this time")),
      per: withDefault("1s", timer("the time")),
      burst: limit("starts without a pause after a quiet time"),
    } satisfies FieldsOf<RateLimit>,
    { example: "50/s, 1000/m or 10/30s burst 5", shape: "n/time", parts: rateParts },
  ),
  ({ limit: most, per: perMs, burst: given }, place) => {
    const burst = given ?? Math.max(1, Math.floor((most * BURST_DEFAULT_MS) / perMs));
    if ((burst * perMs) / most <= DURATION_MS_MAX) return { limit: most, perMs, burst };
    const expected = `such that a burst of ${burst} starts is through within 10 years`;
    throw wrong(place, expected, { limit: most, per: perMs });
  },
);

/** Takes texts such as `50/s` apart. */
export function rateParts(text: string): Record<string, string> | undefined {
  const [, most, count = "", unit = "s", burst] = RATE.exec(text.trim()) ?? [];
  if (most === undefined) return undefined;
  return { limit: most, per: `${count || 1}${unit}`, ...(burst !== undefined && { burst }) };
}

const BREAKER = group("when it pauses, and for how long", {
  failures: withDefault(10, limit("failures that open it")),
  ratio: withDefault(
    0.5,
    number({ help: "their share of all attempts", min: 0, max: 1, isOver: true }),
  ),
  window: withDefault("1m", timer("the time in which they are counted")),
  open: withDefault("30s", timer("how long nothing starts before a probe")),
  openMax: withDefault("10m", timer("the longest that it stays open")),
} satisfies FieldsOf<BreakerOptions>);

export const breaker: Field<BreakerOptions, BreakerPolicy> = mapped(
  BREAKER,
  ({ failures, ratio, window, open, openMax }) => ({
    failures,
    ratio,
    window_ms: window,
    open_ms: open,
    open_ms_max: Math.max(open, openMax),
  }),
);

const kept = duration({ help: "how long history keeps it", maxMs: DURATION_MS_MAX });
export const keep: Field<NonNullable<QueueOptions["keep"]>, KeepMs> = group("by outcome", {
  done: kept,
  cancelled: kept,
  expired: kept,
  removed: kept,
});

const BEHAVIOUR = {
  concurrency: limit("tasks that may run at once, over all workers together"),
  kindConcurrency: limit("the same for each kind of task"),
  rate,
  breaker,
  onDead: withDefault("block", choice(["block", "skip"])),
  keep,
} satisfies FieldsOf<QueueBehaviourOptions>;

const QUEUE = {
  retry,
  timeout: timer("the longest run of one attempt"),
  shards: withDefault(
    1,
    integer({ help: "number of parts that hold ready tasks", max: SHARDS_MAX }),
  ),
  kindRate: rate,
  keyConcurrency: limit("tasks of one limit key that may run at once"),
  keyRate: rate,
  ...BEHAVIOUR,
} satisfies FieldsOf<QueueOptions>;

const NAME = matching('1 to 100 of a-z, 0-9, "_", "." and "-", starting with a letter', (text) =>
  QUEUE_NAME.test(text),
);

/** These always exist: 3 retries after 1 s × 2; 3 after 5 s × 3; 2 after 30 s × 2. */
export const DEFAULT_QUEUES: Record<string, QueueOptions> = {
  high: { retry: { attempts: 4, delay: "1s", factor: 2 } },
  normal: { retry: { attempts: 4, delay: "5s", factor: 3 } },
  low: { retry: { attempts: 3, delay: "30s", factor: 2 } },
};

/** @throws PawlError `invalid_option` naming the option, e.g. `queues.high.shards` */
export function defineQueue(name: string, options: QueueOptions): QueueDefinition {
  if (name.startsWith(DESTINATION_FILE)) {
    throw new PawlError(
      "invalid_option",
      `queue "${name}": a name that begins with "${DESTINATION_FILE}" is taken: the file queue-${name}.disabled holds a destination; choose another name`,
    );
  }
  NAME.read(name, { label: "a queue's name", option: "name" });
  const read = readOptions(`queues.${name}`, QUEUE, options);
  return {
    name,
    retry: read.retry ?? null,
    timeoutMs: read.timeout ?? null,
    shards: read.shards,
    kindRate: read.kindRate ?? null,
    keyConcurrency: read.keyConcurrency ?? null,
    keyRate: read.keyRate ?? null,
    isDefault: false,
    ...behaviourOf(read),
  };
}

/** @throws PawlError `invalid_option` naming the option after `where` */
export function queueBehaviour(where: string, options: QueueBehaviourOptions): QueueBehaviour {
  return behaviourOf(readOptions(where, BEHAVIOUR, options));
}

function behaviourOf(read: ValueOf<typeof BEHAVIOUR>): QueueBehaviour {
  return {
    concurrency: read.concurrency ?? null,
    kindConcurrency: read.kindConcurrency ?? null,
    breaker: read.breaker ?? null,
    rate: read.rate ?? null,
    onDead: read.onDead,
    keepMs: read.keep ?? null,
  };
}
