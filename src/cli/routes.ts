/** `pawl routes`: which events go where. Operators add, change, turn off and remove them here, without writing JSON. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import type { Act } from "../kernel/people/audit/sql.ts";
import { dropRoute, listRoutes, type RouteInfo, switchRoute } from "../outbox/operators/routes.ts";
import { actOf, withAct } from "./act.ts";
import { command, does, withStore } from "./command.ts";
import { addRouteCommand, editRouteCommand, routeId } from "./routes-change.ts";
import { testRoutesCommand } from "./routes-test.ts";
import { conditionText } from "./routes-where.ts";
import { table } from "./table.ts";

export function routesCommand(): Command {
  return command("routes", "Look at routes, add, change, test, turn off and remove them")
    .addCommand(list())
    .addCommand(addRouteCommand())
    .addCommand(editRouteCommand())
    .addCommand(turn("off", "Turn a route off, whoever owns it"))
    .addCommand(turn("on", "Turn a route on again"))
    .addCommand(testRoutesCommand())
    .addCommand(remove());
}

function list(): Command {
  const made = command("list", "List routes: which events go where, and whose they are", [
    ["pawl routes list", "those of the code and those that operators added"],
  ]).option("--to <name>", "only to this destination");
  return does<{ to?: string }>(made, (call, { to }) =>
    withStore(call, async (store) => {
      const all = await listRoutes(store);
      const routes = all.filter((route) => to === undefined || route.to === to);
      return { json: { routes }, text: routesText(routes) };
    }),
  );
}

function routesText(routes: readonly RouteInfo[]): string {
  return table(routes, [
    { head: "ID", value: (row) => row.id, align: "right" },
    { head: "PATTERN", value: (row) => row.pattern },
    { head: "TO", value: (row) => row.to },
    { head: "PRIORITY", value: (row) => row.priority, align: "right" },
    { head: "STATE", value: stateText },
    { head: "OWNER", value: (row) => row.owner },
    { head: "CONDITION", value: conditionText },
  ]);
}

function stateText({ active, offBy }: RouteInfo): string {
  if (active) return "on";
  return offBy === null ? "off" : `off by ${offBy}`;
}

function turn(verb: "off" | "on", what: string): Command {
  const made = command(`${verb} <id>`, what, [[`pawl routes ${verb} 3`, "see `pawl routes list`"]]);
  return does<Act>(withAct(made), (call, options) => {
    const id = routeId(call.args[0] ?? "");
    return withStore(call, async (store) => {
      const route = await switchRoute(store, { id, isOn: verb === "on" }, actOf(options));
      return { json: { route }, text: `route ${id}: ${stateText(route)}` };
    });
  });
}

function remove(): Command {
  const made = command("remove <id>", "Remove a route; deliveries that it made go on", [
    ["pawl routes remove 3 --yes", "events that come match it no more"],
  ]).option("--yes", "needed: nobody asks again");
  return does<Act & { yes?: boolean }>(withAct(made), (call, options) => {
    const id = routeId(call.args[0] ?? "");
    if (options.yes !== true) {
      throw new PawlError("invalid_option", `route ${id}: add --yes to remove it, or turn it off`);
    }
    return withStore(call, async (store) => {
      await dropRoute(store, id, actOf(options));
      return { json: { action: "remove", route: id }, text: `route ${id}: removed` };
    });
  });
}
