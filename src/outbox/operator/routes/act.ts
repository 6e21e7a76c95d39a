/** Operators add, change, turn off and remove routes while the app runs. Routes defined in code can only be turned off. */

import { PawlError } from "../../../base/errors.ts";
import { scopeText } from "../../../base/scope.ts";
import { switchOn } from "../../../kernel/operator/switches/sql.ts";
import { type Off, turnOff } from "../../../kernel/operator/switches/turn.ts";
import type { Act } from "../../../operate/sql.ts";
import type { Desk } from "../../../operate/verb.ts";
import { readValue } from "../../../options/field.ts";
import { name } from "../../../options/kinds.ts";
import type { Executor } from "../../../store/executor.ts";
import type { Store } from "../../../store/store.ts";
import { on, type RouteOptions } from "../../routes.ts";
import type { RouteRow as RouteDefinition } from "../../sql.ts";
import { changing, ownerOf, requireDestination } from "../base.ts";
import { putRoute, type RouteRow, removeRoute, routeRows } from "../sql.ts";

export interface RouteInfo {
  id: string;
  pattern: string;
  /** The name of the destination. */
  to: string;
  /** Only events that contain these values. */
  where: { payload?: unknown; meta?: unknown } | null;
  /** Only events for which this jsonpath predicate is true. */
  match: string | null;
  priority: number;
  active: boolean;
  /** Who turned it off; also null if its definition turned it off. */
  offBy: string | null;
  /** When it is on again automatically. */
  offUntil: Date | null;
  /** The last event for which its condition gave neither true nor false, or took too long; updated at most once a minute. */
  fault: { at: Date; event: string; error: string } | null;
  /** `operator`, or `code of app shop`. */
  owner: string;
  application: string | null;
  definedAt: Date;
}

export interface AddRoute extends RouteOptions {
  /** An event name; `*` matches any characters. */
  pattern: string;
  /** The name of a destination. */
  to: string;
}

export const ROUTE_OPTIONS: readonly (keyof AddRoute)[] = [
  "pattern",
  "to",
  "where",
  "match",
  "priority",
  "active",
];

/** null removes a condition. */
export type EditRoute = {
  [Name in keyof AddRoute]?: AddRoute[Name] | null;
};

export async function listRoutes(executor: Executor): Promise<RouteInfo[]> {
  return (await routeRows(executor)).map(routeInfo);
}

export function routeInfo(row: RouteRow): RouteInfo {
  return {
    id: row.id,
    pattern: row.pattern,
    to: row.destination,
    where: row.filter,
    match: row.path,
    priority: row.priority,
    active: row.active && row.offBy === null,
    offBy: row.offBy,
    offUntil: row.offUntil,
    fault: faultOf(row),
    owner: ownerOf(row.application),
    application: row.application,
    definedAt: row.definedAt,
  };
}

function faultOf({ fault, faultAt, faultEvent }: RouteRow): RouteInfo["fault"] {
  if (fault === null || faultAt === null || faultEvent === null) return null;
  return { at: faultAt, event: faultEvent, error: fault };
}

/** @throws PawlError `route_not_found` */
async function requireRoute(executor: Executor, id: string): Promise<RouteInfo> {
  const [row] = await routeRows(executor, id);
  if (row !== undefined) return routeInfo(row);
  throw new PawlError("route_not_found", `no route ${id}; see \`pawl routes list\``, {
    data: { id },
  });
}

/** @throws PawlError `invalid_option`, `unknown_destination` */
export async function addRoute(store: Store, route: AddRoute, act: Act): Promise<RouteInfo> {
  const row = definitionOf(route);
  await requireDestination(store, row.destination);
  return requireRoute(store, await putRoute(store, null, row, act));
}

/** null removes a part. */
export function withoutNulls(
  changes: {
    [Name in keyof EditRoute]: EditRoute[Name] | undefined;
  },
): Partial<AddRoute> {
  const given = Object.entries(changes).filter(
    ([, value]) => value !== null && value !== undefined,
  );
  return Object.fromEntries(given);
}

/** One that is off stays off, unless `active` says otherwise. @throws PawlError as `addRoute`, and `owned_by_code` */
export async function editRoute(
  store: Store,
  { id, changes }: { id: string; changes: EditRoute },
  act: Act,
): Promise<RouteInfo> {
  return changing(store, async (executor) => {
    const { pattern, to, where, match, priority } = await requireOperators(executor, id);
    const [before] = await routeRows(executor, id); // whether it is active by its definition, whatever its switch says
    const next = { pattern, to, where, match, priority, active: before?.active, ...changes };
    const row = definitionOf(withoutNulls(next) as AddRoute);
    await requireDestination(executor, row.destination);
    await putRoute(executor, id, { ...row, ...(changes.active === true && { on: true }) }, act);
    return requireRoute(executor, id);
  });
}

/** @throws PawlError `route_not_found` */
export async function switchRouteOff(
  desk: Desk,
  { id, ...off }: Pick<Off, "until" | "wait"> & { id: string },
  act: Act,
): Promise<RouteInfo> {
  await requireRoute(desk.store, id);
  await turnOff(desk, { scope: scopeOf(id), ...off, act });
  return requireRoute(desk.store, id);
}

/** What its definition turns off is turned on only there. @throws PawlError `route_not_found`, `owned_by_code` */
export async function switchRouteOn({ store }: Desk, id: string, act: Act): Promise<RouteInfo> {
  return changing(store, async (executor) => {
    const before = await requireRoute(executor, id);
    await switchOn(executor, { scope: scopeOf(id), ...act });
    const after = await requireRoute(executor, id);
    if (after.active) return after;
    if (before.application !== null) throw ownedByCode(before, "it is turned off");
    await putRoute(executor, id, definitionOf({ ...plain(after), active: true }), act);
    return requireRoute(executor, id);
  });
}

function scopeOf(id: string): string {
  return scopeText({ kind: "route", name: id });
}

/** @throws PawlError `route_not_found`, `owned_by_code` */
export async function dropRoute(store: Store, id: string, act: Act): Promise<void> {
  await requireOperators(store, id);
  await removeRoute(store, id, act);
}

async function requireOperators(executor: Executor, id: string): Promise<RouteInfo> {
  const route = await requireRoute(executor, id);
  if (route.application === null) return route;
  throw ownedByCode(route, "it is defined");
}

function ownedByCode({ id, application }: RouteInfo, what: string): PawlError {
  return new PawlError(
    "owned_by_code",
    `route ${id}: ${what} in the code of app "${application}"; change it there; turning it off works here too`,
    { data: { id, application } },
  );
}

function plain({ pattern, to, where, match, priority }: RouteInfo): AddRoute {
  return {
    pattern,
    to,
    priority,
    ...(where !== null && { where }),
    ...(match !== null && { match }),
  };
}

/** Its row. @throws PawlError `invalid_option` */
export function definitionOf({ pattern, to, ...options }: AddRoute): RouteDefinition {
  const route = on(pattern, options).to(readValue("route", "to", name("a destination"), to));
  const { where, match, priority, active } = route;
  return { pattern: route.pattern, destination: to, filter: where, path: match, priority, active };
}
