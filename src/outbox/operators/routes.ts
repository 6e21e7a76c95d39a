/** Operators add, change, turn off and remove routes while the app runs; what the code defines is only turned off. */

import { PawlError, shown } from "../../base/errors.ts";
import type { Act } from "../../kernel/people/audit/sql.ts";
import type { Executor } from "../../store/executor.ts";
import type { Store } from "../../store/store.ts";
import { on, type RouteOptions } from "../routes.ts";
import type { RouteRow as RouteDefinition } from "../sql.ts";
import { changing, ownerOf, requireDestination } from "./base.ts";
import { putRoute, type RouteRow, removeRoute, routeRows, turnRoute } from "./sql.ts";

const ID_MAX = 2_147_483_647;

export interface RouteInfo {
  id: number;
  pattern: string;
  /** The name of the destination. */
  to: string;
  /** Only events that contain these. */
  where: { payload?: unknown; meta?: unknown } | null;
  /** Only events for which this jsonpath predicate holds. */
  match: string | null;
  priority: number;
  active: boolean;
  /** Who turned it off; null also when its definition does. */
  offBy: string | null;
  /** `operator`, or `code of app shop`. */
  owner: string;
  application: string | null;
  definedAt: Date;
}

export interface AddRoute extends RouteOptions {
  /** An event name, `*` for any run of characters. */
  pattern: string;
  /** The name of a destination. */
  to: string;
}

/** null takes a condition away. */
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
    active: row.active && row.off_by === null,
    offBy: row.off_by,
    owner: ownerOf(row.application),
    application: row.application,
    definedAt: row.defined_at,
  };
}

/** @throws PawlError `route_not_found` */
export async function requireRoute(executor: Executor, id: number): Promise<RouteInfo> {
  const isId = Number.isInteger(id) && id >= 1 && id <= ID_MAX;
  const [row] = isId ? await routeRows(executor, id) : [];
  if (row !== undefined) return routeInfo(row);
  throw new PawlError("route_not_found", `no route ${shown(id)}; see \`pawl routes list\``, {
    data: { id },
  });
}

/** @throws PawlError `invalid_option`, `unknown_destination` */
export async function addRoute(store: Store, route: AddRoute, act: Act): Promise<RouteInfo> {
  const row = definitionOf(route);
  await requireDestination(store, row.destination);
  return requireRoute(store, await putRoute(store, null, row, act));
}

/** One that is off stays off, unless `active` says otherwise. @throws PawlError as `addRoute`, and `owned_by_code` */
export function editRoute(
  store: Store,
  { id, changes }: { id: number; changes: EditRoute },
  act: Act,
): Promise<RouteInfo> {
  return changing(store, async (executor) => {
    const { pattern, to, where, match, priority, active } = await requireOperators(executor, id);
    const next = { pattern, to, where, match, priority, active, ...changes };
    const given = Object.entries(next).filter(([, value]) => value !== null && value !== undefined);
    const row = definitionOf(Object.fromEntries(given) as unknown as AddRoute);
    await requireDestination(executor, row.destination);
    await putRoute(executor, id, row, act);
    return requireRoute(executor, id);
  });
}

/** What its definition turns off is turned on only there. @throws PawlError `route_not_found`, `owned_by_code` */
export function switchRoute(
  store: Store,
  { id, isOn }: { id: number; isOn: boolean },
  act: Act,
): Promise<RouteInfo> {
  return changing(store, async (executor) => {
    const before = await requireRoute(executor, id);
    await turnRoute(executor, { id, isOn, ...act });
    const after = await requireRoute(executor, id);
    if (!isOn || after.active) return after;
    if (before.application !== null) throw ownedByCode(before, "it is turned off");
    await putRoute(executor, id, definitionOf({ ...plain(after), active: true }), act);
    return requireRoute(executor, id);
  });
}

/** @throws PawlError `route_not_found`, `owned_by_code` */
export async function dropRoute(store: Store, id: number, act: Act): Promise<void> {
  await requireOperators(store, id);
  await removeRoute(store, id, act);
}

async function requireOperators(executor: Executor, id: number): Promise<RouteInfo> {
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

function definitionOf({ pattern, to, ...options }: AddRoute): RouteDefinition {
  const route = on(pattern, options).to(to);
  const { where, match, priority, active } = route;
  return { pattern: route.pattern, destination: to, filter: where, path: match, priority, active };
}
