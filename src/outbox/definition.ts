/** What an app defines of destinations and routes. */

import { aboutIt, PawlError } from "../base/errors.ts";
import { type AppBase, type Definition, definition } from "../kernel/part.ts";
import { type FieldsOf, withDefault } from "../options/field.ts";
import { anything, listOf, object } from "../options/parts.ts";
import type { QueueApp } from "../queue/definition.ts";
import { refuseFlowLoops } from "./destinations/flow-loops.ts";
import { type OperatorOptions, operatorReferences } from "./destinations/references.ts";
import { destinationTypes } from "./destinations/registry.ts";
import type { DestinationDefinition, DestinationType } from "./destinations/types.ts";
import { OWN_QUEUE } from "./replay/task.ts";
import { checkRoutes, type NamedDestination, namedDestination, type Route } from "./routes.ts";

export interface OutboxAppOptions {
  destinations?: Record<string, DestinationDefinition>;
  routes?: readonly Route[];
  /** Your own types of destinations. Operators can then add destinations of these types. */
  destinationTypes?: readonly DestinationType[];
  /** The variables and files that operators' destinations and keys may refer to. */
  operators?: OperatorOptions;
}

export interface OutboxApp extends AppBase {
  readonly destinations: readonly NamedDestination[];
  readonly destinationTypes: readonly DestinationType[];
  readonly routes: readonly Route[];
  readonly operators: OperatorOptions | undefined;
}

const FIELDS = {
  destinations: withDefault({}, object<Record<string, DestinationDefinition>>("each by its name")),
  routes: withDefault([], listOf<Route>("each made by on(…).to(…)")),
  destinationTypes: withDefault([], listOf<DestinationType>("each made by defineDestinationType")),
  operators: anything<OperatorOptions>("read by `operatorReferences`"),
} satisfies FieldsOf<OutboxAppOptions>;

export const outboxDefinition: Definition = definition(
  FIELDS,
  (read, { http, queues }: QueueApp) => {
    if (queues.some((queue) => queue.name === OWN_QUEUE)) {
      throw new PawlError(
        "invalid_option",
        `\`queues.${OWN_QUEUE}\` is Pawl's own queue; choose another name`,
      );
    }
    const { routes, operators } = read;
    const destinations = Object.entries(read.destinations).map(([key, one]) =>
      namedDestination(key, one),
    );
    checkRoutes(
      routes,
      destinations.map((one) => one.name),
    );
    operatorReferences(operators);
    refuseFlowLoops(routes, destinations);
    for (const { name, definition: one } of destinations)
      aboutIt(`destination "${name}"`, () => one.checkHost?.(http.allow ?? []));
    return {
      destinations,
      destinationTypes: destinationTypes(read.destinationTypes),
      routes,
      operators,
    } satisfies Omit<OutboxApp, keyof AppBase>;
  },
);
