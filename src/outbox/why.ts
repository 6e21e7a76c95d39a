/** Why an event or a delivery is not moving: a delivery is its task, with where it goes and which event it brings. */

import { showDuration } from "../base/duration.ts";
import { type Why, whyTask } from "../kernel/people/why.ts";
import type { Executor } from "../store/executor.ts";
import {
  deliveriesOf,
  type EventPlace,
  type EventRow,
  type EventStatus,
  eventPlace,
  events,
  findDelivery,
} from "./sql.ts";

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

/** undefined when there is no such event. */
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
  return { id, name, status, line: eventText(event, place, deliveries), deliveries };
}

export interface DeliveryOf {
  destination: string;
  status: Exclude<EventStatus, "unrouted">;
  event: string;
  /** null when retention has removed the event. */
  eventName: string | null;
}

/** A task, and what it delivers when it is a delivery; undefined when there is no such task. */
export async function whyTaskOrDelivery(
  executor: Executor,
  id: string,
): Promise<(Why & { delivery?: DeliveryOf }) | undefined> {
  const why = await whyTask(executor, id);
  const found = why === undefined ? undefined : await findDelivery(executor, id);
  if (why === undefined || found === undefined) return why;
  const { destination, status, event_id, event_name } = found;
  return { ...why, delivery: { destination, status, event: event_id, eventName: event_name } };
}

function eventText(
  event: EventRow,
  { before, workers, now }: EventPlace,
  deliveries: readonly WhyDelivery[],
): string {
  const ago = (time: Date) => showDuration(Math.max(now.getTime() - time.getTime(), 0));
  if (event.routed_at === null) {
    const who =
      workers === 0
        ? "no live worker routes it; start `pawl work`"
        : "a worker routes it within a second";
    return `recorded ${ago(event.occurred_at)} ago and not routed yet, ${before} before it: ${who}`;
  }
  if (event.deliveries === 0) {
    return `unrouted: when it was routed ${ago(event.routed_at)} ago, no route matched "${event.name}"; add \`on("${event.name}").to(…)\` to the app's routes for those that come`;
  }
  const made = deliveries.map(({ destination, status }) => `${destination} ${status}`);
  const where = made.length === 0 ? "its deliveries have left history" : made.join(", ");
  return `routed ${ago(event.routed_at)} ago: ${where}`;
}
