/** What every type of destination passes on: the event as receivers get it, and which delivery brings it. */

import type { Delivery, OutboxEvent } from "./types.ts";

export interface Envelope {
  /** The same at every try and at every destination: drop duplicates by it. */
  eventId: string;
  eventName: string;
  aggregate: { type: string; id: string };
  /** ISO 8601. */
  occurredAt: string;
  payload: unknown;
  meta: Record<string, unknown>;
}

export function envelope(event: OutboxEvent): Envelope {
  return {
    eventId: event.id,
    eventName: event.name,
    aggregate: { type: event.aggregateType, id: event.aggregateId },
    occurredAt: event.occurredAt,
    payload: event.payload ?? null,
    meta: event.meta,
  };
}

/** The event's own meta, with where it came from; for what is made inside Pawl. */
export function deliveryMeta(delivery: Delivery): Record<string, unknown> {
  const { event, deliveryId, destinationId, destinationKey, replay } = delivery;
  return {
    ...event.meta,
    eventId: event.id,
    eventName: event.name,
    deliveryId,
    destinationId,
    destinationKey,
    ...(replay > 0 && { replay }),
  };
}
