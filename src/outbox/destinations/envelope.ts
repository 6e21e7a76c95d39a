/** What every type of destination passes on: the event as receivers get it, and which delivery brings it. */

import { withFields } from "../../base/json-text.ts";
import type { Delivery, OutboxEvent } from "./types.ts";

export interface Envelope {
  /** The same in every attempt and for every destination: recognize duplicates by it. */
  eventId: string;
  eventName: string;
  aggregate: { type: string; id: string };
  /** ISO 8601. */
  occurredAt: string;
  payload: unknown;
  meta: Record<string, unknown>;
}

export function envelope(event: OutboxEvent): Envelope {
  return { ...headOf(event), payload: event.payload ?? null, meta: event.meta };
}

/** The same as JSON, with payload and meta exactly as they are stored. */
export function envelopeText(event: OutboxEvent): string {
  const head = JSON.stringify(headOf(event)).slice(0, -1);
  return `${head},"payload":${payloadTextOf(event)},"meta":${metaTextOf(event)}}`;
}

/** Checked in this order, because reading `payload` parses it. */
export function payloadTextOf(event: OutboxEvent): string {
  return event.payloadText ?? JSON.stringify(event.payload) ?? "null";
}

function metaTextOf(event: OutboxEvent): string {
  return event.metaText ?? JSON.stringify(event.meta);
}

function headOf(event: OutboxEvent): Omit<Envelope, "payload" | "meta"> {
  return {
    eventId: event.id,
    eventName: event.name,
    aggregate: { type: event.aggregateType, id: event.aggregateId },
    occurredAt: event.occurredAt,
  };
}

/** The event's own meta as JSON, plus where it came from; for events and jobs made inside Pawl. */
export function deliveryMetaText(delivery: Delivery, more: Record<string, unknown> = {}): string {
  const { event, deliveryId, destinationId, destinationKey, replay } = delivery;
  return withFields(metaTextOf(event), {
    eventId: event.id,
    eventName: event.name,
    deliveryId,
    destinationId,
    destinationKey,
    ...(replay > 0 && { replay }),
    ...more,
  });
}
