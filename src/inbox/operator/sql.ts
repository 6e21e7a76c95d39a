/** What operators read and change of sources and the inbox: one function per statement. */

import { results } from "../../operate/results.ts";
import type { Act } from "../../operate/sql.ts";
import type { Executor } from "../../store/executor.ts";
import type { Fault } from "../source.ts";

export type SourceStatus = "held" | "paused" | "off" | "retrying" | "full" | "loading" | "waiting";

export interface SourceState {
  name: string;
  type: string;
  application: string;
  status: SourceStatus;
  cursorKind: "number" | "opaque";
  isPush: boolean;
  /** The cursor from which the next window is requested. */
  requested: string;
  /** Everything up to it has been stored or set aside. */
  stored: string;
  /** Events in the inbox that wait to be stored. */
  backlog: number;
  setAside: number;
  received: number;
  storedCount: number;
  duplicates: number;
  /** How far behind we are, in events, as the source says. */
  lag: number | null;
  /** Events received in the last minute. */
  perMinute: number;
  highWater: number;
  lowWater: number;
  failures: number;
  error: string | null;
  heldFault: Fault | null;
  heldAt: Date | null;
  pausedAt: Date | null;
  pausedBy: string | null;
  pausedWhy: string | null;
  /** null: until an operator resumes it. */
  pausedUntil: Date | null;
  nextAt: Date | null;
  lastFetchAt: Date | null;
  /** When the newest event occurred, if its events say so. */
  lastEventAt: Date | null;
  lastStoredAt: Date | null;
  storingFailures: number;
  storingError: string | null;
  storingNextAt: Date | null;
  windowId: string | null;
  windowState: string | null;
  /** True if the page of the current window is stored and can be parsed again. */
  hasPage: boolean;
  /** The worker that loads it now. */
  loader: string | null;
  loadingSince: Date | null;
  config: Record<string, unknown>;
  /** Live workers that can load it; `loadersOffHere` of them are held by a file or by `PAWL_OFF` on their host. */
  loaders: number;
  loadersOffHere: number;
  /** The same for storing its events. */
  movers: number;
  moversOffHere: number;
  /** Hosts where a file or `PAWL_OFF` holds it. */
  hostsOffHere: string[] | null;
  /** The switch of `all`, or else of a group, while it is off. */
  offSwitch: string | null;
  offSince: Date | null;
  offUntil: Date | null;
  offBy: string | null;
  offWhy: string | null;
  /** The quiet hours that hold it, unless a switch does; null: none. */
  quietHours: string | null;
  /** When the current window last failed. */
  failedAt: Date | null;
  /** Where `skip` continues: the cursor after the current window, if its page named one. */
  nextCursor: string | null;
  /** These four describe the first event that waits to be stored. */
  waitingSince: Date | null;
  waitingAttempts: number | null;
  waitingNextAt: Date | null;
  waitingError: string | null;
  /** These two describe the first event that was set aside. */
  setAsideSince: Date | null;
  setAsideError: string | null;
  /** The database's clock. */
  now: Date;
}

export async function sources(executor: Executor, name?: string): Promise<SourceState[]> {
  const rows = await results<SourceState>(
    executor,
    "select * from pawl.source_now_v1 where $1::text is null or name = $1 order by name",
    [name ?? null],
  );
  return rows.map((row) => ({
    ...row,
    backlog: Number(row.backlog),
    setAside: Number(row.setAside),
    received: Number(row.received),
    storedCount: Number(row.storedCount),
    duplicates: Number(row.duplicates),
    perMinute: Number(row.perMinute),
    highWater: Number(row.highWater),
    lowWater: Number(row.lowWater),
    lag: row.lag === null ? null : Number(row.lag),
  }));
}

export interface SourceWindowRow {
  id: string;
  source: string;
  state: WindowState;
  afterCursor: string;
  nextCursor: string | null;
  attempt: number;
  fault: Fault | null;
  error: string | null;
  events: number;
  duplicates: number;
  bad: number;
  holder: string | null;
  reservedAt: Date;
  sentAt: Date | null;
  answeredAt: Date | null;
  endedAt: Date | null;
}

export const WINDOW_STATES = [
  "reserved",
  "sent",
  "answered",
  "done",
  "empty",
  "failed",
  "held",
  "skipped",
  "released",
] as const;
export type WindowState = (typeof WINDOW_STATES)[number];

/** Latest first. */
export function sourceWindows(
  executor: Executor,
  {
    source,
    state,
    limit,
  }: { source?: string | undefined; state?: WindowState | undefined; limit: number },
): Promise<SourceWindowRow[]> {
  return results(executor, "select * from pawl.source_windows_v1($1, $2, $3)", [
    source ?? null,
    state ?? null,
    limit,
  ]);
}

export interface ActedSource {
  outcome:
    | "done"
    | "unknown"
    | "not_held"
    | "in_progress"
    | "no_target"
    | "not_forward"
    | "not_back";
  fromCursor: string | null;
  toCursor: string | null;
  windowId: string | null;
}

export function retrySource(
  executor: Executor,
  { name, fetch }: { name: string; fetch: boolean },
  act: Act,
): Promise<ActedSource> {
  return acted(executor, "select * from pawl.retry_source_v1($1, $2, $3, $4)", [name, fetch], act);
}

export function releaseSource(executor: Executor, name: string, act: Act): Promise<ActedSource> {
  return acted(executor, "select * from pawl.release_source_v1($1, $2, $3)", [name], act);
}

export function skipSource(
  executor: Executor,
  { name, to }: { name: string; to: string | undefined },
  act: Act,
): Promise<ActedSource> {
  const values = [name, to ?? null];
  return acted(executor, "select * from pawl.skip_source_v1($1, $2, $3, $4)", values, act);
}

export function rewindSource(
  executor: Executor,
  { name, to }: { name: string; to: string },
  act: Act,
): Promise<ActedSource> {
  return acted(executor, "select * from pawl.rewind_source_v1($1, $2, $3, $4)", [name, to], act);
}

async function acted(
  executor: Executor,
  sql: string,
  values: unknown[],
  { by, why }: Act,
): Promise<ActedSource> {
  const [row] = await results<ActedSource>(executor, sql, [...values, by, why ?? null]);
  return row ?? { outcome: "unknown", fromCursor: null, toCursor: null, windowId: null };
}

export interface InboxRow {
  /** Its number in the inbox. */
  number: string;
  source: string;
  id: string;
  state: "waiting" | "set_aside" | "decoding";
  name: string | null;
  occurredAt: Date | null;
  receivedAt: Date;
  readonly payload: unknown;
  readonly payloadText: string | null;
  readonly meta: Record<string, unknown> | null;
  readonly metaText: string | null;
  /** The bytes of an event that could not be decoded. */
  raw: Uint8Array | null;
  attempts: number;
  nextAt: Date | null;
  error: string | null;
  failedAt: Date | null;
}

export interface InboxSelection {
  source?: string | undefined;
  /** Default: set aside. */
  state?: "waiting" | "set_aside" | undefined;
  numbers?: readonly string[] | undefined;
  limit: number;
}

/** Oldest first. */
export function inboxEvents(
  executor: Executor,
  { source, state = "set_aside", numbers, limit }: InboxSelection,
): Promise<InboxRow[]> {
  return results(
    executor,
    `select b.number, s.name as source, b.event_id as id,
            case b.state when 'ready' then 'waiting' when 'bad' then 'set_aside' else 'decoding' end as state,
            b.name, b.occurred_at, b.received_at, b.payload::text as payload_text,
            b.meta::text as meta_text, b.raw, b.attempts, b.next_at, b.error, b.failed_at
       from pawl.source s cross join lateral (
         select * from pawl.inbox i where i.source_id = s.id and $4::bigint[] is null and $2 = 'waiting' and i.state = 'ready'
         union all
         select * from pawl.inbox i where i.source_id = s.id and $4::bigint[] is null and $2 = 'set_aside' and i.state <> 'ready'
         union all
         select * from pawl.inbox i where i.source_id = s.id and i.number = any ($4)
         order by 1 limit $3) b
      where $1::text is null or s.name = $1
      order by b.number limit $3`,
    [source ?? null, state, limit, numbers ?? null],
  );
}

/** Puts events at the end of the inbox, to be stored again; returns the numbers that they had. */
export async function retryInbox(
  executor: Executor,
  numbers: readonly string[],
  { by, why }: Act,
): Promise<string[]> {
  const rows = await executor.rows<{ number: string }>(
    "select number from pawl.retry_inbox_v1($1, $2, $3)",
    [numbers, by, why ?? null],
  );
  return rows.map((row) => row.number);
}

export async function removeInbox(
  executor: Executor,
  numbers: readonly string[],
  { by, why }: Act,
): Promise<string[]> {
  const rows = await executor.rows<{ number: string }>(
    "select number from pawl.remove_inbox_v1($1, $2, $3)",
    [numbers, by, why ?? null],
  );
  return rows.map((row) => row.number);
}

export interface PruneWindows {
  doneMs: number;
  failedMs: number;
  archive: boolean;
  isDryRun: boolean;
  limit: number;
}

/** Removes one batch, all or nothing; returns the number of rows. */
export async function pruneWindows(
  executor: Executor,
  { doneMs, failedMs, archive, isDryRun, limit }: PruneWindows,
): Promise<number> {
  const [row] = await executor.rows<{ count: number }>(
    "select pawl.prune_windows_v1($1::float8 * interval '1 ms', $2::float8 * interval '1 ms', $3, $4, $5) as count",
    [doneMs, failedMs, archive, isDryRun, limit],
  );
  return row?.count ?? 0;
}

/** @throws PawlError with SQLSTATE 55P03 when a long query is in the way */
export async function dropEmptyWindows(executor: Executor): Promise<string[]> {
  const [row] = await executor.rows<{ dropped: string[] }>(
    "select pawl.drop_empty_windows_v1() as dropped",
  );
  return row?.dropped ?? [];
}

export async function pruneSeen(
  executor: Executor,
  { beforeMs, isDryRun, limit }: { beforeMs: number; isDryRun: boolean; limit: number },
): Promise<number> {
  const [row] = await executor.rows<{ count: number }>(
    "select pawl.prune_seen_v1($1::float8 * interval '1 ms', $2, $3) as count",
    [beforeMs, isDryRun, limit],
  );
  return row?.count ?? 0;
}
