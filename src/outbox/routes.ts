/** Routes and destinations as the app defines them: `on("order.*").to("erp", "audit")`. */

import { PawlError, shown } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { didYouMean } from "../base/suggest.ts";
import { type RetrySeries, retrySeries } from "../kernel/retry.ts";
import { type QueueBehaviour, queueBehaviour } from "../queue/queue-options.ts";
import type { DeliveryOrder, DestinationDefinition } from "./destinations/types.ts";

const PATTERN = /^[A-Za-z0-9_.:*-]{1,200}$/;
const DESTINATION_NAME = /^[a-z][a-z0-9_.-]{0,79}$/;
const CONDITION_BYTES_MAX = 65_536;
const ORDERS: readonly DeliveryOrder[] = ["none", "aggregate", "all"];
export const DELIVERY_KIND = "delivery";

export interface RouteOptions {
  /** Only events whose payload and meta contain these: `{ payload: { country: "CZ" } }`. */
  where?: { payload?: unknown; meta?: unknown };
  /** Only events for which this jsonpath predicate holds, over `$.name`, `$.aggregateType`, `$.aggregateId`, `$.payload` and `$.meta`: `$.payload.total > 100`. */
  match?: string;
  /** Of its deliveries: 0 (first) to 3; default 1. */
  priority?: number;
  /** Default true; false keeps it in the list, turned off. */
  active?: boolean;
}

export interface Route {
  readonly pattern: string;
  readonly destinations: readonly string[];
  readonly where: { payload?: unknown; meta?: unknown } | null;
  readonly match: string | null;
  readonly priority: number;
  readonly active: boolean;
}

/**
 * Which events: a name, in which `*` stands for any run of characters, dots included. Pawl's own events are taken only by
 * patterns that begin with `pawl.`.
 *
 * @throws PawlError `invalid_option`
 */
export function on(
  pattern: string,
  options: RouteOptions = {},
): { to(...destinations: string[]): Route } {
  if (typeof pattern !== "string" || !PATTERN.test(pattern)) {
    throw new PawlError(
      "invalid_option",
      `expected a route's pattern to be an event name with "*" as wildcard, such as "order.*", got ${shown(pattern)}`,
    );
  }
  const condition = routeCondition(`on("${pattern}")`, options);
  return { to: (...destinations) => Object.freeze({ pattern, destinations, ...condition }) };
}

/** What a route asks for beside its pattern. @throws PawlError `invalid_option` naming the option after `where` */
export function routeCondition(
  name: string,
  options: RouteOptions,
): Pick<Route, "where" | "match" | "priority" | "active"> {
  refuseUnknownOptions(name, options, ["where", "match", "priority", "active"]);
  const { where, match, priority = 1, active = true } = options;
  if (where !== undefined) {
    refuseUnknownOptions(`${name}.where`, where, ["payload", "meta"]);
    toJson(where, { what: `${name}.where`, bytesMax: CONDITION_BYTES_MAX });
  }
  if (match !== undefined && (typeof match !== "string" || match.trim() === ""))
    throw badOption(`${name}.match`, 'a jsonpath predicate such as "$.payload.total > 100"', match);
  if (match !== undefined) toJson(match, { what: `${name}.match`, bytesMax: CONDITION_BYTES_MAX });
  if (!Number.isInteger(priority) || priority < 0 || priority > 3)
    throw badOption(`${name}.priority`, "an integer from 0 to 3", priority);
  if (typeof active !== "boolean") throw badOption(`${name}.active`, "true or false", active);
  return { where: where ?? null, match: match ?? null, priority, active };
}

function badOption(name: string, expected: string, value: unknown): PawlError {
  return new PawlError(
    "invalid_option",
    `expected \`${name}\` to be ${expected}, got ${shown(value)}`,
  );
}

/** A destination is a queue: pausing it, limiting it and counting it are the queue's. */
export function queueOfDestination(name: string): string {
  return `destination:${name}`;
}

export interface NamedDestination {
  readonly name: string;
  readonly queue: string;
  readonly retry: RetrySeries | null;
  readonly order: DeliveryOrder;
  readonly behaviour: QueueBehaviour;
  readonly definition: DestinationDefinition;
}

/** @throws PawlError `invalid_option` naming the destination */
export function namedDestination(
  name: string,
  definition: DestinationDefinition,
): NamedDestination {
  if (!DESTINATION_NAME.test(name)) {
    throw new PawlError(
      "invalid_option",
      `expected a destination's name to be 1 to 80 of a-z, 0-9, "_", "." and "-", starting with a letter, got ${shown(name)}`,
    );
  }
  if (typeof definition?.deliver !== "function") {
    throw new PawlError(
      "invalid_option",
      `destinations.${name}: expected a destination such as webhook({ url, secret }), got ${shown(definition)}`,
    );
  }
  const { retry, order = "none", queue = {} } = definition;
  if (!ORDERS.includes(order)) {
    throw new PawlError(
      "invalid_option",
      `expected \`destinations.${name}.order\` to be one of ${ORDERS.join(", ")}, got ${shown(order)}`,
    );
  }
  return {
    name,
    queue: queueOfDestination(name),
    retry: retry === undefined ? null : retrySeries(retry, `destinations.${name}.retry`),
    order,
    behaviour: queueBehaviour(`destinations.${name}`, queue),
    definition,
  };
}

/** @throws PawlError `unknown_destination` */
export function checkRoutes(routes: readonly Route[], destinations: readonly string[]): void {
  for (const { pattern, destinations: targets } of routes) {
    if (targets.length === 0) {
      throw new PawlError(
        "invalid_option",
        `route on("${pattern}"): names no destination; add .to("name")`,
      );
    }
    for (const target of targets) {
      if (destinations.includes(target)) continue;
      throw new PawlError(
        "unknown_destination",
        `route on("${pattern}"): no destination "${target}"; ${didYouMean(target, destinations)}`,
      );
    }
  }
}
