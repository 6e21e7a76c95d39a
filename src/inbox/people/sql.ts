/** What operators ask of sources and the inbox, and do to them: one function a statement. */

import type { Act } from "../../kernel/people/audit/sql.ts";
import type { Executor } from "../../store/executor.ts";
import type { Fault } from "../source.ts";

export type SourceStatus = "held" | "paused" | "off" | "retrying" | "full" | "loading" | "waiting";

export interface SourceState {
  name: string;
  type: string;
  application: string;
  status: SourceStatus;
  cursor_kind: "number" | "opaque";
  is_push: boolean;
  /** The cursor of the next window. */
  requested: string;
  /** Everything up to it has been stored or set aside. */
  stored: string;
  /** Events in the inbox that wait to be stored. */
  backlog: number;
  set_aside: number;
  received: number;
  stored_count: number;
  duplicates: number;
  /** In events, as the source says. */
  lag: number | null;
  /** Received in the last minute. */
  per_minute: number;
  high_water: number;
  low_water: number;
  failures: number;
  error: string | null;
  held_fault: Fault | null;
  held_at: Date | null;
  paused_at: Date | null;
  paused_by: string | null;
  paused_why: string | null;
  next_at: Date | null;
  last_fetch_at: Date | null;
  /** When the newest event occurred, where events say so. */
  last_event_at: Date | null;
  last_stored_at: Date | null;
  storing_failures: number;
  storing_error: string | null;
  storing_next_at: Date | null;
  window_id: string | null;
  window_state: string | null;
  /** The page of the window is kept, and can be parsed again. */
  has_page: boolean;
  /** Who loads it now, and since when. */
  loader: string | null;
  loading_since: Date | null;
  config: Record<string, unknown>;
  /** Live workers that load it, and how many of them a file or a variable of their host holds. */
  loaders: number;
  loaders_off_here: number;
  /** The same of its storage. */
  movers: number;
  movers_off_here: number;
  /** Of all that are held so. */
  hosts_off_here: string[] | null;
  /** The switch of `all`, while it is off. */
  off_since: Date | null;
  off_until: Date | null;
  off_by: string | null;
  off_why: string | null;
  /** When the current window failed last. */
  failed_at: Date | null;
  /** Where `skip` goes on: the cursor behind the current window, where its page named one. */
  next_cursor: string | null;
  /** Of the first event that waits to be stored. */
  waiting_since: Date | null;
  waiting_attempts: number | null;
  waiting_next_at: Date | null;
  waiting_error: string | null;
  /** Of the first event that was set aside. */
  set_aside_since: Date | null;
  set_aside_error: string | null;
  /** The database's clock. */
  now: Date;
}

export async function sources(executor: Executor, name?: string): Promise<SourceState[]> {
  const rows = await executor.rows<SourceState>(
    `select x.*, k.*, case when x.loader is not null then l.taken_at end as loading_since,
            o.since as off_since, o.until as off_until, o.off_by, o.why as off_why,
            case when w.fault is not null then w.ended_at end as failed_at, nullif(w.next_cursor, x.requested) as next_cursor,
            b.received_at as waiting_since, b.attempts as waiting_attempts, b.next_at as waiting_next_at, b.error as waiting_error,
            a.failed_at as set_aside_since, a.error as set_aside_error, pawl.now() as now
       from pawl.sources_v1($1) x join pawl.source s on s.name = x.name join pawl.source_storage t on t.source_id = s.id
       cross join lateral (
         select count(*) filter (where v.loads)::int as loaders, count(*) filter (where v.loads and v.held)::int as loaders_off_here,
                count(*) filter (where v.stores)::int as movers, count(*) filter (where v.stores and v.held)::int as movers_off_here,
                array_agg(distinct v.host order by v.host) filter (where v.held and (v.loads or v.stores)) as hosts_off_here
           from (select r.host, 'source:' || s.name = any (r.queues) as loads, 'inbox:' || s.name = any (r.queues) as stores,
                        'all' = any (r.off_here) as held
                   from pawl.worker r
                  where r.ended_at is null and r.lease_until > pawl.now() and r.stop_requested_at is null) v) k
       left join pawl.switch o on o.scope = 'all' and (o.until is null or o.until > pawl.now())
       left join pawl.lease l on l.name = 'source:' || s.name
       left join pawl.source_window w on w.id = s.window_id and w.reserved_at = s.window_at
       left join lateral (select i.received_at, i.attempts, i.next_at, i.error from pawl.inbox i
         where i.source_id = s.id and i.state = 'ready' and i.number >= t.floor order by i.number limit 1) b on true
       left join lateral (select i.failed_at, i.error from pawl.inbox i
         where i.source_id = s.id and i.state <> 'ready' order by i.number limit 1) a on true
      order by x.name`,
    [name ?? null],
  );
  return rows.map((row) => ({
    ...row,
    backlog: Number(row.backlog),
    set_aside: Number(row.set_aside),
    received: Number(row.received),
    stored_count: Number(row.stored_count),
    duplicates: Number(row.duplicates),
    per_minute: Number(row.per_minute),
    high_water: Number(row.high_water),
    low_water: Number(row.low_water),
    lag: row.lag === null ? null : Number(row.lag),
  }));
}

export interface SourceWindowRow {
  id: string;
  source: string;
  state: WindowState;
  after_cursor: string;
  next_cursor: string | null;
  attempt: number;
  fault: Fault | null;
  error: string | null;
  events: number;
  duplicates: number;
  bad: number;
  holder: string | null;
  reserved_at: Date;
  sent_at: Date | null;
  answered_at: Date | null;
  ended_at: Date | null;
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

/** The latest first. */
export function sourceWindows(
  executor: Executor,
  {
    source,
    state,
    limit,
  }: { source?: string | undefined; state?: WindowState | undefined; limit: number },
): Promise<SourceWindowRow[]> {
  return executor.rows("select * from pawl.source_windows_v1($1, $2, $3)", [
    source ?? null,
    state ?? null,
    limit,
  ]);
}

export type SourceVerb = "pause" | "resume" | "retry" | "release" | "skip" | "rewind";

export interface ActedSource {
  outcome:
    | "done"
    | "unknown"
    | "not_held"
    | "in_progress"
    | "no_target"
    | "not_forward"
    | "not_back";
  from_cursor: string | null;
  to_cursor: string | null;
  window_id: string | null;
}

export async function actOnSource(
  executor: Executor,
  { name, verb, to, fetch }: { name: string; verb: SourceVerb; to?: string; fetch?: boolean },
  { by, why }: Act,
): Promise<ActedSource> {
  const [row] = await executor.rows<ActedSource>(
    "select * from pawl.act_on_source_v1($1, $2, $3, $4, $5, $6)",
    [name, verb, to ?? null, fetch ?? false, by, why ?? null],
  );
  return row ?? { outcome: "unknown", from_cursor: null, to_cursor: null, window_id: null };
}

export interface InboxRow {
  /** Its number in the inbox. */
  number: string;
  source: string;
  id: string;
  state: "waiting" | "set_aside" | "decoding";
  name: string | null;
  occurred_at: Date | null;
  received_at: Date;
  payload: unknown;
  meta: Record<string, unknown> | null;
  /** The bytes of what could not be decoded. */
  raw: Uint8Array | null;
  attempts: number;
  next_at: Date | null;
  error: string | null;
  failed_at: Date | null;
}

export interface InboxSelection {
  source?: string | undefined;
  /** Default: set aside. */
  state?: "waiting" | "set_aside" | undefined;
  numbers?: readonly string[] | undefined;
  limit: number;
}

/** The oldest first. */
export function inboxEvents(
  executor: Executor,
  { source, state = "set_aside", numbers, limit }: InboxSelection,
): Promise<InboxRow[]> {
  return executor.rows(
    `select b.number, s.name as source, b.event_id as id,
            case b.state when 'ready' then 'waiting' when 'bad' then 'set_aside' else 'decoding' end as state,
            b.name, b.occurred_at, b.received_at, b.payload, b.meta, b.raw, b.attempts, b.next_at, b.error, b.failed_at
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

/** Those that are to be stored again, in a new place; answers their numbers before. */
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

/** One batch, all or nothing; answers how many rows went. */
export async function pruneWindows(
  executor: Executor,
  { doneMs, failedMs, archive, isDryRun, limit }: PruneWindows,
): Promise<number> {
  const [row] = await executor.rows<{ count: number }>(
    "select pawl.prune_windows_v1($1 * interval '1 ms', $2 * interval '1 ms', $3, $4, $5) as count",
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
    "select pawl.prune_seen_v1($1 * interval '1 ms', $2, $3) as count",
    [beforeMs, isDryRun, limit],
  );
  return row?.count ?? 0;
}
