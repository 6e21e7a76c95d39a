/** The options that all types of sources share, checked at once and made into what loading reads. */

import type { Duration } from "../base/duration.ts";
import { toJson } from "../base/json.ts";
import { badOption } from "../base/options.ts";
import { isStorable } from "../base/text.ts";
import { type RetryPolicy, type RetrySeries, retry, retrySeries } from "../kernel/retry.ts";
import {
  type Fields,
  type FieldsOf,
  mapped,
  named,
  type Place,
  readOptions,
  required,
  type ValueOf,
  withDefault,
} from "../options/field.ts";
import { choice, duration, func, integer, matching } from "../options/kinds.ts";
import { anything, asItIs, group, inside } from "../options/parts.ts";
import type { FaultAction, FaultChoice, SourceBase, StoreHandler } from "./source.ts";

const CONFIG_BYTES_MAX = 1_048_576;
const SOURCE_NAME = /^[a-z][a-z0-9_.-]{0,79}$/;
const INTEGER = /^-?\d{1,18}$/;
const LIMIT_DEFAULT = 1_000;
const LIMIT_MAX = 10_000;
const LEASE_MS_MIN = 500;
const WATER_MAX = 1_000_000_000;
/** A source that cannot be reached is requested again until it can, however short its pauses are. */
const FOR_EVER = 32_000;
const RETRY_DEFAULT: RetryPolicy = { delay: "1s", factor: 2, max: "5m" };
const START_CHARS_MAX = 4_096;
const ON_FAULT_DEFAULT: Record<Exclude<FaultChoice, "busy">, FaultAction> = {
  unsent: "retry",
  answered: "hold",
  unknown: "hold",
};

/** Options of every type of source. */
export interface SourceOptions {
  /** Its name in the catalogue, on the command line and in the inbox: 1 to 80 of a-z, 0-9, `_`, `.` and `-`. */
  name: string;
  /** Maximum number of events in one window; default 1,000. */
  limit?: number;
  /** Minimum time from the answer of one request to the next request, over all workers; default 200 ms. */
  gap?: Duration;
  /**
   * What to do for each kind of fault; default `{ unsent: "retry", answered: "hold", unknown: "hold" }`. `busy` is a
   * temporary error, such as status 500. Its default is `answered`; for `httpSource` it is `"retry"` if `answered` is not
   * given.
   */
  onFault?: Partial<Record<FaultChoice, FaultAction>>;
  /** How faults are retried; when the attempts are used up, the source is held. Default: 1 s, doubling to 5 min, for ever. */
  retry?: RetryPolicy;
  /** The first cursor. Default 0; for push sources -1; for opaque cursors "". */
  start?: string | number | bigint;
  /** The pause when there is nothing more; default 1 s. */
  idle?: Duration;
  /** Time limit of one request; default 30 s. */
  timeout?: Duration;
  /** `source`: batches of its events are stored one at a time, in order. `none` (default): several movers store at once. */
  order?: "none" | "source";
  /** Loading pauses at this number of its events in the inbox; default 100,000. */
  highWater?: number;
  /** Loading continues below this number; default half of `highWater`. */
  lowWater?: number;
  /** How long the source stands still after the process that loads it has died; default 10 s. */
  lease?: Duration;
  /** Stores its events. Default: into the table `stored_event`. */
  store?: StoreHandler;
  /** Maximum number of events in one call of `store`, 1 to 1,000; default 1,000. */
  storeBatch?: number;
  /** Time limit of one call of `store`; default 60 s. */
  storeTimeout?: Duration;
  /** How often an event that fails on its own is tried before it is set aside; default 5 times, over about 1.5 minutes. */
  storeRetry?: RetryPolicy;
}

const ACTION = choice<FaultAction>(["retry", "hold"]);
const FIELDS = {
  name: required(
    matching('1 to 80 of a-z, 0-9, "_", "." and "-", starting with a letter', (text) =>
      SOURCE_NAME.test(text),
    ),
  ),
  limit: withDefault(LIMIT_DEFAULT, integer({ help: "events in one window", max: LIMIT_MAX })),
  gap: withDefault("200ms", duration({ help: "from an answer to the next request" })),
  onFault: withDefault(
    {},
    group("what follows each kind of fault", {
      unsent: ACTION,
      answered: ACTION,
      busy: ACTION,
      unknown: ACTION,
    } satisfies Record<FaultChoice, typeof ACTION>),
  ),
  retry: withDefault(RETRY_DEFAULT, mapped(asItIs(retry), forEver)),
  start: anything<string | number | bigint>("the first cursor"),
  idle: withDefault("1s", duration({ help: "the wait when there is nothing more" })),
  timeout: withDefault("30s", duration({ help: "for one request" })),
  order: withDefault("none", choice(["none", "source"])),
  highWater: withDefault(100_000, integer({ help: "loading pauses here", max: WATER_MAX })),
  lowWater: integer({ help: "loading goes on below it", min: 0, max: WATER_MAX }),
  lease: withDefault(
    "10s",
    duration({ help: "how long it stands still after its loader died", minMs: LEASE_MS_MIN }),
  ),
  store: func<StoreHandler>("of the events"),
  storeBatch: withDefault(
    LIMIT_DEFAULT,
    integer({ help: "maximum number of events in one call of `store`", max: LIMIT_DEFAULT }),
  ),
  storeTimeout: withDefault("60s", duration({ help: "for one call of `store`" })),
  storeRetry: withDefault({ attempts: 5, delay: "1s", factor: 4, max: "5m" }, retry),
} satisfies FieldsOf<SourceOptions>;

/** Attempts are not limited, unless the policy names a number. */
function forEver(policy: RetryPolicy, place: Place): RetrySeries {
  return retrySeries({ attempts: FOR_EVER, ...policy }, inside(place));
}

/** What a type of source adds to its user's options. */
export interface SourceKind {
  type: string;
  config: Record<string, unknown>;
  cursor: "number" | "opaque";
  /** The default first cursor, instead of 0 or "". */
  start?: string;
  /** The default `onFault`, instead of that of all sources. */
  onFault?: Partial<Record<FaultChoice, FaultAction>>;
}

/** The options of a source, read: those of its type, and what all types share. */
export interface ReadSource<F extends Fields> {
  readonly own: ValueOf<F>;
  /** How messages name it: `source "feed"`. */
  readonly at: string;
  /** @throws PawlError `invalid_option` naming the source and the option */
  readonly base: (kind: SourceKind) => SourceBase;
}

/**
 * Reads the options of `call`, which are those of all sources and those of its type.
 *
 * @throws PawlError `invalid_option` naming the call, the source where it has a name, and the option
 */
export function readSource<F extends Fields>(
  call: string,
  own: F,
  options: unknown,
): ReadSource<F> {
  const where = named(call, "source", options);
  const read = readOptions(where, { ...FIELDS, ...own }, options) as ValueOf<F> &
    ValueOf<typeof FIELDS>;
  const at = `source "${read.name}"`;
  return { own: read, at, base: (kind) => sourceBase(at, read, kind) };
}

function sourceBase(at: string, read: ValueOf<typeof FIELDS>, kind: SourceKind): SourceBase {
  const { onFault, ...ofKind } = kind;
  toJson(kind.config, {
    what: `config of ${at}`,
    bytesMax: CONFIG_BYTES_MAX,
    isLossy: true,
    codes: { notJson: "invalid_option", tooLarge: "invalid_option" },
  });
  const { highWater, lowWater = Math.floor(highWater / 2) } = read;
  if (lowWater >= highWater)
    throw badOption(at, "lowWater", `a whole number below highWater (${highWater})`, lowWater);
  return {
    name: read.name,
    ...ofKind,
    start: startOf(at, read.start, kind),
    limit: read.limit,
    gapMs: read.gap,
    onFault: onFaultOf(read.onFault, onFault),
    retry: read.retry,
    idleMs: read.idle,
    timeoutMs: read.timeout,
    leaseMs: read.lease,
    highWater,
    lowWater,
    order: read.order,
    store: read.store ?? null,
    storeBatch: read.storeBatch,
    storeTimeoutMs: read.storeTimeout,
    storeRetry: read.storeRetry,
  };
}

/** `busy` is treated as `answered`, unless it is given. */
function onFaultOf(
  given: Partial<Record<FaultChoice, FaultAction>>,
  ofKind: SourceKind["onFault"],
): Readonly<Record<FaultChoice, FaultAction>> {
  const busy = given.answered ?? ON_FAULT_DEFAULT.answered;
  const ofType = { ...ofKind, ...(given.answered !== undefined && { busy: given.answered }) };
  return Object.freeze({ ...ON_FAULT_DEFAULT, busy, ...ofType, ...given });
}

function startOf(at: string, given: SourceOptions["start"], { cursor, start }: SourceKind): string {
  if (given === undefined) return start ?? (cursor === "number" ? "0" : "");
  const text = String(given);
  if (cursor === "number" && !INTEGER.test(text))
    throw badOption(at, "start", "a whole number such as 0 or -1", text);
  if (text.length > START_CHARS_MAX || !isStorable(text))
    throw badOption(
      at,
      "start",
      `a text of at most ${START_CHARS_MAX} characters that PostgreSQL can store`,
      text,
    );
  return cursor === "number" ? String(BigInt(text)) : text;
}
