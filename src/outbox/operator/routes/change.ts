/** The verbs that change what a route says: `add` and `edit`. */

import { PawlError } from "../../../base/errors.ts";
import { type Desk, type Verb, verb } from "../../../operate/verb.ts";
import { type Field, required } from "../../../options/field.ts";
import { flag, integer, name, text } from "../../../options/kinds.ts";
import { knowing, object, repeated, several } from "../../../options/parts.ts";
import { ROUTE_ID } from "../fields.ts";
import {
  type AddRoute,
  addRoute,
  definitionOf,
  type EditRoute,
  editRoute,
  ROUTE_OPTIONS,
  type RouteInfo,
  withoutNulls,
} from "./act.ts";
import type { Routes } from "./routes.ts";
import { conditionText, whereOf } from "./where.ts";

const PRIORITY_MAX = 3;

const CONDITIONS: {
  readonly where: Field<string | readonly string[], string[]>;
  readonly match: Field<string>;
  readonly priority: Field<number>;
} = {
  where: repeated(
    text(
      "only events that contain it: payload.country=CZ, meta.tenant=a; may be repeated",
      "condition",
    ),
  ),
  match: text("only events for which this is true: '$.payload.total > 100'", "jsonpath"),
  priority: integer({ help: "of the deliveries: 0 (first) to 3", min: 0, max: PRIORITY_MAX }),
};
const TO: Field<string> = name("the destination");

export const add: Verb<Routes["add"], Desk> = verb({
  help: "Add a route: events with this name go to a destination",
  examples: [
    ['pawl routes add "order.*" --to erp', "* stands for anything; quote it"],
    ['pawl routes add "order.*" --to audit --where payload.country=CZ', "only some"],
  ],
  input: { route: required(knowing(ROUTE_OPTIONS, object<AddRoute>("the route"))) },
  args: ["route"],
  form: {
    input: {
      pattern: required(text("which events", "pattern")),
      to: required(TO),
      off: flag("add it turned off"),
      ...CONDITIONS,
    },
    args: ["pattern"],
    given: ({ off, where, ...route }) => ({
      route: { ...route, ...whereGiven(where), active: off !== true },
    }),
  },
  changes: true,
  check: ({ route }) => {
    definitionOf(route);
  },
  run: ({ store }: Desk, { route }, act) => addRoute(store, route, act),
  ...shownAs("added"),
});

export const edit: Verb<Routes["edit"], Desk> = verb({
  help: "Change a route that an operator added",
  examples: [
    ["pawl routes edit 3 --priority 0", "the rest stays"],
    ["pawl routes edit 3 --unset where", "every event of the pattern"],
  ],
  input: {
    id: ROUTE_ID,
    changes: required(knowing(ROUTE_OPTIONS, object<EditRoute>("what changes"))),
  },
  args: ["id", "changes"],
  form: {
    input: {
      id: ROUTE_ID,
      pattern: text("which events", "pattern"),
      to: TO,
      unset: several(text("remove where, match or priority", "condition")),
      ...CONDITIONS,
    },
    args: ["id"],
    given: ({ id, unset = [], where, ...given }) => {
      const taken = unset.map((named) => [unsettable(named), null]);
      const changes = { ...given, ...whereGiven(where), ...Object.fromEntries(taken) };
      if (Object.keys(changes).length > 0) return { id, changes };
      throw new PawlError("invalid_option", `route ${id}: nothing to change is given`);
    },
  },
  changes: true,
  check: ({ changes }) => {
    // what is left out or taken away stands as it may in any route
    const { pattern = "*", to = "any", ...options } = withoutNulls(changes);
    definitionOf({ pattern, to, ...options });
  },
  run: ({ store }: Desk, { id, changes }, act) => editRoute(store, { id, changes }, act),
  ...shownAs("changed"),
});

function whereGiven(conditions: readonly string[] | undefined): Pick<AddRoute, "where"> {
  return conditions === undefined ? {} : { where: whereOf(conditions) };
}

function unsettable(named: string): string {
  if (["where", "match", "priority"].includes(named)) return named;
  throw new PawlError(
    "invalid_option",
    `expected --unset to be where, match or priority, got "${named}"`,
  );
}

function shownAs(done: string): {
  json(route: RouteInfo): unknown;
  text(route: RouteInfo): string;
} {
  return {
    json: (route) => ({ route }),
    text: (route) => {
      const condition = conditionText(route);
      const only = condition === null ? "" : ` where ${condition}`;
      const state = route.active ? "" : ", turned off";
      return `route ${route.id}: ${done}, ${route.pattern} to ${route.to}${only}${state}`;
    },
  };
}
