/**
 * Gives one batch to the app's handler, in the transaction that removes the events from the inbox. A batch that fails is cut in
 * halves, under savepoints, until the event that fails stands alone: it waits for another attempt, and is set aside when its
 * attempts are used up; the rest are stored. If everything fails, no event is blamed.
 */

import { backoffMs } from "../base/backoff.ts";
import { toError } from "../base/errors.ts";
import { inTime } from "../base/in-time.ts";
import { parsedLazily } from "../base/json-text.ts";
import type { Logger } from "../base/log.ts";
import { messageOf, storable } from "../base/thrown.ts";
import { retryDelayMs } from "../kernel/retry.ts";
import type { Starting } from "../kernel/starts.ts";
import { keepAlive } from "../kernel/task-transaction/alive.ts";
import { LIMIT_SILENCE } from "../kernel/task-transaction/sql.ts";
import { isTransient, translateDatabaseError } from "../store/sqlstate.ts";
import type { OpenTransaction, Store } from "../store/store.ts";
import { executorIn, type Transaction } from "../store/transaction.ts";
import type { SourceBase, StoreContext, StoredEvent, StoreHandler } from "./source.ts";
import * as sql from "./sql.ts";

/** If this many events fail alone and none is stored, the events are not the cause. */
const OUTAGE_ALONE = 5;
const PROBES = 5;
const OUTAGE_PAUSE_MS = { baseMs: 1_000, maxMs: 60_000 };
const ERROR_CHARS_MAX = 2_000;
/** Maximum bytes of JSON in one call of `store`, unless one event is larger: parsed, they may take twenty times as much. */
const BATCH_BYTES_MAX = 4 * 1_048_576;

export interface BatchOptions {
  store: Store;
  batches: Store;
  log: Logger;
  starting: Starting;
  writes: (tx: Transaction) => Pick<StoreContext, "enqueue" | "record" | "start">;
  /** When it aborts, what is not committed is undone. */
  cut: AbortSignal;
}

type StoringSource = SourceBase & { store: StoreHandler };

/** The worker lost its lease before anything was stored. */
class NotStarted extends Error {}

interface Batch {
  source: StoringSource;
  context: StoreContext;
  tx: Transaction;
  all: readonly sql.ClaimedEvent[];
  mayStart: () => boolean;
  stored: string[];
  failed: { event: sql.ClaimedEvent; error: Error }[];
}

/** Returns how many events were taken. */
export async function storeBatch(
  id: number,
  source: StoringSource,
  options: BatchOptions,
): Promise<number> {
  const open = await options.batches.begin(LIMIT_SILENCE);
  const mayStart = options.starting();
  const timeoutMs = source.storeTimeoutMs;
  let isLate = false;
  const timedOut = () => {
    isLate = true;
    return new Error(`\`store\` took longer than ${timeoutMs} ms`);
  };
  const { cut } = options;
  const stopAlive = keepAlive(open.tx);
  try {
    return await inTime({ timeoutMs, timedOut, signals: [cut] }, (signal) =>
      runBatch(id, source, { ...options, open, signal, mayStart }),
    );
  } catch (thrown) {
    if (isLate || cut.aborted) open.abandon();
    else await open.rollback();
    if (cut.aborted || thrown instanceof NotStarted) return 0; // they stay in the inbox for the next worker
    await pause(id, source, toError(thrown), options);
    return 0;
  } finally {
    stopAlive();
    mayStart();
  }
}

async function runBatch(
  id: number,
  source: StoringSource,
  {
    open,
    signal,
    log,
    mayStart,
    writes,
  }: BatchOptions & { open: OpenTransaction; signal: AbortSignal; mayStart: () => boolean },
): Promise<number> {
  const { tx } = open;
  const executor = executorIn(tx);
  const events = await sql.claimEvents(executor, id, source.storeBatch, BATCH_BYTES_MAX);
  if (events.length === 0) {
    await open.rollback();
    return 0;
  }
  const seen = events.filter((event) => event.is_seen).map((event) => event.number);
  const context = { tx, signal, log, ...writes(tx) };
  const all = events.filter((event) => !event.is_seen);
  const batch: Batch = { source, context, tx, all, mayStart, stored: [], failed: [] };
  await storeSome(batch, all);
  await sql.settleEvents(executor, id, {
    stored: batch.stored,
    seen,
    failed: batch.failed.map(({ event, error }) => verdict(source, event, error)),
  });
  await open.commit();
  for (const { event, error } of batch.failed) {
    const data = { source: source.name, event: event.event_id, err: messageOf(error) };
    log.warn(data, "an event could not be stored");
  }
  return events.length;
}

/** @throws when nothing can be stored now, independent of the event */
async function storeSome(batch: Batch, events: readonly sql.ClaimedEvent[]): Promise<void> {
  if (events.length === 0) return;
  const { source, context, tx } = batch;
  await tx.query("savepoint pawl_batch");
  if (!batch.mayStart()) throw new NotStarted();
  batch.mayStart = () => true;
  try {
    await source.store(
      events.map((event) => storedEvent(source, event)),
      context,
    );
    context.signal.throwIfAborted();
    await tx.query("release savepoint pawl_batch");
    for (const { number } of events) batch.stored.push(number);
    return;
  } catch (thrown) {
    refuseOutage(batch, thrown);
    await tx.query("rollback to savepoint pawl_batch");
    await tx.query("release savepoint pawl_batch");
    const [only] = events;
    if (events.length === 1 && only !== undefined) {
      batch.failed.push({ event: only, error: toError(thrown) });
      if (batch.failed.length === OUTAGE_ALONE && (await isOutage(batch))) throw thrown;
      return;
    }
  }
  const half = Math.ceil(events.length / 2);
  await storeSome(batch, events.slice(0, half));
  // in order, what follows an event that is tried again waits for it
  if (source.order === "source" && hasWaiting(batch)) return;
  await storeSome(batch, events.slice(half));
}

/** If several events failed alone and none was stored, others of the batch are tried, and undone, before these are blamed. */
async function isOutage({ source, context, tx, stored, failed, all }: Batch): Promise<boolean> {
  if (stored.length > 0) return false;
  const rest = all.slice(failed.length);
  const probes = rest.filter((_, i) => i % Math.ceil(rest.length / PROBES) === 0).reverse();
  for (const event of probes) {
    await tx.query("savepoint pawl_probe");
    const isGood = await source.store([storedEvent(source, event)], context).then(
      () => true,
      () => false,
    );
    await tx.query("rollback to savepoint pawl_probe");
    await tx.query("release savepoint pawl_probe");
    if (isGood) return false;
  }
  return true;
}

function hasWaiting({ source, failed }: Batch): boolean {
  return failed.some(({ event, error }) => verdict(source, event, error).delay_ms !== null);
}

/** Problems of the database itself, and the end of the time limit, are not the fault of an event. */
function refuseOutage({ context }: Batch, thrown: unknown): void {
  if (context.signal.aborted) throw thrown;
  const error = translateDatabaseError(thrown);
  const state = error.data.sqlstate;
  const isOurs = error.code === "database_unreachable" || /^(40|53|57|58)/.test(String(state));
  if (isOurs && isTransient(error)) throw thrown;
}

function verdict(
  { storeRetry }: StoringSource,
  { number, attempts }: sql.ClaimedEvent,
  error: Error,
): { number: string; error: string; delay_ms: number | null } {
  const isSpent = attempts + 1 >= storeRetry.attempts || error.name === "Unrecoverable";
  return {
    number,
    error: textOf(error),
    delay_ms: isSpent ? null : retryDelayMs(storeRetry, attempts + 1, Math.random()),
  };
}

function textOf(error: Error): string {
  const text = messageOf(error);
  return storable(error.name === "Error" ? text : `${error.name}: ${text}`, ERROR_CHARS_MAX);
}

/** Not a single event fails but everything: storing pauses, and `pawl why` tells the reason. */
export async function pause(
  id: number,
  source: Pick<SourceBase, "name">,
  error: Error,
  { store, log }: Pick<BatchOptions, "store" | "log">,
): Promise<void> {
  const failures = await sql.storingFailures(store, id);
  const delayMs = backoffMs(failures + 1, OUTAGE_PAUSE_MS);
  await sql.noteStoringFailed(store, id, textOf(error), delayMs);
  log.error(
    { source: source.name, err: messageOf(error), delayMs },
    "storing events fails as such: nothing is set aside, it is tried again",
  );
}

function storedEvent(source: StoringSource, event: sql.ClaimedEvent): StoredEvent {
  return parsedLazily({
    source: source.name,
    id: event.event_id,
    name: event.name,
    occurredAt: event.occurred_at,
    receivedAt: event.received_at,
    payloadText: event.payload_text,
    metaText: event.meta_text ?? "{}",
  });
}
