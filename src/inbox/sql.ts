/** Every statement of loading and storing, one function each, named by its verb. */

import type { Executor, PreparedExecutor } from "../store/executor.ts";
import type { FaultChoice } from "./source.ts";

export interface SourceRow {
  name: string;
  type: string;
  config: Record<string, unknown>;
  cursor: string;
  is_push: boolean;
  start: string;
  gap_ms: number;
  idle_ms: number;
  on_fault: object;
  retry: object;
  high_water: number;
  low_water: number;
  ordering: string;
  has_handler: boolean;
}

export async function writeSources(
  executor: Executor,
  definitions: { application: string; revision: number; sources: readonly SourceRow[] },
): Promise<void> {
  await executor.rows("select pawl.register_sources_v1($1)", [JSON.stringify(definitions)]);
}

export interface DueSource {
  name: string;
  is_push: boolean;
  wait_ms: number;
}

/** `$1`: names. True if one is due now or within a second. */
export const IS_SOURCE_DUE =
  "exists (select from pawl.due_sources_v1($1) d where d.wait_ms <= 1000)";

export function dueSources(executor: Executor, names: readonly string[]): Promise<DueSource[]> {
  return executor.rows("select * from pawl.due_sources_v1($1)", [names]);
}

/** The lease that a statement is fenced by. */
export interface Held {
  name: string;
  epoch: string;
}

export interface ReservedWindow {
  outcome: "reserved" | "answered" | "wait";
  reason: "held" | "paused" | "off" | "full" | "not_due" | null;
  wait_ms: number | null;
  window_id: string | null;
  after: string | null;
  memo: unknown;
}

export async function reserveWindow(
  executor: PreparedExecutor,
  { name, epoch }: Held,
  holder: string,
): Promise<ReservedWindow | undefined> {
  const [row] = await executor.prepared<ReservedWindow>(
    "select outcome, reason, wait_ms, window_id, after, memo from pawl.reserve_window_v1($1, $2, $3)",
    [name, epoch, holder],
  );
  return row;
}

/** False: it was turned off, paused or taken away meanwhile. */
export async function markSent(
  executor: PreparedExecutor,
  { name, epoch }: Held,
  window: string,
  gapMs: number,
): Promise<boolean> {
  const [row] = await executor.prepared<{ sent: boolean }>(
    "select pawl.mark_sent_v1($1, $2, $3, $4::float8 * interval '1 ms') as sent",
    [name, epoch, window, gapMs],
  );
  return row?.sent ?? false;
}

export interface KeptPage {
  bytes: Uint8Array;
  content_type: string | null;
  info: unknown;
  retry_after_ms: number | null;
}

/** False: a person has taken the window away meanwhile. */
export async function keepPage(
  executor: Executor,
  { name, epoch }: Held,
  window: string,
  { gapMs, page }: { gapMs: number; page: KeptPage },
): Promise<boolean> {
  const [row] = await executor.rows<{ kept: boolean }>(
    "select pawl.keep_page_v1($1, $2, $3, $4::float8 * interval '1 ms', $5, $6, $7, $8) as kept",
    [
      name,
      epoch,
      window,
      gapMs,
      Buffer.from(page.bytes.buffer, page.bytes.byteOffset, page.bytes.byteLength),
      page.content_type,
      page.info === undefined ? null : JSON.stringify(page.info),
      page.retry_after_ms,
    ],
  );
  return row?.kept ?? false;
}

export async function keptPage(executor: Executor, window: string): Promise<KeptPage | undefined> {
  const [row] = await executor.rows<KeptPage>(
    "select bytes, content_type, info, retry_after_ms from pawl.source_page where window_id = $1",
    [window],
  );
  return row;
}

export interface Received {
  /** Null: a page that the source delivered by itself. */
  window: string | null;
  after: string;
  /** A JSON array, as `insert_events` reads it. */
  events: string;
  next: string | null;
  memo: unknown;
  lag: number | null;
  nextMs: number;
  /** True if the page came just now, false if it was stored before. */
  isAnswer: boolean;
}

export interface ReceivedCounts {
  inserted: number;
  bad: number;
  duplicates: number;
}

/** Undefined: a person has taken the window away meanwhile, moved the cursor, or stopped the source. */
export async function receive(
  executor: PreparedExecutor,
  { name, epoch, holder }: Held & { holder: string },
  page: Received,
): Promise<ReceivedCounts | undefined> {
  const { window, after, events, next, memo, lag, nextMs, isAnswer } = page;
  const [row] = await executor.prepared<ReceivedCounts>(
    "select * from pawl.receive_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    [
      name,
      epoch,
      holder,
      window,
      after,
      events,
      next,
      memo === undefined ? null : JSON.stringify(memo),
      lag,
      nextMs,
      isAnswer,
    ],
  );
  return row;
}

export interface WindowFault {
  fault: FaultChoice;
  error: string;
  /** The cursor behind the window, where its page named one. */
  nextCursor: string | null;
  retryAfterMs: number | null;
}

export async function failWindow(
  executor: Executor,
  { name, epoch }: Held,
  window: string,
  gapMs: number,
  { fault, error, nextCursor, retryAfterMs }: WindowFault,
): Promise<"retry" | "hold" | "gone"> {
  const [row] = await executor.rows<{ action: "retry" | "hold" | "gone" }>(
    "select pawl.fail_window_v1($1, $2, $3, $4::float8 * interval '1 ms', $5, $6, $7, $8) as action",
    [name, epoch, window, gapMs, fault, error, nextCursor, retryAfterMs],
  );
  return row?.action ?? "gone";
}

/** Undefined: it must not run now. `room`: the inbox has room for more of its events. */
export async function pushCursor(
  executor: Executor,
  { name, epoch }: Held,
): Promise<{ after: string; room: boolean } | undefined> {
  const [row] = await executor.rows<{ after: string; room: boolean }>(
    "select after, room from pawl.push_cursor_v1($1, $2)",
    [name, epoch],
  );
  return row;
}

export async function failPush(
  executor: Executor,
  { name, epoch }: Held,
  { fault, error, retryAfterMs }: WindowFault,
): Promise<"retry" | "hold"> {
  const [row] = await executor.rows<{ action: "retry" | "hold" }>(
    "select pawl.fail_push_v1($1, $2, $3, $4, $5) as action",
    [name, epoch, fault, error, retryAfterMs],
  );
  return row?.action ?? "hold";
}

export interface StorableSource {
  id: number;
  name: string;
  /** Bytes that are to be decoded again. */
  raw: boolean;
}

/** `$1`: names. */
export const IS_SOMETHING_TO_STORE = "exists (select from pawl.sources_to_store_v1($1))";

export function sourcesToStore(
  executor: Executor,
  names: readonly string[],
): Promise<StorableSource[]> {
  return executor.rows("select * from pawl.sources_to_store_v1($1)", [names]);
}

export async function storeEvents(
  executor: PreparedExecutor,
  source: number,
  limit: number,
): Promise<{ taken: number; stored: number }> {
  const [row] = await executor.prepared<{ taken: number; stored: number }>(
    "select * from pawl.store_events_v1($1, $2)",
    [source, limit],
  );
  return row ?? { taken: 0, stored: 0 };
}

export interface ClaimedEvent {
  number: string;
  event_id: string;
  name: string | null;
  /** ISO 8601: parsing a time costs more than the rest of a row. */
  occurred_at: string | null;
  received_at: string;
  /** JSON, as it is kept. */
  payload_text: string;
  meta_text: string | null;
  attempts: number;
  is_seen: boolean;
}

/** Ends before their JSON is longer than `bytesMax` together, but holds at least one. */
export function claimEvents(
  tx: Executor,
  source: number,
  limit: number,
  bytesMax: number,
): Promise<ClaimedEvent[]> {
  return tx.rows("select * from pawl.claim_events_v1($1, $2, $3)", [source, limit, bytesMax]);
}

export interface SettledBatch {
  stored: readonly string[];
  seen: readonly string[];
  /** Without a delay the event is set aside. */
  failed: readonly { number: string; error: string; delay_ms: number | null }[];
}

export async function settleEvents(
  tx: Executor,
  source: number,
  { stored, seen, failed }: SettledBatch,
): Promise<void> {
  await tx.rows("select pawl.settle_events_v1($1, $2, $3, $4)", [
    source,
    stored,
    seen,
    JSON.stringify(failed),
  ]);
}

export async function noteStoringFailed(
  executor: Executor,
  source: number,
  error: string,
  delayMs: number,
): Promise<void> {
  await executor.rows("select pawl.note_storing_failed_v1($1, $2, $3::float8 * interval '1 ms')", [
    source,
    error,
    delayMs,
  ]);
}

export async function storingFailures(executor: Executor, source: number): Promise<number> {
  const [row] = await executor.rows<{ failures: number }>(
    "select failures from pawl.source_storage where source_id = $1",
    [source],
  );
  return row?.failures ?? 0;
}

export function rawEvents(
  executor: Executor,
  source: number,
  limit: number,
  bytesMax: number,
): Promise<{ number: string; event_id: string; raw: Uint8Array; is_event: boolean }[]> {
  return executor.rows("select * from pawl.raw_events_v1($1, $2, $3)", [source, limit, bytesMax]);
}

/** `decoded` is a JSON array as `settle_raw_v1` reads it. */
export async function settleRaw(
  executor: Executor,
  source: number,
  decoded: string,
  failed: readonly { number: string; error: string }[],
): Promise<void> {
  await executor.rows("select pawl.settle_raw_v1($1, $2, $3)", [
    source,
    decoded,
    JSON.stringify(failed),
  ]);
}

/** On the database's clock. */
export async function databaseNow(executor: Executor): Promise<Date> {
  const [row] = await executor.rows<{ now: Date }>("select pawl.now() as now");
  return row?.now ?? new Date();
}

export async function hasInboxWork(
  executor: Executor,
  { load, store, since }: { load: readonly string[]; store: readonly string[]; since: Date },
): Promise<boolean> {
  const [row] = await executor.rows<{ has: boolean }>(
    "select pawl.has_inbox_work_v1($1, $2, $3) as has",
    [load, store, since],
  );
  return row?.has ?? false;
}

export async function makePartitions(executor: Executor, monthsAhead: number): Promise<string[]> {
  const [row] = await executor.rows<{ made: string[] }>(
    "select pawl.make_missing_partitions_v1('inbox', $1) as made",
    [monthsAhead],
  );
  return row?.made ?? [];
}
