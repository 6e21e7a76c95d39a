/** Every statement about destinations and routes as operators see and change them, and why an event waits: one function each, named by its verb. */

import { results } from "../../operate/results.ts";
import type { Act } from "../../operate/sql.ts";
import type { Executor } from "../../store/executor.ts";
import type { RouteRow as RouteDefinition } from "../sql.ts";

/** Whoever changes what is defined waits for the others; until the transaction ends. */
export async function lockDefinitions(executor: Executor): Promise<void> {
  await executor.rows("select pg_advisory_xact_lock(hashtextextended('pawl.register', 0))");
}

export interface DestinationRow {
  id: number;
  name: string;
  queue: string;
  type: string;
  config: Record<string, unknown>;
  ordering: "none" | "aggregate" | "all";
  /** null: an operator's. */
  application: string | null;
  revision: number;
  timeout_ms: number | null;
  defined_at: Date;
  /** Turned off in such a way that nothing is kept for it. */
  drops: boolean;
}

/** By name; all of them without one. */
export function destinationRows(executor: Executor, name?: string): Promise<DestinationRow[]> {
  return executor.rows(
    `select d.id, d.name, q.name as queue, d.type, d.config, d.ordering, d.application, d.revision, q.timeout_ms,
            d.defined_at, pawl.is_dropping(d.name) as drops
       from pawl.destination d join pawl.queue q on q.id = d.queue_id
      where d.removed_at is null and ($1::text is null or d.name = $1) order by d.name`,
    [name ?? null],
  );
}

export interface PutDestination {
  name: string;
  type: string;
  /** Secrets sealed or by reference. */
  config: Record<string, unknown>;
  ordering: string;
  /** Retry, timeout and limits. */
  queue: object;
}

/** @throws PawlError `duplicate_name`, `owned_by_code`, `unknown_destination` */
export async function putDestination(
  executor: Executor,
  destination: PutDestination,
  { isNew, shown, by, why, action }: Act & { isNew: boolean; shown: object },
): Promise<void> {
  await executor.rows("select pawl.put_destination_v1($1, $2, $3, $4, $5, $6)", [
    JSON.stringify(destination),
    isNew,
    JSON.stringify(shown),
    by,
    why ?? null,
    action ?? null,
  ]);
}

/** The same configuration with its secrets in another form. @returns false: it is no longer this one */
export async function replaceConfig(
  executor: Executor,
  id: number,
  { before, after }: { before: Record<string, unknown>; after: Record<string, unknown> },
): Promise<boolean> {
  const rows = await executor.rows(
    "update pawl.destination set config = $3::jsonb where id = $1 and config = $2::jsonb and removed_at is null returning id",
    [id, JSON.stringify(before), JSON.stringify(after)],
  );
  return rows.length > 0;
}

/** Answers how many deliveries were cancelled. @throws PawlError `owned_by_code`, `unknown_destination` */
export async function removeDestination(
  executor: Executor,
  name: string,
  { by, why }: Act,
): Promise<number> {
  const [row] = await executor.rows<{ cancelled: number }>(
    "select pawl.remove_destination_v1($1, $2, $3) as cancelled",
    [name, by, why ?? null],
  );
  return row?.cancelled ?? 0;
}

export interface PauseOptions {
  /** What waits, and what comes, is dropped instead of held. */
  drop?: boolean | undefined;
  /** On again by itself at this time; or `forMs` from now, by the database's clock. */
  until?: Date | undefined;
  forMs?: number | undefined;
}

/** Answers how many deliveries were cancelled. */
export async function pauseDestination(
  executor: Executor,
  name: string,
  { drop = false, until, forMs, by, why, action }: PauseOptions & Act,
): Promise<number> {
  const [row] = await executor.rows<{ cancelled: number }>(
    `select pawl.pause_destination_v1($1, $2, $3, $4, coalesce($5::timestamptz,
       pawl.now() + $6::float8 * interval '1 ms'), $7) as cancelled`,
    [name, drop, by, why ?? null, until ?? null, forMs ?? null, action ?? null],
  );
  return row?.cancelled ?? 0;
}

/** Answers whether it was off. */
export async function resumeDestination(
  executor: Executor,
  name: string,
  { by, why }: Act,
): Promise<boolean> {
  const [row] = await executor.rows<{ was_off: boolean }>(
    "select pawl.resume_destination_v1($1, $2, $3) as was_off",
    [name, by, why ?? null],
  );
  return row?.was_off ?? false;
}

/** The database's clock, `ms` from now. */
export async function timeAhead(executor: Executor, ms: number): Promise<Date> {
  const [row] = await executor.rows<{ at: Date }>(
    "select pawl.now() + $1::float8 * interval '1 ms' as at",
    [ms],
  );
  return row?.at ?? new Date(Date.now() + ms);
}

export interface RouteRow {
  id: string;
  pattern: string;
  destination: string;
  filter: { payload?: unknown; meta?: unknown } | null;
  path: string | null;
  priority: number;
  active: boolean;
  offBy: string | null;
  offUntil: Date | null;
  /** When its condition last gave no answer, why, and for which event. */
  fault: string | null;
  faultAt: Date | null;
  faultEvent: string | null;
  /** null: an operator's. */
  application: string | null;
  definedAt: Date;
}

/** By id; all of them without one. */
export function routeRows(executor: Executor, id?: string): Promise<RouteRow[]> {
  return results(
    executor,
    `select r.id, r.pattern, d.name as destination, r.filter, r.path::text as path, r.priority, r.active, w.off_by, w.until as off_until,
            r.fault, r.fault_at, r.fault_event, r.application, r.defined_at
       from pawl.route r join pawl.destination d on d.id = r.destination_id
       left join pawl.switch w on w.scope = 'route' and w.name = r.id::text and (w.until is null or w.until > pawl.now())
      where d.removed_at is null and ($1::bigint is null or r.id = $1) order by r.pattern, r.id`,
    [id ?? null],
  );
}

/** Adds one without an id. @throws PawlError `unknown_destination`, `route_not_found`, `owned_by_code`, `invalid_option` */
export async function putRoute(
  executor: Executor,
  id: string | null,
  route: RouteDefinition & { on?: true },
  { by, why, action }: Act,
): Promise<string> {
  const [row] = await executor.rows<{ id: string }>(
    "select pawl.put_route_v1($1, $2, $3, $4, $5)::text as id",
    [id, JSON.stringify(route), by, why ?? null, action ?? null],
  );
  return row?.id ?? "0";
}

/** @throws PawlError `route_not_found`, `owned_by_code` */
export async function removeRoute(executor: Executor, id: string, { by, why }: Act): Promise<void> {
  await executor.rows("select pawl.remove_route_v1($1, $2, $3)", [id, by, why ?? null]);
}

export interface JudgedRouteRow extends RouteRow {
  fitsName: boolean;
  /** Events of Pawl itself are taken only by patterns that begin with `pawl.`. */
  isOpenToIt: boolean;
  fitsFilter: boolean;
  /** null: it was not asked. */
  fitsPath: boolean | null;
  isDropping: boolean;
}

/** What each route, or one of them, says about an event, a JSON text: {"name", "aggregateType", "aggregateId", "payload", "meta"}. */
export function judgeRoutes(
  executor: Executor,
  { name, event }: { name: string; event: string },
  { asksPaths, id }: { asksPaths: boolean; id?: string },
): Promise<JudgedRouteRow[]> {
  return results(
    executor,
    `select r.id, r.pattern, d.name as destination, r.filter, r.path::text as path, r.priority, r.active, w.off_by, w.until as off_until,
            r.fault, r.fault_at, r.fault_event, r.application, r.defined_at, $1::text like r.like_pattern as fits_name,
            $1 not like 'pawl' || '.%' or r.pattern like 'pawl' || '.%' as is_open_to_it,
            pawl.passes(r.filter, null, $2::jsonb) as fits_filter,
            case when $3 then coalesce(pawl.passes(null, r.path, $2::jsonb), false) end as fits_path,
            pawl.is_dropping(d.name) as is_dropping
       from pawl.route r join pawl.destination d on d.id = r.destination_id
       left join pawl.switch w on w.scope = 'route' and w.name = r.id::text and (w.until is null or w.until > pawl.now())
      where d.removed_at is null and ($4::int is null or r.id = $4) order by r.pattern, r.id`,
    [name, event, asksPaths, id ?? null],
  );
}

/** Where an event goes that was sent to one destination explicitly. */
export async function targetOf(executor: Executor, event: string): Promise<string | undefined> {
  const [row] = await executor.rows<{ name: string }>(
    `select d.name from pawl.event e join pawl.destination d on d.id = e.target_id where e.id = $1`,
    [event],
  );
  return row?.name;
}

export interface EventPlace {
  /** Events that are routed first; exact up to 10,000. */
  before: number;
  /** Live ones that route: those that run tasks have Pawl's own queue, loaders and movers have none. */
  workers: number;
  /** How long the router has been at its pass, and the process of the database that runs it; null: nobody routes. */
  routerMs: number | null;
  routerPid: number | null;
  /** The database's clock. */
  now: Date;
}

/** Where an event that is not routed yet stands. */
export async function eventPlace(executor: Executor, id: string): Promise<EventPlace | undefined> {
  const [row] = await results<EventPlace>(
    executor,
    `select (select count(*)::int from (
              select 1 from pawl.event o where o.routed_at is null and o.number + 0 < e.number limit 10001) b) as before,
            (select count(*)::int from pawl.worker w
              where w.ended_at is null and w.lease_until > pawl.now() and 'pawl' = any (w.queues)) as workers,
            r.ms as router_ms, r.pid as router_pid, pawl.now() as now
       from pawl.event e
       left join lateral (
         select a.pid, (extract(epoch from clock_timestamp() - a.query_start) * 1000)::int as ms
           from pg_locks l join pg_stat_activity a on a.pid = l.pid
          where l.locktype = 'advisory' and l.granted and l.objsubid = 1
            and l.database = (select b.oid from pg_database b where b.datname = current_database())
            and (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('pawl.route', 0)
          limit 1) r on true
      where e.id = $1`,
    [id],
  );
  return row;
}

export interface FaultyRoute {
  id: string;
  pattern: string;
  destination: string;
  fault: string;
  /** It was turned off for it. */
  isOff: boolean;
  isThis: boolean;
}

/** Routes for an event's name whose conditions gave no answer lately, for this event or another one. */
export function faultyRoutes(executor: Executor, event: string): Promise<FaultyRoute[]> {
  return results(
    executor,
    `select r.id, r.pattern, d.name as destination, r.fault,
            exists (select from pawl.switch w where w.scope = 'route' and w.name = r.id::text and w.off_by = 'pawl'
              and (w.until is null or w.until > pawl.now())) as is_off,
            r.fault_event = e.id as is_this
       from pawl.event e
       join pawl.route r on e.name like r.like_pattern
       join pawl.destination d on d.id = r.destination_id and d.removed_at is null
      where e.id = $1 and r.fault is not null order by r.id limit 5`,
    [event],
  );
}
