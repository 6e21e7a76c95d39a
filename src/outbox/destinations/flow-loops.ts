/**
 * Refuses routes that would raise an event for ever. Only certain cases are refused: the limit on `hops` covers routes with
 * a condition.
 */

import { PawlError } from "../../base/errors.ts";
import type { Route } from "../routes.ts";
import type { DestinationDefinition } from "./types.ts";

interface Named {
  readonly name: string;
  readonly definition: DestinationDefinition;
}

/** @throws PawlError `invalid_option` naming the circle */
export function refuseFlowLoops(routes: readonly Route[], destinations: readonly Named[]): void {
  const raises = new Map(
    destinations.flatMap(({ name, definition: { type, config } }) =>
      type === "flow" && typeof config.name === "string" ? [[name, config.name] as const] : [],
    ),
  );
  const next = (destination: string): string[] => {
    const event = raises.get(destination) ?? "";
    return routes
      .filter((route) => isUnconditional(route) && takes(route.pattern, event))
      .flatMap((route) => route.destinations)
      .filter((target) => raises.has(target));
  };
  for (const start of raises.keys()) {
    const circle = circleFrom(start, next);
    if (circle !== undefined) throw loop(circle, raises);
  }
}

function isUnconditional({ where, match, active }: Route): boolean {
  return active && where === null && match === null;
}

/** As the router matches: Pawl's own events only by patterns that begin with `pawl.`. */
function takes(pattern: string, event: string): boolean {
  if (event.startsWith("pawl.") && !pattern.startsWith("pawl.")) return false;
  const parts = pattern.split("*").map((part) => part.replace(/[.]/g, "\\."));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(event);
}

/** The destinations from `start` back to it. */
function circleFrom(start: string, next: (from: string) => string[]): string[] | undefined {
  const seen = new Set<string>();
  const paths = [[start]];
  for (let path = paths.shift(); path !== undefined; path = paths.shift()) {
    for (const target of next(path.at(-1) ?? "")) {
      if (target === start) return [...path, start];
      if (seen.has(target)) continue;
      seen.add(target);
      paths.push([...path, target]);
    }
  }
  return undefined;
}

function loop(circle: readonly string[], raises: ReadonlyMap<string, string>): PawlError {
  const steps = circle.slice(0, -1).map((name) => `"${name}" raises ${raises.get(name)}`);
  return new PawlError(
    "invalid_option",
    `routes: events would go round forever: ${steps.join(", ")}, which a route takes to "${circle[0]}" again; give the flow another \`name\`, or narrow the route's pattern`,
    { data: { destinations: circle } },
  );
}
