/**
 * A source is a value that says how one window of events is requested. It never retries, keeps no cursor and writes nothing:
 * the loader does that, so all sources keep the same promises.
 */

import type { Logger } from "../base/log.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import type { RetrySeries } from "../kernel/retry.ts";
import type { OutboxWrites } from "../outbox/calls.ts";
import type { ProcessWrites } from "../process/writes.ts";
import type { QueueWrites } from "../queue/calls.ts";
import type { HttpSender } from "../sender/sender.ts";
import type { Transaction } from "../store/transaction.ts";

export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json };

/** An event of a source. With numeric cursors `id` is a whole number, ascending within a page and greater than the cursor. */
export interface SourceEvent {
  readonly id: string;
  readonly name?: string;
  /** ISO 8601. */
  readonly occurredAt?: string;
  /** Any JSON value. `rawJson(text)` is stored exactly as its text. */
  readonly payload: unknown;
  readonly meta?: Record<string, unknown>;
}

/** An event that could not be decoded: set aside on its own, with its bytes. */
export interface BadEvent {
  readonly id: string;
  readonly raw: Uint8Array;
  readonly error: string;
}

export interface Page {
  readonly events: readonly (SourceEvent | BadEvent)[];
  /** The cursor after this page. Required for opaque cursors; default for numeric ones: the last id. */
  readonly next?: string;
  /** True if there is more now: the next window follows at once. Default: true if the page is full. */
  readonly more?: boolean;
  /** Stored for the next request, for example an ETag. Left out: the previous state stays. */
  readonly state?: Json;
  /** How far behind we are, in events, as the source says. */
  readonly lag?: number;
  /** The next request comes after this time at the earliest, although nothing failed. */
  readonly retryAfterMs?: number;
}

/** A page as received: stored before it is parsed, so that parsing never needs the network again. */
export interface RawPage {
  readonly bytes: Uint8Array;
  readonly contentType?: string;
  /** What parsing needs besides the bytes, such as headers. */
  readonly info?: Json;
  /** The next request comes after this time at the earliest, although nothing failed. */
  readonly retryAfterMs?: number;
}

export interface Window {
  /** The cursor: events after it are requested. */
  readonly after: string;
  readonly limit: number;
  /** The `state` of the last page. */
  readonly state: Json | null;
}

export interface FetchContext {
  readonly signal: AbortSignal;
  readonly http: HttpSender;
  readonly log: Logger;
}

/** Kinds of fault. `unsent`: nothing was executed. `answered`: the source answered with an error. `unknown`: nobody knows. */
export type Fault = "unsent" | "answered" | "unknown";
/** What `onFault` can decide about. `busy`: it answered with a temporary error. */
export type FaultChoice = Fault | "busy";
export type FaultAction = "retry" | "hold";

/** An event in the inbox. */
export interface StoredEvent {
  readonly source: string;
  readonly id: string;
  readonly name: string | null;
  /** ISO 8601. */
  readonly occurredAt: string | null;
  readonly receivedAt: string;
  /** Parsed at the first read. Numbers can lose digits; `payloadText` does not. */
  readonly payload: unknown;
  readonly meta: Record<string, unknown>;
  /** The payload as stored, in JSON. Use it to pass the payload on without parsing. */
  readonly payloadText: string;
  readonly metaText: string;
}

export interface StoreContext extends QueueWrites, OutboxWrites, ProcessWrites {
  /** The batch's transaction: writes through it commit together with the removal of the events from the inbox. */
  readonly tx: Transaction;
  /** Aborts when the batch's time is over. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** Stores a batch of events from the inbox. May be called again for events of a batch that failed, never for stored ones. */
export type StoreHandler = (
  events: readonly StoredEvent[],
  context: StoreContext,
) => Promise<unknown>;

export interface SourceBase {
  readonly name: string;
  readonly type: string;
  /** As the catalogue shows it. Never contains a secret. */
  readonly config: Record<string, unknown>;
  readonly cursor: "number" | "opaque";
  readonly start: string;
  readonly limit: number;
  /** Minimum time from the answer of one request to the next request, over all workers. */
  readonly gapMs: number;
  readonly onFault: Readonly<Record<FaultChoice, FaultAction>>;
  readonly retry: RetrySeries;
  /** Time between two windows when there is nothing more. */
  readonly idleMs: number;
  readonly timeoutMs: number;
  readonly order: "none" | "source";
  /** Loading pauses at this number of events in the inbox, and continues below `lowWater`. */
  readonly highWater: number;
  readonly lowWater: number;
  /** How long the source stands still after the process that loads it has died. */
  readonly leaseMs: number;
  readonly store: StoreHandler | null;
  /** Maximum number of events in one call of `store`. */
  readonly storeBatch: number;
  readonly storeTimeoutMs: number;
  readonly storeRetry: RetrySeries;
  /** Decodes bytes that were set aside. Default: they are JSON, the payload. @throws anything if it cannot */
  decode?(raw: Uint8Array, id: string): SourceEvent;
  /** Throws if something that loading needs is missing here, such as a secret's variable. */
  check?(): void;
  /** Throws if the sender would always refuse its host; `allow` as in the app's `http`. */
  checkHost?(allow: readonly string[]): void;
}

/** Returns pages on request; each page is stored as received before it is parsed. */
export interface PullSource extends SourceBase {
  request(window: Window, context: FetchContext): Promise<RawPage>;
  parse(page: RawPage, window: Window): Page;
}

/** Returns pages on request that need no parsing. */
export interface FetchSource extends SourceBase {
  fetch(window: Window, context: FetchContext): Promise<Page>;
}

export interface PushContext extends FetchContext {
  /** Resolves when the page is durable: acknowledge it only then. Calls run one after the other. */
  readonly deliver: (page: Page) => Promise<void>;
  /** Maximum number of events in one `deliver`. */
  readonly limit: number;
}

/** Delivers pages by itself, starting at a cursor. */
export interface PushSource extends SourceBase {
  /**
   * Delivers until the signal aborts, then resolves. If it resolves or throws earlier, it is opened again, after the delay
   * of `retry`.
   */
  open(cursor: string, context: PushContext): Promise<void>;
}

export type SourceDefinition = PullSource | FetchSource | PushSource;

export function isPush(source: SourceDefinition): source is PushSource {
  return "open" in source;
}

/** True for a value made by `defineSource` or a source type. */
export function isSource(value: unknown): value is SourceDefinition {
  if (typeof value !== "object" || value === null) return false;
  const { name, leaseMs, ...rest } = value as Partial<PullSource & FetchSource & PushSource>;
  const ways = [rest.open, rest.fetch, rest.request];
  return (
    typeof name === "string" &&
    typeof leaseMs === "number" &&
    ways.some((way) => typeof way === "function")
  );
}

export function isBad(event: SourceEvent | BadEvent): event is BadEvent {
  return "raw" in event;
}

/** The source was not reached. Use `sent: "no"` only if it is certain that nothing was executed. */
export class SourceUnavailable extends Error {
  override name = "SourceUnavailable";
  readonly sent: "no" | "unknown";
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: ErrorOptions & { sent: "no" | "unknown"; retryAfterMs?: number | undefined },
  ) {
    super(message, options);
    refuseUnknownOptions("SourceUnavailable", options, ["cause", "sent", "retryAfterMs"]);
    this.sent = options.sent;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The source answered with an error: a status, or a page that cannot be read. */
export class SourceAnswered extends Error {
  override name = "SourceAnswered";
  readonly status: number | undefined;
  /** A temporary error, such as status 500 to a request that only reads: `onFault.busy` decides. */
  readonly isBusy: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: ErrorOptions & {
      status?: number | undefined;
      isBusy?: boolean;
      retryAfterMs?: number | undefined;
    } = {},
  ) {
    super(message, options);
    const known = ["cause", "status", "isBusy", "retryAfterMs"];
    refuseUnknownOptions("SourceAnswered", options, known);
    this.status = options.status;
    this.isBusy = options.isBusy ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}
