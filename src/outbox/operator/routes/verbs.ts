/** The noun `routes`: which events go where. Operators add, change, turn off and remove them, without writing JSON. */

import { OFF_OPTIONS } from "../../../kernel/operator/switches/turn.ts";
import { iso, table } from "../../../operate/table.ts";
import { type Desk, type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { name } from "../../../options/kinds.ts";
import { ROUTE_ID } from "../fields.ts";
import { dropRoute, listRoutes, type RouteInfo, switchRouteOff, switchRouteOn } from "./act.ts";
import { add, edit } from "./change.ts";
import type { Routes } from "./routes.ts";
import { testVerb } from "./test-verb.ts";
import { conditionText } from "./where.ts";

const list: Verb<Routes["list"], Desk> = verb({
  help: "List routes: which events go where, and who owns each",
  examples: [["pawl routes list", "those of the code and those that operators added"]],
  input: { to: name("only to this destination") },
  run: async ({ store }, { to }) => {
    const all = await listRoutes(store);
    return all.filter((route) => to === undefined || route.to === to);
  },
  json: (routes: RouteInfo[]) => ({ routes }),
  text: (routes) =>
    table(routes, [
      { head: "ID", value: (row) => row.id, align: "right" },
      { head: "PATTERN", value: (row) => row.pattern },
      { head: "TO", value: (row) => row.to },
      { head: "PRIORITY", value: (row) => row.priority, align: "right" },
      { head: "STATE", value: stateText },
      { head: "OWNER", value: (row) => row.owner },
      { head: "CONDITION", value: conditionText },
      { head: "LAST FAULT", value: faultText },
    ]),
});

function faultText({ fault }: RouteInfo): string | null {
  if (fault === null) return null;
  return `${fault.at.toISOString().replace(/\.\d+Z$/, "Z")} event ${fault.event}: ${fault.error}`;
}

function stateText({ active, offBy, offUntil }: RouteInfo): string {
  if (active) return "on";
  const end = offUntil === null ? "" : ` until ${iso(offUntil)}`;
  return offBy === null ? "off" : `off by ${offBy}${end}`;
}

const shownAsRoute = {
  json: (route: RouteInfo) => ({ route }),
  text: (route: RouteInfo) => `route ${route.id}: ${stateText(route)}`,
};

const turnOff: Verb<Routes["turnOff"], Desk> = verb({
  help: "Turn a route off, whoever owns it",
  examples: [["pawl routes off 3 --until 2h", "as `pawl off route:3`; new events do not go there"]],
  input: { id: ROUTE_ID, until: OFF_OPTIONS.until },
  args: ["id"],
  changes: true,
  run: (desk, off, act) => switchRouteOff(desk, off, act),
  ...shownAsRoute,
});

const turnOn: Verb<Routes["turnOn"], Desk> = verb({
  help: "Turn a route on again",
  examples: [["pawl routes on 3", "see `pawl routes list`"]],
  input: { id: ROUTE_ID },
  args: ["id"],
  changes: true,
  run: (desk, { id }, act) => switchRouteOn(desk, id, act),
  ...shownAsRoute,
});

const remove: Verb<Routes["remove"], Desk> = verb({
  help: "Remove a route; deliveries that it has already created continue",
  examples: [["pawl routes remove 3 --yes", "later events no longer match it"]],
  input: { id: ROUTE_ID },
  args: ["id"],
  changes: true,
  confirm: async (_desk, { id }) => ({
    text: `route ${id}: add --yes to remove it, or turn it off`,
  }),
  run: ({ store }, { id }, act) => dropRoute(store, id, act),
  json: (_removed, { id }) => ({ action: "remove", route: id }),
  text: (_removed, { id }) => `route ${id}: removed`,
});

export const routesNoun: Noun<Routes, Desk> = {
  name: "routes",
  help: "Look at routes, add, change, test, turn off and remove them",
  verbs: { list, add, edit, turnOff, turnOn, test: testVerb, remove },
  paths: { turnOff: "routes off", turnOn: "routes on" },
};
