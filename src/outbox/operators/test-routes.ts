/** Where an event would go, and why not elsewhere. Asks the database, so it is the router's own judgement. */

import { PawlError, shown } from "../../base/errors.ts";
import type { Store } from "../../store/store.ts";
import { eventInsert, type RecordOptions } from "../record.ts";
import { eventBodies } from "../sql.ts";
import { type RouteInfo, routeInfo } from "./routes.ts";
import { type JudgedRouteRow, judgeRoutes, targetOf } from "./sql.ts";

const EVENT_BYTES_MAX = 64 * 1_048_576;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The id of a recorded event, or an event that is described. */
export type RouteTest =
  | { event: string }
  | ({ name: string; event?: undefined } & Partial<RecordOptions>);

/** `pattern`, `where`, `match`: it does not fit; `off`: the route is; `dropping`: its destination is, and keeps nothing. */
export type NotBecause = "pattern" | "where" | "match" | "off" | "dropping";

export interface RouteVerdict extends RouteInfo {
  takes: boolean;
  /** null when it takes the event. */
  because: NotBecause | null;
}

export interface RouteTestResult {
  name: string;
  /** Sent there explicitly: routes are not asked. */
  sentTo: string | null;
  /** Nothing takes it. */
  isUnrouted: boolean;
  /** Where it goes, with the most urgent priority of the routes that lead there. */
  destinations: { name: string; priority: number; routes: number[] }[];
  routes: RouteVerdict[];
}

/** @throws PawlError `event_not_found`, `invalid_option` */
export async function testRoutes(store: Store, test: RouteTest): Promise<RouteTestResult> {
  const event = test.event === undefined ? described(test) : await recorded(store, test.event);
  const sentTo = test.event === undefined ? undefined : await targetOf(store, test.event);
  const routes = (await judgeRoutes(store, event)).map(verdictOf);
  const destinations =
    sentTo === undefined ? destinationsOf(routes) : [{ name: sentTo, priority: 1, routes: [] }];
  return {
    name: event.name,
    sentTo: sentTo ?? null,
    isUnrouted: destinations.length === 0,
    destinations,
    routes,
  };
}

type JudgedEvent = Parameters<typeof judgeRoutes>[1];

function described({
  name,
  aggregate = ["test", "1"],
  payload = {},
  meta = {},
}: Exclude<RouteTest, { event: string }>): JudgedEvent {
  const event = eventInsert(name, { aggregate, payload, meta }, EVENT_BYTES_MAX);
  const { aggregateType, aggregateId } = event;
  return {
    name,
    aggregateType,
    aggregateId,
    payload: JSON.parse(event.payload) as unknown,
    meta: JSON.parse(event.meta) as unknown,
  };
}

async function recorded(store: Store, id: string): Promise<JudgedEvent> {
  const [row] = UUID.test(id) ? await eventBodies(store, [id.toLowerCase()]) : [];
  if (row === undefined) {
    throw new PawlError(
      "event_not_found",
      `event ${shown(id)}: not there; see \`pawl events list\``,
      {
        data: { id },
      },
    );
  }
  const { name, aggregate_type, aggregate_id, payload, meta } = row;
  return { name, aggregateType: aggregate_type, aggregateId: aggregate_id, payload, meta };
}

function verdictOf(row: JudgedRouteRow): RouteVerdict {
  const route = routeInfo(row);
  const because = becauseOf(row, route);
  return { ...route, takes: because === null, because };
}

function becauseOf(row: JudgedRouteRow, { active }: RouteInfo): NotBecause | null {
  if (!row.fits_name || !row.is_open_to_it) return "pattern";
  if (!active) return "off";
  if (row.is_dropping) return "dropping";
  if (!row.fits_filter) return "where";
  return row.fits_path ? null : "match";
}

function destinationsOf(routes: readonly RouteVerdict[]): RouteTestResult["destinations"] {
  const taking = routes.filter((route) => route.takes);
  return [...new Set(taking.map((route) => route.to))].map((name) => {
    const own = taking.filter((route) => route.to === name);
    return {
      name,
      priority: Math.min(...own.map((route) => route.priority)),
      routes: own.map((route) => route.id),
    };
  });
}
