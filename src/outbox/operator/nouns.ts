/** What operators ask and do of events, deliveries, destinations and routes; and why one of them does not move. */

import { noTask } from "../../kernel/operator/tasks/find.ts";
import type { Noun } from "../../operate/verb.ts";
import type { WhyTarget } from "../../operate/why.ts";
import { eventIdOf, numberIdOf } from "../../options/kinds.ts";
import { type WhyEvent, type WhyTask, whyEvent, whyTaskOrDelivery } from "../why.ts";
import type { Deliveries } from "./deliveries/deliveries.ts";
import type { DispatchDesk } from "./deliveries/dispatch.ts";
import { deliveriesNoun } from "./deliveries/verbs.ts";
import type { Destinations, DestinationsDesk } from "./destinations/destinations.ts";
import { destinationsNoun } from "./destinations/verbs.ts";
import type { Events, EventsDesk } from "./events/events.ts";
import { noEvent } from "./events/find.ts";
import { eventsNoun } from "./events/verbs.ts";
import type { Routes } from "./routes/routes.ts";
import { routesNoun } from "./routes/verbs.ts";

export type OutboxDesk = DestinationsDesk & EventsDesk & DispatchDesk;

export interface OutboxNouns {
  readonly events: Events;
  readonly deliveries: Deliveries;
  readonly destinations: Destinations;
  readonly routes: Routes;
}

const nouns: { readonly [Name in keyof OutboxNouns]: Noun<OutboxNouns[Name], OutboxDesk> } = {
  events: eventsNoun,
  deliveries: deliveriesNoun,
  destinations: destinationsNoun,
  routes: routesNoun,
};

export const OUTBOX_NOUNS: readonly Noun<object, OutboxDesk>[] = Object.values(nouns) as Noun<
  object,
  OutboxDesk
>[];

export const OUTBOX_WHYS: readonly WhyTarget[] = [
  {
    what: "a task or a delivery",
    id: "a number such as 42",
    example: [
      "pawl why 42",
      "a task or a delivery: where it is, since when, and what would free it",
    ],
    idOf: numberIdOf,
    isTask: true,
    why: async (executor, id) => {
      const found = await whyTaskOrDelivery(executor, id);
      if (found === undefined) throw noTask(id);
      return found;
    },
    text: taskText,
  } satisfies WhyTarget<WhyTask> as WhyTarget,
  {
    what: "an event",
    id: "the UUID of an event",
    example: ["pawl why 019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21", "an event and its deliveries"],
    idOf: eventIdOf,
    why: async (executor, id) => {
      const found = await whyEvent(executor, id);
      if (found === undefined) throw noEvent(id);
      return found;
    },
    text: eventText,
  } satisfies WhyTarget<WhyEvent> as WhyTarget,
];

function taskText({ id, delivery, line, subject = `task ${id}` }: WhyTask): string {
  if (delivery === undefined) return `${subject}: ${line}`;
  const { event, destination, status } = delivery;
  return `delivery ${id} of event ${event} to ${destination} (${status}): ${line}`;
}

function eventText({ id, name, status, line, deliveries }: WhyEvent): string {
  const each = deliveries.map(
    (one) => `delivery ${one.id} to ${one.destination} (${one.status}): ${one.line}`,
  );
  return [`event ${id} ${name} (${status}): ${line}`, ...each].join("\n");
}
