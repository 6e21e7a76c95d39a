/** `pawl routes add` and `edit`. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import type { Act } from "../kernel/people/audit/sql.ts";
import { addRoute, type EditRoute, editRoute, type RouteInfo } from "../outbox/operators/routes.ts";
import { actOf, withAct } from "./act.ts";
import { command, does, withStore } from "./command.ts";
import { collect } from "./destinations-config.ts";
import type { Answer } from "./output.ts";
import { conditionText, whereOf } from "./routes-where.ts";
import { wholeNumber } from "./values.ts";

const ID_MAX = 2_147_483_647;
const PRIORITY_MAX = 3;

interface RouteCall extends Act {
  pattern?: string;
  to?: string;
  where?: string[];
  match?: string;
  priority?: number;
  off?: boolean;
  unset?: string[];
}

export function routeId(text: string): number {
  return wholeNumber("the route's id", ID_MAX)(text);
}

function withRouteOptions(made: Command): Command {
  return made
    .option(
      "--where <condition>",
      "only events that contain it: payload.country=CZ, meta.tenant=a; may be repeated",
      collect,
    )
    .option("--match <jsonpath>", "only events for which it holds: '$.payload.total > 100'")
    .option(
      "--priority <n>",
      "of the deliveries: 0 (first) to 3",
      wholeNumber("--priority", PRIORITY_MAX, 0),
    );
}

export function addRouteCommand(): Command {
  const made = command("add <pattern>", "Send events of a name to a destination", [
    ['pawl routes add "order.*" --to erp', "* stands for anything; quote it"],
    ['pawl routes add "order.*" --to audit --where payload.country=CZ', "only some"],
  ])
    .requiredOption("--to <name>", "the destination")
    .option("--off", "added turned off");
  return does<RouteCall>(withAct(withRouteOptions(made)), (call, options) =>
    withStore(call, async (store) => {
      const { to = "", off = false } = options;
      const given = { pattern: call.args[0] ?? "", to, ...conditions(options), active: !off };
      return answer("added", await addRoute(store, given, actOf(options)));
    }),
  );
}

export function editRouteCommand(): Command {
  const made = command("edit <id>", "Change a route that an operator added", [
    ["pawl routes edit 3 --priority 0", "the rest stays"],
    ["pawl routes edit 3 --unset where", "every event of the pattern"],
  ])
    .option("--pattern <pattern>", "which events")
    .option("--to <name>", "the destination")
    .option("--unset <condition>", "take away: where, match or priority", collect);
  return does<RouteCall>(withAct(withRouteOptions(made)), (call, options) => {
    const id = routeId(call.args[0] ?? "");
    const { pattern, to } = options;
    const changes: EditRoute = {
      ...(pattern !== undefined && { pattern }),
      ...(to !== undefined && { to }),
      ...conditions(options),
      ...Object.fromEntries((options.unset ?? []).map((name) => [unsettable(name), null])),
    };
    if (Object.keys(changes).length === 0) {
      throw new PawlError("invalid_option", `route ${id}: nothing to change is given`);
    }
    return withStore(call, async (store) =>
      answer("changed", await editRoute(store, { id, changes }, actOf(options))),
    );
  });
}

function conditions({ where, match, priority }: RouteCall): Pick<EditRoute, "priority"> & {
  where?: NonNullable<EditRoute["where"]>;
  match?: string;
  priority?: number;
} {
  return {
    ...(where !== undefined && { where: whereOf(where) }),
    ...(match !== undefined && { match }),
    ...(priority !== undefined && { priority }),
  };
}

function unsettable(name: string): string {
  if (["where", "match", "priority"].includes(name)) return name;
  throw new PawlError(
    "invalid_option",
    `expected --unset to be where, match or priority, got "${name}"`,
  );
}

function answer(what: string, route: RouteInfo): Answer {
  const condition = conditionText(route);
  const only = condition === null ? "" : ` where ${condition}`;
  const state = route.active ? "" : ", turned off";
  const text = `route ${route.id}: ${what}, ${route.pattern} to ${route.to}${only}${state}`;
  return { json: { route }, text };
}
