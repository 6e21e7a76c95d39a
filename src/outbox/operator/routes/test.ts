/** Says where an event would go, and why not elsewhere. The database decides, as it does for the router. */

import { PawlError, shown } from "../../../base/errors.ts";
import { dataText } from "../../../base/text.ts";
import { eventIdOf } from "../../../options/kinds.ts";
import { isTimedOut, limited } from "../../../store/limited.ts";
import type { Store } from "../../../store/store.ts";
import { checkedEvent, type RecordOptions } from "../../record.ts";
import { type EventInsert, eventBodies } from "../../sql.ts";
import { type JudgedRouteRow, judgeRoutes, targetOf } from "../sql.ts";
import { type RouteInfo, routeInfo } from "./act.ts";

/** Time limit of all conditions together, and of one alone. */
const ALL_MS = 2_000;
const ONE_MS = 1_000;
const EVENT_BYTES_MAX = 64 * 1_048_576;

/** The id of a recorded event, or a description of an event. */
export type RouteTest =
  | { event: string }
  | ({ name: string; event?: undefined } & Partial<RecordOptions>);

/**
 * `pattern`, `where`, `match`: this does not fit; `slow`: its `match` takes so long that the router would turn the route
 * off; `off`: the route is off; `dropping`: its destination is off and drops deliveries.
 */
export type NotBecause = "pattern" | "where" | "match" | "slow" | "off" | "dropping";

export interface RouteVerdict extends RouteInfo {
  takes: boolean;
  /** Why the route does not take the event; null if it does. */
  because: NotBecause | null;
}

export interface RouteTestResult {
  name: string;
  /** The only destination of an event recorded for it (`to`, `sendTo`): routes do not count. */
  sentTo: string | null;
  /** True if nothing takes the event. */
  isUnrouted: boolean;
  /** Where it goes, with the most urgent priority of the routes that lead there. */
  destinations: { name: string; priority: number; routes: string[] }[];
  routes: RouteVerdict[];
}

/** @throws PawlError `event_not_found`, `invalid_option` */
export async function testRoutes(store: Store, test: RouteTest): Promise<RouteTestResult> {
  const event = test.event === undefined ? described(test) : await recorded(store, test.event);
  const sentTo = test.event === undefined ? undefined : await targetOf(store, test.event);
  const routes = (await judged(store, event)).map(verdictOf);
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

/** All at once; where that takes too long, one by one. */
async function judged(store: Store, given: JudgedEvent): Promise<JudgedRouteRow[]> {
  const event = { name: given.name, event: judgedText(given) };
  const within = (limitMs: number, asked: Parameters<typeof judgeRoutes>[2]) =>
    limited(store, limitMs, (tx) => judgeRoutes(tx, event, asked)).catch((thrown: unknown) => {
      if (isTimedOut(thrown)) return undefined;
      throw thrown;
    });
  const all = await within(ALL_MS, { asksPaths: true });
  if (all !== undefined) return all;
  const rows = await judgeRoutes(store, event, { asksPaths: false });
  const each: JudgedRouteRow[] = [];
  for (const row of rows) {
    const isAsked = row.fitsName && row.fitsFilter;
    const [own] = isAsked
      ? ((await within(ONE_MS, { asksPaths: true, id: row.id })) ?? [])
      : [{ ...row, fitsPath: false }];
    each.push(own ?? row);
  }
  return each;
}

type JudgedEvent = Pick<EventInsert, "name" | "aggregateType" | "aggregateId" | "payload" | "meta">;

/** Its payload and meta are JSON texts, and stay as they are. */
function judgedText({ payload, meta, ...head }: JudgedEvent): string {
  return `${JSON.stringify(head).slice(0, -1)},"payload":${payload},"meta":${meta}}`;
}

/** @throws PawlError `invalid_option` */
export function described({
  name,
  aggregate = ["test", "1"],
  payload = {},
  meta = {},
}: Exclude<RouteTest, { event: string }>): JudgedEvent {
  return checkedEvent(name, { aggregate, payload, meta }, EVENT_BYTES_MAX);
}

async function recorded(store: Store, id: string): Promise<JudgedEvent> {
  const known = eventIdOf(id);
  const [row] = known === undefined ? [] : await eventBodies(store, [known]);
  if (row === undefined) {
    throw new PawlError(
      "event_not_found",
      `event ${shown(id)}: not there; see \`pawl events list\``,
      {
        data: { id: dataText(id) },
      },
    );
  }
  const { name, aggregateType, aggregateId, payloadText, metaText } = row;
  return {
    name,
    aggregateType: aggregateType,
    aggregateId: aggregateId,
    payload: payloadText,
    meta: metaText,
  };
}

function verdictOf(row: JudgedRouteRow): RouteVerdict {
  const route = routeInfo(row);
  const because = becauseOf(row, route);
  return { ...route, takes: because === null, because };
}

function becauseOf(row: JudgedRouteRow, { active }: RouteInfo): NotBecause | null {
  if (!row.fitsName || !row.isOpenToIt) return "pattern";
  if (!active) return "off";
  if (row.isDropping) return "dropping";
  if (!row.fitsFilter) return "where";
  if (row.fitsPath === null) return "slow";
  return row.fitsPath ? null : "match";
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
