/** The verb `test` of routes: where an event would go, and why not elsewhere. */

import { PawlError } from "../../../base/errors.ts";
import { table } from "../../../operate/table.ts";
import { type Desk, type Verb, verb } from "../../../operate/verb.ts";
import { required } from "../../../options/field.ts";
import { eventIdOf, flag, json, jsonObject, name } from "../../../options/kinds.ts";
import { knowing, object } from "../../../options/parts.ts";
import { aggregate } from "../../event-fields.ts";
import { EVENT_OPTIONS } from "../../record.ts";
import type { Routes } from "./routes.ts";
import {
  described,
  type NotBecause,
  type RouteTest,
  type RouteTestResult,
  type RouteVerdict,
  testRoutes,
} from "./test.ts";

const BECAUSE: Record<NotBecause, string> = {
  pattern: "other names",
  where: "its `where` does not hold",
  match: "its `match` does not hold",
  slow: "its `match` takes too long: the router would turn the route off",
  off: "the route is off",
  dropping: "the destination is off and drops",
};

export const testVerb: Verb<Routes["test"], Desk> = verb({
  help: "Show where an event would go, by its name or its id; records nothing",
  examples: [
    ['pawl routes test order.placed --payload \'{"country":"CZ"}\'', "one that is not there yet"],
    ["pawl routes test 019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21", "as it would be routed now"],
  ],
  input: {
    event: required(knowing(["event", "name", ...EVENT_OPTIONS], object<RouteTest>("the event"))),
  },
  args: ["event"],
  form: {
    input: {
      event: required(name("its name or its id", "event")),
      payload: json("of the event"),
      meta: jsonObject("of the event"),
      aggregate: aggregate("what it is about"),
      all: flag("list the routes for other names too"),
    },
    args: ["event"],
    given: ({ event, all: _all, ...given }) => ({ event: testOf(event, given) }),
  },
  check: ({ event }) => {
    if (event.event === undefined) described(event);
  },
  run: ({ store }: Desk, { event }) => testRoutes(store, event),
  text: (result, { all = false }) => resultText(result, all),
});

function testOf(event: string, given: Omit<RouteTest, "event" | "name">): RouteTest {
  if (eventIdOf(event) === undefined) return { name: event, ...given };
  if (Object.keys(given).length === 0) return { event };
  throw new PawlError(
    "invalid_option",
    "both the id of an event and what describes one are given; give one",
  );
}

function resultText(result: RouteTestResult, all: boolean): string {
  const seen = result.routes.filter((route) => all || route.because !== "pattern");
  const list = seen.length === 0 ? "no route is for this name" : routesText(seen);
  return `${verdictText(result)}\n\n${list}`;
}

function verdictText({ name, sentTo, isUnrouted, destinations }: RouteTestResult): string {
  if (sentTo !== null) return `${name} was sent to ${sentTo} explicitly: routes are not asked`;
  if (isUnrouted) return `${name} goes nowhere: it would be unrouted`;
  return `${name} goes to ${destinations.map((one) => one.name).join(", ")}`;
}

function routesText(routes: readonly RouteVerdict[]): string {
  return table(routes, [
    { head: "ID", value: (row) => row.id, align: "right" },
    { head: "PATTERN", value: (row) => row.pattern },
    { head: "TO", value: (row) => row.to },
    { head: "PRIORITY", value: (row) => row.priority, align: "right" },
    {
      head: "TAKES IT",
      value: (row) => (row.because === null ? "yes" : `no: ${BECAUSE[row.because]}`),
    },
  ]);
}
