/** Every statement of replays, of events that no route took, and of old ones: one function each, named by its verb. */

import { results } from "../../operate/results.ts";
import type { Act } from "../../operate/sql.ts";
import type { Executor } from "../../store/executor.ts";
import { isTimedOut, limited, limitedRows, tookTooLong } from "../../store/limited.ts";
import type { Store } from "../../store/store.ts";
import type { EventRow, EventStatus } from "../sql.ts";

const PLAN_MS = 30_000;

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
  /** Number of new deliveries. */
  made: number;
  /** Number of dead letters that go back. */
  retried: number;
  /** Number of deliveries that are left alone, because they have not ended yet. */
  leftAlone: number;
  /** Times of the first and the last event. */
  firstAt: Date;
  lastAt: Date;
}

/** Returns what it would do, by destination; changes nothing. @throws PawlError `unknown_destination`, `took_too_long` */
export async function planReplay(
  store: Store,
  selection: ReplaySelection,
): Promise<ReplayPlanRow[]> {
  const plan = (tx: Executor) =>
    results<ReplayPlanRow>(tx, "select * from pawl.plan_replay_v1($1)", [
      JSON.stringify(selection),
    ]);
  const rows = await limited(store, PLAN_MS, plan).catch((thrown: unknown) => {
    if (!isTimedOut(thrown)) throw thrown;
    throw tookTooLong(
      "the plan of a replay",
      PLAN_MS,
      "select less, by name or by time; with `routed` a slow condition of a route may be at fault, see `pawl routes list`",
      thrown,
    );
  });
  return rows.map((row) => ({
    ...row,
    made: Number(row.made),
    retried: Number(row.retried),
    leftAlone: Number(row.leftAlone),
  }));
}

/** @throws PawlError `unknown_destination` */
export async function startReplay(
  executor: Executor,
  selection: ReplaySelection,
  { by, why }: Act,
): Promise<string> {
  const [row] = await executor.rows<{ id: string }>(
    "select pawl.start_replay_v1($1, $2, $3)::text as id",
    [JSON.stringify(selection), by, why ?? null],
  );
  return row?.id ?? "0";
}

export interface ReplayStep {
  made: number;
  /** Not before; null: nothing is left, or somebody stopped it. */
  wait_ms: number | null;
}

/** How long one step may take. */
export const STEP_MS = 10_000;

/** Makes the next deliveries and remembers it, in one transaction. @throws PawlError, see `isTimedOut` */
export async function stepReplay(
  executor: Executor,
  id: string,
  scanMax: number,
): Promise<ReplayStep> {
  const [row] = await limitedRows<ReplayStep>(
    executor,
    STEP_MS,
    `select * from pawl.replay_step_v1(${BigInt(id)}, ${Math.floor(scanMax)})`,
  );
  return row ?? { made: 0, wait_ms: null };
}

/** Returns true if it was running; undefined if there is none. */
export async function stopReplay(
  executor: Executor,
  id: string,
  { by, why }: Act,
): Promise<boolean | undefined> {
  const [row] = await executor.rows<{ was_running: boolean | null }>(
    "select pawl.stop_replay_v1(r.id, $2, $3) as was_running from pawl.replay r where r.id = $1::bigint",
    [id, by, why ?? null],
  );
  return row?.was_running ?? undefined;
}

export interface ReplayRow {
  id: string;
  state: "running" | "done" | "stopped";
  eventId: string | null;
  likePattern: string | null;
  fromAt: Date | null;
  toAt: Date | null;
  destinations: string[] | null;
  routed: boolean;
  dead: boolean;
  rateLimit: number;
  ratePerMs: number;
  /** Number of deliveries so far, including dead letters that went back. */
  made: number;
  leftAlone: number;
  /** The part of the events that it has looked at, 0 to 1. */
  share: number;
  taskId: string | null;
  /** The state of its task; null if it has left history. */
  task: string | null;
  startedBy: string;
  why: string | null;
  startedAt: Date;
  endedAt: Date | null;
}

/** Latest first. */
export async function replays(
  executor: Executor,
  { id, limit }: { id?: string | undefined; limit: number },
): Promise<ReplayRow[]> {
  const rows = await results<ReplayRow>(executor, "select * from pawl.replays_v1($1, $2)", [
    id ?? null,
    limit,
  ]);
  return rows.map((row) => ({
    ...row,
    made: Number(row.made),
    leftAlone: Number(row.leftAlone),
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
  return results(
    executor,
    `select number, id, name, aggregate_type, aggregate_id, occurred_at, routed_at, 'unrouted' as status, deliveries,
            payload::text as payload_text, meta::text as meta_text
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
    `select destination, status, count(*)::int as count from pawl.delivery_now_v1
      where id = any ($1) group by 1, 2 order by 1, 2`,
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
    "select * from pawl.prune_events_v1($1::float8 * interval '1 ms', $2, $3, $4)",
    [beforeMs, after, limit, isDryRun],
  );
  return row ?? { looked_to: null, events: 0, deliveries: 0 };
}
