/** Every statement about destinations and routes as operators see and change them: one function each, named by its verb. */

import type { Act } from "../../kernel/people/audit/sql.ts";
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
  { isNew, shown, by, why }: Act & { isNew: boolean; shown: object },
): Promise<void> {
  await executor.rows("select pawl.put_destination_v1($1, $2, $3, $4, $5)", [
    JSON.stringify(destination),
    isNew,
    JSON.stringify(shown),
    by,
    why ?? null,
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
  { drop = false, until, forMs, by, why }: PauseOptions & Act,
): Promise<number> {
  const [row] = await executor.rows<{ cancelled: number }>(
    `select pawl.pause_destination_v1($1, $2, $3, $4, coalesce($5::timestamptz,
       pawl.now() + $6::float8 * interval '1 ms')) as cancelled`,
    [name, drop, by, why ?? null, until ?? null, forMs ?? null],
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
  id: number;
  pattern: string;
  destination: string;
  filter: { payload?: unknown; meta?: unknown } | null;
  path: string | null;
  priority: number;
  active: boolean;
  off_by: string | null;
  /** null: an operator's. */
  application: string | null;
  defined_at: Date;
}

/** By id; all of them without one. */
export function routeRows(executor: Executor, id?: number): Promise<RouteRow[]> {
  return executor.rows(
    `select r.id, r.pattern, d.name as destination, r.filter, r.path::text as path, r.priority, r.active, r.off_by,
            r.application, r.defined_at
       from pawl.route r join pawl.destination d on d.id = r.destination_id
      where d.removed_at is null and ($1::int is null or r.id = $1) order by r.pattern, r.id`,
    [id ?? null],
  );
}

/** Adds one without an id. @throws PawlError `unknown_destination`, `route_not_found`, `owned_by_code`, `invalid_option` */
export async function putRoute(
  executor: Executor,
  id: number | null,
  route: RouteDefinition,
  { by, why }: Act,
): Promise<number> {
  const [row] = await executor.rows<{ id: number }>(
    "select pawl.put_route_v1($1, $2, $3, $4) as id",
    [id, JSON.stringify(route), by, why ?? null],
  );
  return row?.id ?? 0;
}

/** @throws PawlError `route_not_found`, `owned_by_code` */
export async function removeRoute(executor: Executor, id: number, { by, why }: Act): Promise<void> {
  await executor.rows("select pawl.remove_route_v1($1, $2, $3)", [id, by, why ?? null]);
}

/** @throws PawlError `route_not_found` */
export async function turnRoute(
  executor: Executor,
  { id, isOn, by, why }: Act & { id: number; isOn: boolean },
): Promise<void> {
  await executor.rows("select pawl.turn_route_v1($1, $2, $3, $4)", [id, isOn, by, why ?? null]);
}

export interface JudgedRouteRow extends RouteRow {
  fits_name: boolean;
  /** Events of Pawl itself are taken only by patterns that begin with `pawl.`. */
  is_open_to_it: boolean;
  fits_filter: boolean;
  fits_path: boolean;
  is_dropping: boolean;
}

/** What each route says about an event: {"name", "aggregateType", "aggregateId", "payload", "meta"}. */
export function judgeRoutes(
  executor: Executor,
  event: { name: string } & Record<string, unknown>,
): Promise<JudgedRouteRow[]> {
  return executor.rows(
    `select r.id, r.pattern, d.name as destination, r.filter, r.path::text as path, r.priority, r.active, r.off_by,
            r.application, r.defined_at, $1::text like r.like_pattern as fits_name,
            $1 not like 'pawl' || '.%' or r.pattern like 'pawl' || '.%' as is_open_to_it,
            pawl.passes(r.filter, null, $2::jsonb) as fits_filter, pawl.passes(null, r.path, $2::jsonb) as fits_path,
            pawl.is_dropping(d.name) as is_dropping
       from pawl.route r join pawl.destination d on d.id = r.destination_id
      where d.removed_at is null order by r.pattern, r.id`,
    [event.name, JSON.stringify(event)],
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
