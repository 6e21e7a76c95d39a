/** Every statement of replays, of events that no route took, and of old ones: one function each, named by its verb. */

import type { Act } from "../../kernel/people/audit/sql.ts";
import type { Executor } from "../../store/executor.ts";
import type { EventRow, EventStatus } from "../sql.ts";

/** As the database reads it. Nothing given: all that was delivered before. */
export interface ReplaySelection {
  event?: string | undefined;
  like_pattern?: string | undefined;
  from?: Date | undefined;
  /** Exclusive. */
  to?: Date | undefined;
  /** Names; undefined: each that an event was delivered to. */
  destinations?: readonly string[] | undefined;
  /** To those that routes name now, instead of those that it was delivered to. */
  routed: boolean;
  /** Dead letters only. */
  dead: boolean;
  limit: number;
  per_ms: number;
}

export interface ReplayPlanRow {
  destination: string;
  /** New deliveries. */
  made: number;
  /** Dead letters that go back. */
  retried: number;
  /** Have not ended, and arrive anyway. */
  left_alone: number;
  /** Of the events. */
  first_at: Date;
  last_at: Date;
}

/** What it would do, by destination; changes nothing. @throws PawlError `unknown_destination` */
export async function planReplay(
  executor: Executor,
  selection: ReplaySelection,
): Promise<ReplayPlanRow[]> {
  const rows = await executor.rows<ReplayPlanRow>("select * from pawl.plan_replay_v1($1)", [
    JSON.stringify(selection),
  ]);
  return rows.map((row) => ({
    ...row,
    made: Number(row.made),
    retried: Number(row.retried),
    left_alone: Number(row.left_alone),
  }));
}

/** @throws PawlError `unknown_destination` */
export async function startReplay(
  executor: Executor,
  selection: ReplaySelection,
  { by, why }: Act,
): Promise<number> {
  const [row] = await executor.rows<{ id: number }>(
    "select pawl.start_replay_v1($1, $2, $3) as id",
    [JSON.stringify(selection), by, why ?? null],
  );
  return row?.id ?? 0;
}

export interface ReplayStep {
  made: number;
  /** Not before; null: nothing is left, or somebody stopped it. */
  wait_ms: number | null;
}

/** Makes the next deliveries and remembers it, in one transaction. */
export async function stepReplay(
  executor: Executor,
  id: number,
  scanMax: number,
): Promise<ReplayStep> {
  const [row] = await executor.rows<ReplayStep>("select * from pawl.replay_step_v1($1, $2)", [
    id,
    scanMax,
  ]);
  return row ?? { made: 0, wait_ms: null };
}

/** Answers whether it was running; undefined when there is none. */
export async function stopReplay(
  executor: Executor,
  id: number,
  { by, why }: Act,
): Promise<boolean | undefined> {
  const [row] = await executor.rows<{ was_running: boolean | null }>(
    "select pawl.stop_replay_v1($1, $2, $3) as was_running",
    [id, by, why ?? null],
  );
  return row?.was_running ?? undefined;
}

export interface ReplayRow {
  id: number;
  state: "running" | "done" | "stopped";
  event_id: string | null;
  like_pattern: string | null;
  from_at: Date | null;
  to_at: Date | null;
  destinations: string[] | null;
  routed: boolean;
  dead: boolean;
  rate_limit: number;
  rate_per_ms: number;
  /** Deliveries so far, dead letters that went back among them. */
  made: number;
  left_alone: number;
  /** Of what it has to look through; 0 to 1. */
  share: number;
  task_id: string | null;
  /** The state of that task; null when it has left history. */
  task: string | null;
  started_by: string;
  why: string | null;
  started_at: Date;
  ended_at: Date | null;
}

/** The latest first. */
export async function replays(
  executor: Executor,
  { id, limit }: { id?: number | undefined; limit: number },
): Promise<ReplayRow[]> {
  const rows = await executor.rows<ReplayRow>("select * from pawl.replays_v1($1, $2)", [
    id ?? null,
    limit,
  ]);
  return rows.map((row) => ({
    ...row,
    made: Number(row.made),
    left_alone: Number(row.left_alone),
  }));
}

/** `name` is a LIKE pattern. */
export interface Unrouted {
  ids?: readonly string[] | undefined;
  name?: string | undefined;
  limit: number;
}

/** Events that matched no route. Newest first. */
export function unroutedEvents(
  executor: Executor,
  { ids, name, limit }: Unrouted,
): Promise<EventRow[]> {
  return executor.rows(
    `select number, id, name, aggregate_type, aggregate_id, occurred_at, routed_at, 'unrouted' as status, deliveries,
            payload, meta
       from pawl.event e
      where e.deliveries = 0 and ($1::uuid[] is null or e.id = any ($1)) and ($2::text is null or e.name like $2)
      order by e.number desc limit $3`,
    [ids ?? null, name ?? null, limit],
  );
}

export async function countUnrouted(
  executor: Executor,
  { ids, name, limit }: Unrouted,
): Promise<number> {
  const [row] = await executor.rows<{ count: number }>(
    `select count(*)::int as count from (
       select from pawl.event e
        where e.deliveries = 0 and ($1::uuid[] is null or e.id = any ($1)) and ($2::text is null or e.name like $2)
        limit $3) c`,
    [ids ?? null, name ?? null, limit],
  );
  return row?.count ?? 0;
}

/** The oldest of them are routed once more, by any worker; answers how many. */
export async function routeAgain(
  executor: Executor,
  { ids, name, limit }: Unrouted,
  { by, why }: Act,
): Promise<number> {
  const [row] = await executor.rows<{ count: number }>(
    "select pawl.route_again_v1($1, $2, $3, $4, $5) as count",
    [ids ?? null, name ?? null, limit, by, why ?? null],
  );
  return row?.count ?? 0;
}

/** How deliveries stand, by destination. */
export function countByStatus(
  executor: Executor,
  ids: readonly string[],
): Promise<{ destination: string; status: Exclude<EventStatus, "unrouted">; count: number }[]> {
  return executor.rows(
    `select d.name as destination, pawl.delivery_status(t.state, t.attempt) as status, count(*)::int as count
       from pawl.delivery v
       join pawl.destination d on d.id = v.destination_id
       cross join lateral pawl.find_task_v1(v.task_id) t
      where v.task_id = any ($1) group by 1, 2 order by 1, 2`,
    [ids],
  );
}

export interface PrunedEvents {
  /** An event's number; null at the end. */
  looked_to: string | null;
  events: number;
  deliveries: number;
}

/** One batch of old events that nothing needs any more, behind the number `after`. */
export async function pruneEvents(
  executor: Executor,
  {
    beforeMs,
    after,
    limit,
    isDryRun,
  }: { beforeMs: number; after: string; limit: number; isDryRun: boolean },
): Promise<PrunedEvents> {
  const [row] = await executor.rows<PrunedEvents>(
    "select * from pawl.prune_events_v1($1 * interval '1 ms', $2, $3, $4)",
    [beforeMs, after, limit, isDryRun],
  );
  return row ?? { looked_to: null, events: 0, deliveries: 0 };
}
