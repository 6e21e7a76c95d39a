/** Every statement of the outbox: one function each, named by its verb. */

import { results } from "../operate/results.ts";
import { type Executor, LOOP_MS } from "../store/executor.ts";
import { limitedRows } from "../store/limited.ts";

export interface OutboxDefinitions {
  application: string;
  revision: number;
  destinations: {
    name: string;
    queue: string;
    type: string;
    config: Record<string, unknown>;
    ordering: string;
  }[];
  routes: RouteRow[];
}

export interface RouteRow {
  pattern: string;
  destination: string;
  filter: { payload?: unknown; meta?: unknown } | null;
  /** A jsonpath predicate. */
  path: string | null;
  /** 0 (first) to 3. */
  priority: number;
  active: boolean;
}

export async function registerOutbox(
  executor: Executor,
  definitions: OutboxDefinitions,
): Promise<void> {
  await executor.rows("select pawl.register_outbox_v1($1)", [JSON.stringify(definitions)]);
}

export interface EventInsert {
  name: string;
  aggregateType: string;
  aggregateId: string;
  /** JSON text. */
  payload: string;
  meta: string;
  /** It goes there and nowhere else. */
  target?: { type?: string; name: string };
}

export interface InsertedEvent {
  id: string;
  /** The transaction that it was written in. */
  xid: string;
}

/** One statement, which inserts. `xid` null: no check. Otherwise inserts nothing unless in that transaction. */
export function insertEvent(
  executor: Executor,
  event: EventInsert,
  xid: string | null,
): Promise<InsertedEvent[]> {
  return executor.rows(
    "select id, pg_catalog.pg_current_xact_id()::pg_catalog.text as xid from pawl.record_v1($1, $2, $3, $4::pg_catalog.text::pg_catalog.jsonb, $5::pg_catalog.text::pg_catalog.jsonb, $6, $7, $8)",
    [
      event.name,
      event.aggregateType,
      event.aggregateId,
      event.payload,
      event.meta,
      xid,
      event.target?.type ?? null,
      event.target?.name ?? null,
    ],
  );
}

/** Those of the transactions that have ended, committed or rolled back. */
export async function endedTransactions(
  executor: Executor,
  xids: readonly string[],
): Promise<string[]> {
  const rows = await executor.rows<{ xid: string }>(
    "select u.xid from unnest($1::text[]) u (xid) where pg_visible_in_snapshot(u.xid::xid8, pg_current_snapshot())",
    [xids],
    LOOP_MS,
  );
  return rows.map(({ xid }) => xid);
}

/** The ids of those events that are there. */
export async function recordedOf(executor: Executor, ids: readonly string[]): Promise<string[]> {
  const rows = await executor.rows<{ id: string }>(
    "select e.id::text as id from pawl.event e where e.id = any ($1::uuid[])",
    [ids],
    LOOP_MS,
  );
  return rows.map(({ id }) => id);
}

/** How long one pass of the router may take. */
export const PASS_MS = 3_000;

/** @returns how many events were routed; null when another router is at it. @throws PawlError, see `isTimedOut` */
export async function route(
  executor: Executor,
  limit: number,
  limitMs: number = PASS_MS,
): Promise<number | null> {
  const [row] = await limitedRows<{ routed: number | null }>(
    executor,
    limitMs,
    `select pawl.route_v1(${Math.floor(limit)}) as routed`,
  );
  return row?.routed ?? null;
}

export interface ConditionalRoute {
  id: number;
  pattern: string;
  destination: string;
  /** The next events that it is asked about, in their order. */
  events: string[];
}

/** Routes with a condition, and which of the next events they are asked about. */
export function conditionalRoutes(executor: Executor, limit: number): Promise<ConditionalRoute[]> {
  return executor.rows(
    `with next as materialized (
       select e.id, e.name, e.number from pawl.event e where e.routed_at is null and e.target_id is null
        order by e.number + 0 limit $1)
     select r.route_id as id, o.pattern, d.name as destination,
            array_agg(n.id::text order by n.number) as events
       from pawl.routes_for(array(select distinct n.name from next n)) r
       join next n on n.name = r.name
       join pawl.route o on o.id = r.route_id
       join pawl.destination d on d.id = r.destination_id
      where r.path is not null
      group by r.route_id, o.pattern, d.name order by r.route_id`,
    [limit],
  );
}

/** Asks the condition of a route about events, as the router does. */
export async function judgeEvents(
  executor: Executor,
  route: number,
  events: readonly string[],
): Promise<void> {
  await executor.rows(
    `select count(*) filter (where pawl.passes(r.filter, r.path, pawl.judged_event(u.id)))
       from pawl.route r cross join unnest($2::uuid[]) u (id) where r.id = $1`,
    [route, events],
  );
}

/** Turns it off, once, and records why. False: it was off already. */
export async function disableRoute(
  executor: Executor,
  { route, event, why }: { route: number; event: string; why: string },
): Promise<boolean> {
  const [row] = await executor.rows<{ was_on: boolean }>(
    "select pawl.disable_route_v1($1, $2, $3) as was_on",
    [route, event, why],
  );
  return row?.was_on ?? false;
}

interface EventHead {
  id: string;
  name: string;
  aggregateType: string;
  aggregateId: string;
  occurredAt: Date;
}

export interface EventBody extends EventHead {
  /** As stored. Parsed it takes many times the room, and loses digits. */
  payloadText: string;
  metaText: string;
  /** Parsed each time. */
  readonly payload: unknown;
}

interface EventTextRow extends EventHead {
  payload_text: string | null;
  meta_text: string | null;
}

/** Leaves out events whose payload and meta are together longer than `bytesMax`: those are read one by one. */
export async function eventBodies(
  executor: Executor,
  ids: readonly string[],
  bytesMax: number | null = null,
): Promise<EventBody[]> {
  const rows = await executor.rows<EventTextRow>(
    `select e.id, e.name, e.aggregate_type as "aggregateType", e.aggregate_id as "aggregateId", e.occurred_at as "occurredAt",
            x.payload_text, x.meta_text
       from pawl.event e
      cross join lateral (select e.payload::text as payload_text, e.meta::text as meta_text offset 0) x
      where e.id = any ($1) and ($2::int is null or octet_length(x.payload_text) + octet_length(x.meta_text) <= $2)`,
    [ids, bytesMax],
  );
  return rows.map(({ payload_text, meta_text, ...head }) => ({
    ...head,
    payloadText: payload_text ?? "null",
    metaText: meta_text ?? "{}",
    get payload() {
      return JSON.parse(this.payloadText) as unknown;
    },
  }));
}

export function destinationIds(executor: Executor): Promise<{ id: number; name: string }[]> {
  return executor.rows("select id, name from pawl.destination where removed_at is null");
}

export interface StoredDestination {
  id: number;
  name: string;
  queue: string;
  type: string;
  config: Record<string, unknown>;
  revision: number;
}

/** Destinations that operators made, with everything that delivering needs. */
export function operatorsDestinations(executor: Executor): Promise<StoredDestination[]> {
  return executor.rows(
    `select d.id, d.name, q.name as queue, d.type, d.config, d.revision
       from pawl.destination d join pawl.queue q on q.id = d.queue_id
      where d.application is null and d.removed_at is null`,
  );
}

/** Turns it off, once, and records who wanted it. */
export async function disableDestination(
  executor: Executor,
  name: string,
  why: string,
): Promise<void> {
  await executor.rows("select pawl.disable_destination_v1($1, $2)", [name, why]);
}

export type EventStatus =
  | "pending"
  | "processing"
  | "published"
  | "failed"
  | "dead"
  | "cancelled"
  | "unrouted";

export interface EventRow extends EventHead {
  /** Parsed when it is read. Numbers can lose digits; `payloadText` does not. */
  readonly payload: unknown;
  readonly meta: Record<string, unknown>;
  /** As stored, in JSON. */
  payloadText: string;
  metaText: string;
  number: string;
  routedAt: Date | null;
  status: EventStatus;
  deliveries: number | null;
}

/** Newest first. `name` is a LIKE pattern. */
export function events(
  executor: Executor,
  filter: { id?: string | undefined; name?: string | undefined; limit: number },
): Promise<EventRow[]> {
  return results(
    executor,
    `select number, id, name, aggregate_type, aggregate_id, occurred_at, routed_at, status, deliveries,
            payload::text as payload_text, meta::text as meta_text
       from pawl.events_v1($1, $2, $3)`,
    [filter.id ?? null, filter.name ?? null, filter.limit],
  );
}

export interface DeliveryRow {
  id: string;
  eventId: string;
  eventName: string | null;
  destination: string;
  type: string;
  status: Exclude<EventStatus, "unrouted">;
  attempt: number;
  maxAttempts: number;
  runAt: Date;
  endedAt: Date | null;
  error: { message?: string } | null;
}

/** Newest first. */
export function deliveries(
  executor: Executor,
  filter: { destination?: string | undefined; limit: number },
): Promise<DeliveryRow[]> {
  return results(executor, "select * from pawl.deliveries_v1($1, $2)", [
    filter.destination ?? null,
    filter.limit,
  ]);
}

export function deliveriesOf(
  executor: Executor,
  event: string,
): Promise<(Omit<DeliveryRow, "eventName"> & { result: unknown })[]> {
  return results(
    executor,
    `select id, event_id, destination, type, status, attempt, max_attempts, run_at, ended_at, result, error
       from pawl.delivery_now_v1 where event_id = $1 order by id`,
    [event],
  );
}

export interface OutboxStats {
  toRoute: number;
  unrouted: number;
  oldestToRouteMs: number | null;
  /** Which counts are estimates: those above 10,000. */
  estimates: readonly ("toRoute" | "unrouted")[];
}

export async function outboxStats(executor: Executor): Promise<OutboxStats> {
  const [row] = await executor.rows<
    Record<string, string | null> & { estimates: ("to_route" | "unrouted")[] }
  >("select * from pawl.outbox_stats_v1()");
  const oldest = row?.oldest_to_route_ms ?? null;
  return {
    toRoute: Number(row?.to_route ?? 0),
    unrouted: Number(row?.unrouted ?? 0),
    oldestToRouteMs: oldest === null ? null : Number(oldest),
    estimates: (row?.estimates ?? []).map((one) => (one === "to_route" ? "toRoute" : one)),
  };
}

export async function findDelivery(
  executor: Executor,
  id: string,
): Promise<(DeliveryRow & { result: unknown }) | undefined> {
  const [row] = await results<DeliveryRow & { result: unknown }>(
    executor,
    `select id, event_id, event_name, destination, type, status, attempt, max_attempts, run_at, ended_at, result, error
       from pawl.delivery_now_v1 where id = $1`,
    [id],
  );
  return row;
}

export const IS_UNROUTED = "pawl.is_unrouted_v1()";

/**
 * Whether anything is to be routed, ready, running, newly in a lane or due within `withinMs`, of these queues and kinds (pairs).
 * What a switch holds is no work now.
 * One statement, so one snapshot: an event cannot become a task between two looks.
 */
export async function hasWork(
  executor: Executor,
  { streams, withinMs }: { streams: readonly number[]; withinMs: number },
): Promise<boolean> {
  const [row] = await executor.rows<{ has_work: boolean }>(
    `select exists (select 1 from pawl.event e where e.routed_at is null)
         or pawl.is_work_left_v1($1, $2::float8 * interval '1 ms') as has_work`,
    [streams, withinMs],
  );
  return row?.has_work ?? false;
}
