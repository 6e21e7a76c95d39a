/** The event inside a delivery of Pawl. */

import { isAggregateId, isAggregateType, isEventName, isMeta } from "../base/event-contract.ts";
import { isTooDeep } from "../base/json-limits.ts";
import { textAt } from "../base/json-text.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import type { IncomingHeaders } from "./headers.ts";
import { WebhookRejected } from "./rejected.ts";
import {
  type VerifiedWebhook,
  type Verifier,
  type WebhookVerifierOptions,
  webhookVerifier,
} from "./verifier.ts";

/** Around the payload. */
const ENVELOPE_LEVELS = 1;

export interface WebhookEvent<Payload = unknown> {
  readonly eventId: string;
  readonly eventName: string;
  readonly aggregate: { readonly type: string; readonly id: string };
  /** When the event was recorded; the same in every attempt. */
  readonly occurredAt: Date;
  readonly payload: Payload;
  readonly meta: Readonly<Record<string, unknown>>;
  /** The payload as sent and signed, in JSON, with all digits of its numbers. */
  readonly payloadText: string;
  /** The same for `meta`. */
  readonly metaText: string;
}

export interface EventVerifierOptions<Payload> extends WebhookVerifierOptions {
  /** Checks the event's payload, such as zod's `Order.parse`; without it the payload is `unknown`. */
  parse?: (payload: unknown) => Payload;
}

export interface EventVerifier<Payload> extends Verifier<WebhookEvent<Payload>> {
  verify(body: string | Uint8Array, headers: IncomingHeaders): WebhookEvent<Payload>;
}

/**
 * Returns a `webhookVerifier` for Pawl's own deliveries; its `verify` returns the event. An error of `parse` is not a
 * refusal: it goes to the caller, so that the sender tries again until the receiver knows the payload.
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
 * Returns the event in a verified webhook.
 *
 * @param parse checks the event's payload, such as zod's `Order.parse`; without it the payload is `unknown`
 * @throws WebhookRejected `malformed` if it is not an event; any error of `parse`
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
  if (webhook.text !== undefined && isTooDeep(webhook.text, ENVELOPE_LEVELS)) {
    throw notAnEvent("it is nested more than 500 levels deep");
  }
  const body = record(webhook.payload, "the body");
  const aggregate = record(body.aggregate, "aggregate");
  const event = {
    eventId: text(body, "eventId"),
    eventName: checked(text(body, "eventName"), isEventName, "eventName"),
    aggregate: {
      type: checked(text(aggregate, "type"), isAggregateType, "aggregate.type"),
      id: checked(text(aggregate, "id"), isAggregateId, "aggregate.id"),
    },
    occurredAt: time(text(body, "occurredAt")),
    payload: parse(body.payload ?? null),
    meta: record(body.meta ?? {}, "meta"),
  };
  return withTexts(event, webhook, body);
}

/** Not enumerable: an event that is logged or compared holds its content once. */
function withTexts(
  event: Omit<WebhookEvent, "payloadText" | "metaText">,
  webhook: VerifiedWebhook,
  { payload = null, meta = {} }: Record<string, unknown>,
): WebhookEvent {
  return Object.defineProperties(event as WebhookEvent, {
    payloadText: { get: () => partText(webhook, "payload") ?? JSON.stringify(payload) },
    metaText: { get: () => partText(webhook, "meta") ?? JSON.stringify(meta) },
  });
}

function partText({ text }: VerifiedWebhook, name: string): string | undefined {
  return text === undefined ? undefined : textAt(text, [name]);
}

function record(value: unknown, name: string): Record<string, unknown> {
  if (isMeta(value)) return value;
  throw notAnEvent(`${name} is not an object`);
}

function text(fields: Record<string, unknown>, name: string): string {
  const value = fields[name];
  if (typeof value === "string" && value !== "") return value;
  throw notAnEvent(`\`${name}\` is not a text`);
}

function checked(value: string, isGood: (value: unknown) => boolean, name: string): string {
  if (isGood(value)) return value;
  throw notAnEvent(`\`${name}\` is not what Pawl records`);
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
