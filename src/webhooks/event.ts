/** The event inside a delivery of Pawl. */

import { refuseUnknownOptions } from "../base/options.ts";
import type { IncomingHeaders } from "./headers.ts";
import { WebhookRejected } from "./rejected.ts";
import {
  type VerifiedWebhook,
  type Verifier,
  type WebhookVerifierOptions,
  webhookVerifier,
} from "./verifier.ts";

export interface WebhookEvent<Payload = unknown> {
  readonly eventId: string;
  readonly eventName: string;
  readonly aggregate: { readonly type: string; readonly id: string };
  /** When it was recorded; the same at every try. */
  readonly occurredAt: Date;
  readonly payload: Payload;
  readonly meta: Readonly<Record<string, unknown>>;
}

export interface EventVerifierOptions<Payload> extends WebhookVerifierOptions {
  /** Of the event's payload, such as `Order.parse` of zod; without it the payload is `unknown`. */
  parse?: (payload: unknown) => Payload;
}

export interface EventVerifier<Payload> extends Verifier<WebhookEvent<Payload>> {
  verify(body: string | Uint8Array, headers: IncomingHeaders): WebhookEvent<Payload>;
}

/**
 * A `webhookVerifier` for Pawl's own deliveries: what it answers is the event. What `parse` throws is no
 * refusal and goes to the caller, so that the sender tries again once the receiver knows the payload.
 *
 * @throws PawlError `invalid_option`, `invalid_environment` for a secret that cannot be used
 */
export function eventVerifier<Payload = unknown>(
  options: EventVerifierOptions<Payload>,
): EventVerifier<Payload> {
  refuseUnknownOptions("eventVerifier", options, ["secrets", "toleranceS", "now", "parse"]);
  const { parse, ...rest } = options;
  const verifier = webhookVerifier(rest);
  return {
    verify: (body, headers) => {
      const webhook = verifier.verify(body, headers);
      const event = parse === undefined ? readEvent(webhook) : readEvent(webhook, parse);
      return event as WebhookEvent<Payload>;
    },
  };
}

/**
 * @param parse of the event's payload, such as `Order.parse` of zod; without it the payload is `unknown`
 * @throws WebhookRejected `malformed` for what is no event; whatever `parse` throws
 */
export function readEvent(webhook: VerifiedWebhook): WebhookEvent;
export function readEvent<Payload>(
  webhook: VerifiedWebhook,
  parse: (payload: unknown) => Payload,
): WebhookEvent<Payload>;
export function readEvent(
  webhook: VerifiedWebhook,
  parse: (payload: unknown) => unknown = (payload) => payload,
): WebhookEvent {
  const body = record(webhook.payload, "the body");
  const aggregate = record(body.aggregate, "aggregate");
  return {
    eventId: text(body, "eventId"),
    eventName: text(body, "eventName"),
    aggregate: { type: text(aggregate, "type"), id: text(aggregate, "id") },
    occurredAt: time(text(body, "occurredAt")),
    payload: parse(body.payload ?? null),
    meta: record(body.meta ?? {}, "meta"),
  };
}

function record(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw notAnEvent(`${name} is not an object`);
}

function text(fields: Record<string, unknown>, name: string): string {
  const value = fields[name];
  if (typeof value === "string" && value !== "") return value;
  throw notAnEvent(`\`${name}\` is not a text`);
}

function time(value: string): Date {
  const date = new Date(value);
  if (!Number.isNaN(date.getTime())) return date;
  throw notAnEvent("`occurredAt` is not a time");
}

function notAnEvent(problem: string): WebhookRejected {
  return new WebhookRejected(
    "malformed",
    `webhook: expected an event { eventId, eventName, aggregate, occurredAt, payload, meta }, but ${problem}`,
  );
}
