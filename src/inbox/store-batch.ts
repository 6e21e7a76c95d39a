/**
 * One batch through the app's handler, in one transaction with the events' leaving the inbox. A batch that fails is cut
 * in halves, under savepoints, until the event that fails stands alone: it waits for another try, and is set aside when
 * its tries are used up; the rest are stored. Where everything fails, nothing is blamed on an event.
 */

import { backoffMs } from "../base/backoff.ts";
import { toError } from "../base/errors.ts";
import { inTime } from "../base/in-time.ts";
import type { Logger } from "../base/log.ts";
import { retryDelayMs } from "../kernel/retry.ts";
import { isTransient, translateDatabaseError } from "../store/sqlstate.ts";
import type { OpenTransaction, Store } from "../store/store.ts";
import { executorIn, type Transaction } from "../store/transaction.ts";
import { storableText } from "./contract.ts";
import type { SourceBase, StoreContext, StoredEvent, StoreHandler } from "./source.ts";
import * as sql from "./sql.ts";

/** So many events fail alone and none is stored: it is not the events. */
const OUTAGE_ALONE = 5;
const PROBES = 5;
const OUTAGE_PAUSE_MS = { baseMs: 1_000, maxMs: 60_000 };
const ERROR_CHARS_MAX = 2_000;

export interface BatchOptions {
  store: Store;
  log: Logger;
  writes: (tx: Transaction) => Pick<StoreContext, "enqueue" | "record">;
  /** When it aborts, what is not committed is undone. */
  cut: AbortSignal;
}

type StoringSource = SourceBase & { store: StoreHandler };

interface Batch {
  source: StoringSource;
  context: StoreContext;
  tx: Transaction;
  all: readonly sql.ClaimedEvent[];
  stored: string[];
  failed: { event: sql.ClaimedEvent; error: Error }[];
}

/** Answers how many events were taken up. */
export async function storeBatch(
  id: number,
  source: StoringSource,
  options: BatchOptions,
): Promise<number> {
  const open = await options.store.begin();
  const timeoutMs = source.storeTimeoutMs;
  let isLate = false;
  const timedOut = () => {
    isLate = true;
    return new Error(`\`store\` took longer than ${timeoutMs} ms`);
  };
  const { cut } = options;
  try {
    return await inTime({ timeoutMs, timedOut, signals: [cut] }, (signal) =>
      runBatch(id, source, { ...options, open, signal }),
    );
  } catch (thrown) {
    if (isLate || cut.aborted) open.abandon();
    else await open.rollback();
    if (cut.aborted) return 0; // they stay in the inbox, for whoever is there next
    await pause(id, source, toError(thrown), options);
    return 0;
  }
}

async function runBatch(
  id: number,
  source: StoringSource,
  { open, signal, log, writes }: BatchOptions & { open: OpenTransaction; signal: AbortSignal },
): Promise<number> {
  const { tx } = open;
  const executor = executorIn(tx);
  const events = await sql.claimEvents(executor, id, source.storeBatch);
  if (events.length === 0) {
    await open.rollback();
    return 0;
  }
  const seen = events.filter((event) => event.is_seen).map((event) => event.number);
  const context = { tx, signal, log, ...writes(tx) };
  const all = events.filter((event) => !event.is_seen);
  const batch: Batch = { source, context, tx, all, stored: [], failed: [] };
  await storeSome(batch, all);
  await sql.settleEvents(executor, id, {
    stored: batch.stored,
    seen,
    failed: batch.failed.map(({ event, error }) => verdict(source, event, error)),
  });
  await open.commit();
  for (const { event, error } of batch.failed) {
    const data = { source: source.name, event: event.event_id, err: error.message };
    log.warn(data, "an event could not be stored");
  }
  return events.length;
}

/** @throws when nothing can be stored now, whatever the event */
async function storeSome(batch: Batch, events: readonly sql.ClaimedEvent[]): Promise<void> {
  if (events.length === 0) return;
  const { source, context, tx } = batch;
  await tx.query("savepoint pawl_batch");
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

/** Several events have failed alone and none was stored: others of the batch are tried, and undone, before these are blamed. */
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

/** The database's own troubles, and the end of time, are no event's. */
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
  const text = error.name === "Error" ? error.message : `${error.name}: ${error.message}`;
  return storableText(text.slice(0, ERROR_CHARS_MAX));
}

/** What fails is not one event: storing rests, and `pawl why` tells the reason. */
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
    { source: source.name, err: error.message, delayMs },
    "storing events fails as such: nothing is set aside, it is tried again",
  );
}

function storedEvent(source: StoringSource, event: sql.ClaimedEvent): StoredEvent {
  return {
    source: source.name,
    id: event.event_id,
    name: event.name,
    occurredAt: event.occurred_at,
    receivedAt: event.received_at,
    payload: event.payload,
    meta: event.meta ?? {},
  };
}
