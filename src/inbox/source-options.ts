/** The options that all types of sources share, checked at once and made into the part of a source that loading reads. */

import { type Duration, durationMs, TIMER_MS_MAX } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { badOption, refuseUnknownOptions } from "../base/options.ts";
import { type RetryPolicy, retrySeries } from "../kernel/retry.ts";
import type { Fault, FaultAction, SourceBase, StoreHandler } from "./source.ts";

const SOURCE_NAME = /^[a-z][a-z0-9_.-]{0,79}$/;
const INTEGER = /^-?\d{1,18}$/;
const LIMIT_DEFAULT = 1_000;
const LIMIT_MAX = 10_000;
const GAP_DEFAULT: Duration = "200ms";
const IDLE_DEFAULT: Duration = "1s";
const TIMEOUT_DEFAULT: Duration = "30s";
const LEASE_DEFAULT: Duration = "10s";
const LEASE_MS_MIN = 500;
const HIGH_WATER_DEFAULT = 100_000;
const WATER_MAX = 1_000_000_000;
/** A source that is not there is asked again until it is, however short its pauses. */
const FOR_EVER = 32_000;
const RETRY_DEFAULT: RetryPolicy = { delay: "1s", factor: 2, max: "5m" };
const STORE_TIMEOUT_DEFAULT: Duration = "60s";
const STORE_RETRY_DEFAULT: RetryPolicy = { attempts: 5, delay: "1s", factor: 4, max: "5m" };
const START_CHARS_MAX = 4_096;
const FAULTS: readonly Fault[] = ["unsent", "answered", "unknown"];
const ON_FAULT_DEFAULT: Record<Fault, FaultAction> = {
  unsent: "retry",
  answered: "hold",
  unknown: "hold",
};

/** Of every type of source. */
export interface SourceOptions {
  /** Its name in the catalogue, on the command line and in the inbox; 1 to 80 of a-z, 0-9, `_`, `.` and `-`. */
  name: string;
  /** Events in one window; default 1,000. */
  limit?: number;
  /** From the answer of one request to the next one, over all workers; default 200 ms. */
  gap?: Duration;
  /** What follows each kind of fault; default `{ unsent: "retry", answered: "hold", unknown: "hold" }`. */
  onFault?: Partial<Record<Fault, FaultAction>>;
  /** How faults are retried; when its attempts are used up the source is held. Default 1 s, doubling to 5 min, for ever. */
  retry?: RetryPolicy;
  /** The first cursor; default 0, of push sources -1, and "" where cursors are opaque. */
  start?: string | number | bigint;
  /** The wait when there is nothing more; default 1 s. */
  idle?: Duration;
  /** For one request; default 30 s. */
  timeout?: Duration;
  /** `source`: its events are stored one batch at a time, in their order. Default `none`: by several movers at once. */
  order?: "none" | "source";
  /** Loading pauses when so many events of it lie in the inbox; default 100,000. */
  highWater?: number;
  /** And goes on below so many; default half of `highWater`. */
  lowWater?: number;
  /** How long it stands still when the process that loads it dies; default 10 s. */
  lease?: Duration;
  /** Where its events go; default the table `stored_event`. */
  store?: StoreHandler;
  /** Events given to `store` at once; default 1,000, the most. */
  storeBatch?: number;
  /** For one call of `store`; default 60 s. */
  storeTimeout?: Duration;
  /** How often an event that fails alone is tried before it is set aside; default 5 times, over about 1.5 minutes. */
  storeRetry?: RetryPolicy;
}

export const SOURCE_OPTIONS: readonly (keyof SourceOptions)[] = [
  "name",
  "limit",
  "gap",
  "onFault",
  "retry",
  "start",
  "idle",
  "timeout",
  "order",
  "highWater",
  "lowWater",
  "lease",
  "store",
  "storeBatch",
  "storeTimeout",
  "storeRetry",
];

/** What a type of source says beside the options of its user. */
export interface SourceKind {
  type: string;
  config: Record<string, unknown>;
  cursor: "number" | "opaque";
  /** Instead of 0 or "". */
  start?: string;
}

/**
 * The part of a source that all types share. Options of the type itself are the caller's to check and to leave out here.
 *
 * @throws PawlError `invalid_option` naming the source and the option
 */
export function sourceBase(options: SourceOptions, kind: SourceKind): SourceBase {
  const { name } = options;
  if (typeof name !== "string" || !SOURCE_NAME.test(name)) {
    throw new PawlError(
      "invalid_option",
      `expected a source's name to be 1 to 80 of a-z, 0-9, "_", "." and "-", starting with a letter, got ${shown(name)}`,
    );
  }
  const at = `source "${name}"`;
  return {
    name,
    ...kind,
    start: startOf(at, options.start, kind),
    ...loading(at, options),
    ...water(at, options),
    ...storing(at, options),
  };
}

type Loading = "limit" | "gapMs" | "onFault" | "retry" | "idleMs" | "timeoutMs" | "leaseMs";

function loading(at: string, options: SourceOptions): Pick<SourceBase, Loading> {
  const leaseMs = timerMs(at, "lease", options.lease ?? LEASE_DEFAULT);
  if (leaseMs < LEASE_MS_MIN)
    throw badOption(at, "lease", `at least ${LEASE_MS_MIN} ms`, options.lease);
  return {
    limit: whole(at, "limit", options.limit ?? LIMIT_DEFAULT, LIMIT_MAX),
    gapMs: timerMs(at, "gap", options.gap ?? GAP_DEFAULT),
    onFault: onFault(at, options.onFault ?? {}),
    retry: retrySeries({ attempts: FOR_EVER, ...(options.retry ?? RETRY_DEFAULT) }, `${at}.retry`),
    idleMs: timerMs(at, "idle", options.idle ?? IDLE_DEFAULT),
    timeoutMs: timerMs(at, "timeout", options.timeout ?? TIMEOUT_DEFAULT),
    leaseMs,
  };
}

function water(at: string, options: SourceOptions): Pick<SourceBase, "highWater" | "lowWater"> {
  const highWater = whole(at, "highWater", options.highWater ?? HIGH_WATER_DEFAULT, WATER_MAX);
  const lowWater = options.lowWater ?? Math.floor(highWater / 2);
  if (Number.isInteger(lowWater) && lowWater >= 0 && lowWater < highWater)
    return { highWater, lowWater };
  throw badOption(at, "lowWater", `a whole number below highWater (${highWater})`, lowWater);
}

type Storing = "order" | "store" | "storeBatch" | "storeTimeoutMs" | "storeRetry";

function storing(at: string, options: SourceOptions): Pick<SourceBase, Storing> {
  const { order = "none", store = null } = options;
  if (order !== "none" && order !== "source")
    throw badOption(at, "order", '"none" or "source"', order);
  if (store !== null && typeof store !== "function")
    throw badOption(at, "store", "a function of the events", store);
  return {
    order,
    store,
    storeBatch: whole(at, "storeBatch", options.storeBatch ?? LIMIT_DEFAULT, LIMIT_DEFAULT),
    storeTimeoutMs: timerMs(at, "storeTimeout", options.storeTimeout ?? STORE_TIMEOUT_DEFAULT),
    storeRetry: retrySeries(options.storeRetry ?? STORE_RETRY_DEFAULT, `${at}.storeRetry`),
  };
}

function startOf(at: string, given: SourceOptions["start"], { cursor, start }: SourceKind): string {
  if (given === undefined) return start ?? (cursor === "number" ? "0" : "");
  const text = String(given);
  if (cursor === "number" && !INTEGER.test(text))
    throw badOption(at, "start", "a whole number such as 0 or -1", text);
  if (text.length > START_CHARS_MAX || text.includes("\0"))
    throw badOption(at, "start", `a text of at most ${START_CHARS_MAX} characters`, text);
  return cursor === "number" ? String(BigInt(text)) : text;
}

function onFault(
  at: string,
  given: Partial<Record<Fault, FaultAction>>,
): Readonly<Record<Fault, FaultAction>> {
  refuseUnknownOptions(`${at}.onFault`, given, FAULTS);
  for (const [fault, action] of Object.entries(given)) {
    if (action !== "retry" && action !== "hold")
      throw badOption(at, `onFault.${fault}`, '"retry" or "hold"', action);
  }
  return Object.freeze({ ...ON_FAULT_DEFAULT, ...given });
}

function whole(at: string, name: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw badOption(at, name, `a whole number from 1 to ${max}`, value);
}

function timerMs(at: string, name: string, value: Duration): number {
  const ms = durationMs(value, `${at}.${name}`);
  if (ms <= TIMER_MS_MAX) return ms;
  throw badOption(at, name, "at most 24 days", value);
}

export function called<F>(at: string, name: string, value: F): F {
  if (typeof value === "function") return value;
  throw badOption(at, name, "a function", value);
}
