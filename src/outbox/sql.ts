/** Every statement of the outbox: one function each, named by its verb. */

import type { Executor } from "../store/executor.ts";

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
  target?: { type: string; name: string };
}

/** One INSERT. `xid` null: no check. Otherwise inserts nothing unless in that transaction. */
export function insertEvent(
  executor: Executor,
  event: EventInsert,
  xid: string | null,
): Promise<{ id: string }[]> {
  return executor.rows(
    `insert into pawl.event (name, aggregate_type, aggregate_id, payload, meta, target_id)
     select $1, $2, $3, $4::jsonb, $5::jsonb, case when $7::text is not null then pawl.target_destination($7, $8) end
      where $6::text is null or pg_current_xact_id_if_assigned()::text = $6
     returning id`,
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

/** @returns how many events were routed; null when another router is at it */
export async function route(executor: Executor, limit: number): Promise<number | null> {
  const [row] = await executor.rows<{ routed: number | null }>(
    "select pawl.route_v1($1) as routed",
    [limit],
  );
  return row?.routed ?? null;
}

export interface EventBody {
  id: string;
  name: string;
  aggregate_type: string;
  aggregate_id: string;
  occurred_at: Date;
  payload: unknown;
  meta: Record<string, unknown>;
}

export function eventBodies(executor: Executor, ids: readonly string[]): Promise<EventBody[]> {
  return executor.rows(
    `select id, name, aggregate_type, aggregate_id, occurred_at, payload, meta
       from pawl.event where id = any ($1)`,
    [ids],
  );
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

/** Those that operators made, with all that delivering needs. */
export function operatorsDestinations(executor: Executor): Promise<StoredDestination[]> {
  return executor.rows(
    `select d.id, d.name, q.name as queue, d.type, d.config, d.revision
       from pawl.destination d join pawl.queue q on q.id = d.queue_id
      where d.application is null and d.removed_at is null`,
  );
}

/** Turns it off, once, and records who asked for it. */
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

export interface EventRow extends EventBody {
  number: string;
  routed_at: Date | null;
  status: EventStatus;
  deliveries: number | null;
}

/** Newest first. `name` is a LIKE pattern. */
export function events(
  executor: Executor,
  filter: { id?: string | undefined; name?: string | undefined; limit: number },
): Promise<EventRow[]> {
  return executor.rows("select * from pawl.events_v1($1, $2, $3)", [
    filter.id ?? null,
    filter.name ?? null,
    filter.limit,
  ]);
}

export interface DeliveryRow {
  id: string;
  event_id: string;
  event_name: string | null;
  destination: string;
  type: string;
  status: Exclude<EventStatus, "unrouted">;
  attempt: number;
  max_attempts: number;
  run_at: Date;
  ended_at: Date | null;
  error: { message?: string } | null;
}

/** Newest first. */
export function deliveries(
  executor: Executor,
  filter: { destination?: string | undefined; limit: number },
): Promise<DeliveryRow[]> {
  return executor.rows("select * from pawl.deliveries_v1($1, $2)", [
    filter.destination ?? null,
    filter.limit,
  ]);
}

export function deliveriesOf(
  executor: Executor,
  event: string,
): Promise<(Omit<DeliveryRow, "event_name"> & { result: unknown })[]> {
  return executor.rows("select * from pawl.deliveries_of($1)", [event]);
}

export interface EventPlace {
  /** Events that are routed first; exact up to 10,000. */
  before: number;
  /** Live ones that route: those that run tasks have Pawl's own queue, loaders and movers have none. */
  workers: number;
  /** The database's clock. */
  now: Date;
}

/** Where an event that is not routed yet stands. */
export async function eventPlace(executor: Executor, id: string): Promise<EventPlace | undefined> {
  const [row] = await executor.rows<EventPlace>(
    `select (select count(*)::int from (
              select 1 from pawl.event o where o.routed_at is null and o.number + 0 < e.number limit 10001) b) as before,
            (select count(*)::int from pawl.worker w
              where w.ended_at is null and w.lease_until > pawl.now() and 'pawl' = any (w.queues)) as workers,
            pawl.now() as now
       from pawl.event e where e.id = $1`,
    [id],
  );
  return row;
}

export async function outboxStats(
  executor: Executor,
): Promise<{ to_route: number; unrouted: number; oldest_to_route_ms: number | null }> {
  const [row] = await executor.rows<Record<string, string | null>>(
    "select * from pawl.outbox_stats_v1()",
  );
  const oldest = row?.oldest_to_route_ms ?? null;
  return {
    to_route: Number(row?.to_route ?? 0),
    unrouted: Number(row?.unrouted ?? 0),
    oldest_to_route_ms: oldest === null ? null : Number(oldest),
  };
}

export async function findDelivery(
  executor: Executor,
  id: string,
): Promise<(DeliveryRow & { result: unknown }) | undefined> {
  const [row] = await executor.rows<DeliveryRow & { result: unknown }>(
    `select v.task_id as id, v.event_id, e.name as event_name, d.name as destination, d.type,
            pawl.delivery_status(t.state, t.attempt) as status, t.attempt, t.max_attempts, t.run_at, t.ended_at,
            t.result, t.error
       from pawl.delivery v
       join pawl.destination d on d.id = v.destination_id
       left join pawl.event e on e.id = v.event_id
       cross join lateral pawl.find_task_v1(v.task_id) t
      where v.task_id = $1`,
    [id],
  );
  return row;
}

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
    `with shard as materialized (
       select h.id from pawl.shard h
        where h.stream_id = any ($1) and not exists (select 1 from pawl.holds_v1(array[h.stream_id])))
     select exists (select 1 from pawl.event e where e.routed_at is null)
         or exists (select 1 from shard h join pawl.task t on t.shard_id = h.id and t.state = 'ready')
         or exists (select 1 from pawl.task t join shard h on h.id = t.shard_id
                     where t.state = 'scheduled' and t.run_at <= pawl.now() + $2::float8 * interval '1 ms')
         or exists (select 1 from pawl.task t join shard h on h.id = t.shard_id where t.state = 'arrived') as has_work`,
    [streams, withinMs],
  );
  return row?.has_work ?? false;
}
