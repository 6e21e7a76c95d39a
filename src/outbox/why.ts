/** Why an event or a delivery is not moving. A delivery is its task, plus its destination and its event. */

import { showDuration } from "../base/duration.ts";
import { type Why, whyTask } from "../kernel/operator/why.ts";
import type { Executor } from "../store/executor.ts";
import { type EventPlace, eventPlace, type FaultyRoute, faultyRoutes } from "./operator/sql.ts";
import { deliveriesOf, type EventRow, type EventStatus, events, findDelivery } from "./sql.ts";

const PASS_LONG_MS = 1_000;

export interface WhyDelivery extends Why {
  destination: string;
  status: Exclude<EventStatus, "unrouted">;
}

export interface WhyEvent {
  id: string;
  name: string;
  status: EventStatus;
  line: string;
  deliveries: WhyDelivery[];
}

/** Returns undefined if there is no such event. */
export async function whyEvent(executor: Executor, id: string): Promise<WhyEvent | undefined> {
  const [event] = await events(executor, { id, limit: 1 });
  const place = await eventPlace(executor, id);
  if (event === undefined || place === undefined) return undefined;
  const deliveries: WhyDelivery[] = [];
  for (const { id: task, destination, status } of await deliveriesOf(executor, id)) {
    const why = await whyTask(executor, task);
    if (why !== undefined) deliveries.push({ ...why, destination, status });
  }
  const { name, status } = event;
  const faults = event.deliveries === 0 ? await faultyRoutes(executor, id) : [];
  return { id, name, status, line: eventText(event, place, { deliveries, faults }), deliveries };
}

export interface DeliveryOf {
  destination: string;
  status: Exclude<EventStatus, "unrouted">;
  event: string;
  /** null if retention has removed the event. */
  eventName: string | null;
}

export interface WhyTask extends Why {
  delivery?: DeliveryOf;
}

/** Explains a task, and what it delivers if it is a delivery; undefined if there is no such task. */
export async function whyTaskOrDelivery(
  executor: Executor,
  id: string,
): Promise<WhyTask | undefined> {
  const why = await whyTask(executor, id);
  const found = why === undefined ? undefined : await findDelivery(executor, id);
  if (why === undefined || found === undefined) return why;
  const { destination, status, eventId, eventName } = found;
  return { ...why, delivery: { destination, status, event: eventId, eventName: eventName } };
}

function eventText(
  event: EventRow,
  { before, workers, now, ...router }: EventPlace,
  { deliveries, faults }: { deliveries: readonly WhyDelivery[]; faults: readonly FaultyRoute[] },
): string {
  const ago = (time: Date) => showDuration(Math.max(now.getTime() - time.getTime(), 0));
  if (event.routedAt === null) {
    const who = workers === 0 ? "no live worker routes it; start `pawl work`" : routerText(router);
    return `recorded ${ago(event.occurredAt)} ago and not routed yet, ${before} before it: ${who}`;
  }
  if (event.deliveries === 0) {
    return `unrouted: when it was routed ${ago(event.routedAt)} ago, no route matched "${event.name}"; add \`on("${event.name}").to(…)\` to the app's routes for later events${faults.map(faultText).join("")}`;
  }
  const made = deliveries.map(({ destination, status }) => `${destination} ${status}`);
  const where = made.length === 0 ? "its deliveries have left history" : made.join(", ");
  return `routed ${ago(event.routedAt)} ago: ${where}`;
}

function routerText({ routerMs, routerPid }: Pick<EventPlace, "routerMs" | "routerPid">): string {
  if (routerMs === null || routerMs < PASS_LONG_MS) return "a worker routes it within a second";
  return `the router has been at one pass for ${showDuration(routerMs)} (\`select pawl.route_v1\`, process ${routerPid} of the database); a condition that takes too long is found and its route turned off`;
}

function faultText({ id, pattern, destination, fault, isOff, isThis }: FaultyRoute): string {
  const route = `; route ${id} (${pattern} to ${destination})`;
  if (isOff) return `${route} is off: ${fault}; correct it, then \`pawl routes on ${id}\``;
  return `${route} gave no answer ${isThis ? "for it" : "for another event"}: ${fault}`;
}
