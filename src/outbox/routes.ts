/** Routes and destinations as the app defines them: `on("order.*").to("erp", "audit")`. */

import { PawlError, shown } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import { didYouMean } from "../base/suggest.ts";
import { read } from "../base/thrown.ts";
import { type RetrySeries, retrySeries } from "../kernel/retry.ts";
import { type FieldsOf, readOptions, readValue, withDefault } from "../options/field.ts";
import { flag, json, matching } from "../options/kinds.ts";
import { group } from "../options/parts.ts";
import { priority } from "../queue/enqueue.ts";
import { type QueueBehaviour, queueBehaviour } from "../queue/queue-options.ts";
import { ORDER } from "./destinations/common-options.ts";
import type { DeliveryOrder, DestinationDefinition } from "./destinations/types.ts";

const CONDITION_BYTES_MAX = 65_536;
const CONFIG_BYTES_MAX = 1_048_576;
const PATTERN = matching('an event name with "*" as wildcard, such as "order.*"', (text) =>
  /^[A-Za-z0-9_.:*-]{1,200}$/.test(text),
);
const NAME = matching('1 to 80 of a-z, 0-9, "_", "." and "-", starting with a letter', (text) =>
  /^[a-z][a-z0-9_.-]{0,79}$/.test(text),
);
const ROUTE = {
  where: group("only events that contain these", {
    payload: json("a part of the payload"),
    meta: json("a part of the meta"),
  }),
  match: matching(
    'a jsonpath predicate such as "$.payload.total > 100"',
    (text) => text.trim() !== "",
  ),
  priority: withDefault(1, priority),
  active: withDefault(true, flag("false keeps it in the list, turned off")),
} satisfies FieldsOf<RouteOptions>;
export const DELIVERY_KIND = "delivery";

export interface RouteOptions {
  /** Only events whose payload and meta contain these values: `{ payload: { country: "CZ" } }`. */
  where?: { payload?: unknown; meta?: unknown };
  /**
   * Only events for which this jsonpath predicate is true, over `$.name`, `$.aggregateType`, `$.aggregateId`, `$.payload`
   * and `$.meta`: `$.payload.total > 100`.
   */
  match?: string;
  /** Priority of its deliveries, 0 (first) to 3; default 1. */
  priority?: number;
  /** false: the route is listed, but turned off. Default true. */
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
 * Starts a route for events with this name; `*` matches any characters, also dots. Only patterns that begin with `pawl.`
 * match Pawl's own events.
 *
 * @throws PawlError `invalid_option`
 */
export function on(
  pattern: string,
  options: RouteOptions = {},
): { to(...destinations: string[]): Route } {
  PATTERN.read(pattern, { label: "a route's pattern", option: "pattern" });
  const condition = routeCondition(`on("${pattern}")`, options);
  return { to: (...destinations) => Object.freeze({ pattern, destinations, ...condition }) };
}

/** What a route asks for beside its pattern. @throws PawlError `invalid_option` naming the option after `where` */
function routeCondition(
  name: string,
  options: RouteOptions,
): Pick<Route, "where" | "match" | "priority" | "active"> {
  const { where, match, ...read } = readOptions(name, ROUTE, options);
  for (const [option, value] of Object.entries({ where, match }))
    if (value !== undefined)
      toJson(value, { what: `${name}.${option}`, bytesMax: CONDITION_BYTES_MAX });
  return { ...read, where: where ?? null, match: match ?? null };
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
  NAME.read(name, { label: "a destination's name", option: "name" });
  if (typeof definition?.deliver !== "function") {
    throw new PawlError(
      "invalid_option",
      `destinations.${name}: expected a destination such as webhook({ url, secret }), got ${shown(definition)}`,
    );
  }
  const where = `destinations.${name}`;
  toJson(definition.config, {
    what: `config of destination "${name}"`,
    bytesMax: CONFIG_BYTES_MAX,
    isLossy: true,
    codes: { notJson: "invalid_option", tooLarge: "invalid_option" },
  });
  const { retry, order, queue = {} } = definition;
  return {
    name,
    queue: queueOfDestination(name),
    retry: retry === undefined ? null : retrySeries(retry, `${where}.retry`),
    order: order === undefined ? "none" : readValue(where, "order", ORDER, order),
    behaviour: queueBehaviour(`${where}.queue`, queue),
    definition,
  };
}

/** @throws PawlError `unknown_destination` */
export function checkRoutes(routes: readonly Route[], destinations: readonly string[]): void {
  for (const route of routes) {
    if (typeof route?.pattern !== "string") {
      const isBegun = typeof read(route, "to") === "function";
      const got = isBegun ? 'one that names no destination; add .to("name")' : shown(route);
      throw new PawlError(
        "invalid_option",
        `routes: expected values made by on("order.*").to("name"), got ${got}`,
      );
    }
    const { pattern, destinations: targets } = route;
    if (!Array.isArray(targets) || targets.length === 0) {
      throw new PawlError(
        "invalid_option",
        `route on("${pattern}"): names no destination; add .to("name")`,
      );
    }
    for (const target of targets) {
      if (destinations.includes(target)) continue;
      throw new PawlError(
        "unknown_destination",
        `route on("${pattern}"): no destination ${shown(target)}; ${didYouMean(String(target), destinations)}`,
      );
    }
  }
}
