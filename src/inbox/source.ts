/**
 * What a source is: a value that says how one window of events is asked for. It never retries, keeps no cursor and
 * writes nothing: the loader does, so that all sources keep the same promise.
 */

import type { Logger } from "../base/log.ts";
import type { RetrySeries } from "../kernel/retry.ts";
import type { RecordOptions } from "../outbox/record.ts";
import type { AnyJob, JobInput } from "../queue/job.ts";
import type { HttpSender } from "../requests/sender.ts";
import type { Transaction } from "../store/transaction.ts";

export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json };

/** What a source gives out. With numeric cursors `id` is a whole number, ascending within a page and beyond the cursor. */
export interface SourceEvent {
  readonly id: string;
  readonly name?: string;
  /** ISO 8601. */
  readonly occurredAt?: string;
  readonly payload: unknown;
  readonly meta?: Record<string, unknown>;
}

/** What could not be decoded: set aside alone, with its bytes. */
export interface BadEvent {
  readonly id: string;
  readonly raw: Uint8Array;
  readonly error: string;
}

export interface Page {
  readonly events: readonly (SourceEvent | BadEvent)[];
  /** The cursor after this page. Opaque cursors need it; numeric ones default to the last id. */
  readonly next?: string;
  /** More is there now: the next window follows at once. Default: the page is full. */
  readonly more?: boolean;
  /** Kept for the next request, such as an ETag; left out, the one before stays. */
  readonly state?: Json;
  /** How far behind the source says we are, in events. */
  readonly lag?: number;
  /** Do not ask again before so long, although nothing failed. */
  readonly retryAfterMs?: number;
}

/** As received: kept before anything is parsed, so that parsing never needs the network again. */
export interface RawPage {
  readonly bytes: Uint8Array;
  readonly contentType?: string;
  /** What parsing needs beside the bytes, such as headers. */
  readonly info?: Json;
  /** Do not ask again before so long, although nothing failed. */
  readonly retryAfterMs?: number;
}

export interface Window {
  /** The cursor: events beyond it are asked for. */
  readonly after: string;
  readonly limit: number;
  /** What the last page kept. */
  readonly state: Json | null;
}

export interface FetchContext {
  readonly signal: AbortSignal;
  readonly http: HttpSender;
  readonly log: Logger;
}

/** Each kind of fault: nothing was executed; it answered with an error; nobody knows. */
export type Fault = "unsent" | "answered" | "unknown";
export type FaultAction = "retry" | "hold";

/** An event as it lies in the inbox. */
export interface StoredEvent {
  readonly source: string;
  readonly id: string;
  readonly name: string | null;
  /** ISO 8601. */
  readonly occurredAt: string | null;
  readonly receivedAt: string;
  readonly payload: unknown;
  readonly meta: Record<string, unknown>;
}

export interface StoreContext {
  /** The batch's transaction: what is written through it commits together with the events' leaving the inbox. */
  readonly tx: Transaction;
  /** Aborts when the time for the batch is over. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** `pawl.enqueue` in this transaction. */
  readonly enqueue: <J extends AnyJob>(job: J, input: JobInput<J>) => Promise<{ id: string }>;
  /** `pawl.record` in this transaction. */
  readonly record: (name: string, event: RecordOptions) => Promise<{ id: string }>;
}

/** Where events go from the inbox. May be called again for events of a batch that failed, never for stored ones. */
export type StoreHandler = (
  events: readonly StoredEvent[],
  context: StoreContext,
) => Promise<unknown>;

export interface SourceBase {
  readonly name: string;
  readonly type: string;
  /** As the catalogue shows it: never a secret. */
  readonly config: Record<string, unknown>;
  readonly cursor: "number" | "opaque";
  readonly start: string;
  readonly limit: number;
  /** From the answer of one request to the next request, over all workers. */
  readonly gapMs: number;
  readonly onFault: Readonly<Record<Fault, FaultAction>>;
  readonly retry: RetrySeries;
  /** Between two windows when there is nothing more. */
  readonly idleMs: number;
  readonly timeoutMs: number;
  readonly order: "none" | "source";
  /** Loading pauses when so many events lie in the inbox, and goes on below `lowWater`. */
  readonly highWater: number;
  readonly lowWater: number;
  /** How long it stands still when the process that loads it dies. */
  readonly leaseMs: number;
  readonly store: StoreHandler | null;
  /** Events given to `store` at once. */
  readonly storeBatch: number;
  readonly storeTimeoutMs: number;
  readonly storeRetry: RetrySeries;
  /** Reads bytes that were set aside, once more; default: as JSON, the payload. @throws anything when they cannot be read */
  decode?(raw: Uint8Array, id: string): SourceEvent;
  /** Throws when something that loading will need is missing here, such as a secret's variable. */
  check?(): void;
  /** Throws when the sender would refuse its host each time; `allow` as in the app's `http`. */
  checkHost?(allow: readonly string[]): void;
}

/** Asked for pages; each page is kept as received before it is parsed. */
export interface PullSource extends SourceBase {
  request(window: Window, context: FetchContext): Promise<RawPage>;
  parse(page: RawPage, window: Window): Page;
}

/** Asked for pages that need no parsing. */
export interface FetchSource extends SourceBase {
  fetch(window: Window, context: FetchContext): Promise<Page>;
}

export interface PushContext extends FetchContext {
  /** Resolves when the page is durable: acknowledge only then. Calls are done one after the other. */
  readonly deliver: (page: Page) => Promise<void>;
  /** At most so many events to one `deliver`. */
  readonly limit: number;
}

/** Gives out pages by itself, from a cursor on. */
export interface PushSource extends SourceBase {
  /** Delivers until the signal aborts; then resolves. Resolving or throwing before opens it anew, by `retry`. */
  open(cursor: string, context: PushContext): Promise<void>;
}

export type SourceDefinition = PullSource | FetchSource | PushSource;

export function isPush(source: SourceDefinition): source is PushSource {
  return "open" in source;
}

/** A value that `defineSource` or a type of sources made. */
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

/** The source was not reached. `sent: "no"` only where it is certain that nothing was executed. */
export class SourceUnavailable extends Error {
  override name = "SourceUnavailable";
  readonly sent: "no" | "unknown";
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: ErrorOptions & { sent: "no" | "unknown"; retryAfterMs?: number | undefined },
  ) {
    super(message, options);
    this.sent = options.sent;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The source answered, and the answer is an error: a status, or a page that cannot be read. */
export class SourceAnswered extends Error {
  override name = "SourceAnswered";
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: ErrorOptions & { status?: number | undefined; retryAfterMs?: number | undefined } = {},
  ) {
    super(message, options);
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
  }
}
