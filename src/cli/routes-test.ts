/** `pawl routes test`: where an event would go, and why not elsewhere. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import {
  type NotBecause,
  type RouteTest,
  type RouteTestResult,
  type RouteVerdict,
  testRoutes,
} from "../outbox/operators/test-routes.ts";
import { command, does, withStore } from "./command.ts";
import { table } from "./table.ts";
import { aggregate, jsonObject, jsonValue } from "./values.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const BECAUSE: Record<NotBecause, string> = {
  pattern: "other names",
  where: "its `where` does not hold",
  match: "its `match` does not hold",
  off: "the route is off",
  dropping: "the destination is off and drops",
};

interface TestCall {
  payload?: unknown;
  meta?: Record<string, unknown>;
  aggregate?: [string, string];
  all?: boolean;
}

export function testRoutesCommand(): Command {
  const made = command(
    "test <event>",
    "Say where an event would go, by its name or its id; records nothing",
    [
      ['pawl routes test order.placed --payload \'{"country":"CZ"}\'', "one that is not there yet"],
      ["pawl routes test 019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21", "as it would be routed now"],
    ],
  )
    .option("--payload <json>", "of the event", jsonValue("--payload"))
    .option("--meta <json>", "of the event", jsonObject("--meta"))
    .option("--aggregate <type:id>", "what it is about", aggregate)
    .option("--all", "list the routes for other names too");
  return does<TestCall>(made, (call, { all = false, ...options }) => {
    const test = testOf(call.args[0] ?? "", options);
    return withStore(call, async (store) => {
      const result = await testRoutes(store, test);
      return { json: result, text: resultText(result, all) };
    });
  });
}

function testOf(event: string, given: Omit<TestCall, "all">): RouteTest {
  if (!UUID.test(event)) return { name: event, ...given };
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
