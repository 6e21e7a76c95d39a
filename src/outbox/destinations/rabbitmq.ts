/**
 * Delivers an event as a persistent message to RabbitMQ. It succeeds if the broker confirms the message and could route it;
 * otherwise it fails and is tried again with the same message id. Delivery is at least once.
 */

import { describeSecret, isSecretRef, type SecretRef } from "../../secrets/secret.ts";
import { openGuard } from "../../sender/guard/guard.ts";
import { addressForbidden } from "../../sender/guard/refusal.ts";
import { commonDefinition } from "./common-options.ts";
import { envelopeText } from "./envelope.ts";
import { brokerPort, refuseMissingPackage } from "./rabbitmq-connect.ts";
import { openLink } from "./rabbitmq-link.ts";
import {
  brokerUrl,
  checkedHeaders,
  type HeaderValue,
  type RabbitmqOptions,
  readHeaderValues,
  readRabbitmq,
  shownUrl,
  type Target,
  targetOf,
} from "./rabbitmq-options.ts";
import type { Publication } from "./rabbitmq-session.ts";
import type { Delivery, DestinationDefinition } from "./types.ts";

export type { RabbitmqOptions } from "./rabbitmq-options.ts";

const TIMEOUT_MS_DEFAULT = 15_000;
const CONNECT_MS_MAX = 10_000;

/**
 * Returns a destination that publishes to a RabbitMQ broker: AMQP 0-9-1 with publisher confirms, `mandatory` and persistent.
 * Needs the package `amqplib`. It declares no exchange, queue or binding: they must exist.
 *
 * @throws PawlError `invalid_url`, `invalid_option`
 */
export function rabbitmq(options: RabbitmqOptions): DestinationDefinition {
  const read = readRabbitmq(options);
  const { url } = options;
  if (!isSecretRef(url)) brokerUrl(url);
  const target = targetOf(read);
  const headers = checkedHeaders(read.headers);
  const common = commonDefinition(read, { timeoutMs: TIMEOUT_MS_DEFAULT, breaker: {} });
  const { timeoutMs } = common;
  const link = openLink({
    broker: () => {
      const parsed = brokerUrl(url);
      return { url: parsed.href, shown: shownUrl(parsed) };
    },
    exchange: target.exchange,
    connectMs: Math.min(timeoutMs, CONNECT_MS_MAX),
  });
  return {
    ...common,
    type: "rabbitmq",
    config: publicConfig(options, headers),
    check: () => {
      brokerUrl(url);
      readHeaderValues(headers);
      refuseMissingPackage();
    },
    checkHost: (allow) => {
      if (isSecretRef(url)) return;
      const parsed = brokerUrl(url);
      const refusal = openGuard(allow).refuseHost(parsed.hostname, brokerPort(parsed));
      if (refusal !== undefined) throw addressForbidden(refusal, new URL(shownUrl(parsed)));
    },
    deliver: async (delivery, { signal, http }) => {
      const startedAt = performance.now();
      const message = publication(target, delivery, readHeaderValues(headers));
      await link.publish(message, { timeoutMs, signal, guard: http.guard });
      const durationMs = Math.round(performance.now() - startedAt);
      return { summary: `confirmed in ${durationMs} ms`, durationMs };
    },
    close: () => link.close(),
  };
}

function publicConfig(
  { url, exchange, queue, routingKey }: RabbitmqOptions,
  headers: Record<string, HeaderValue>,
): Record<string, unknown> {
  const shownHeaders = Object.entries(headers).map(([name, value]) => [
    name,
    typeof value === "object" || typeof value === "string" ? describeSecret(value) : value,
  ]);
  return {
    url: shownBroker(url),
    ...(queue === undefined ? { exchange, routingKey: routingKey ?? "{name}" } : { queue }),
    ...(shownHeaders.length === 0 ? {} : { headers: Object.fromEntries(shownHeaders) }),
  };
}

function shownBroker(url: string | SecretRef): string {
  return isSecretRef(url) ? describeSecret(url) : shownUrl(brokerUrl(url));
}

function publication(
  target: Target,
  delivery: Delivery,
  headers: Record<string, string | number | boolean>,
): Publication {
  const { event, deliveryId, destinationId, destinationKey, replay } = delivery;
  return {
    exchange: target.exchange,
    routingKey: target.routingKey(event),
    content: Buffer.from(envelopeText(event)),
    properties: {
      mandatory: true,
      persistent: true,
      messageId: event.id,
      type: event.name,
      timestamp: Math.floor(Date.parse(event.occurredAt) / 1_000), // AMQP counts seconds
      contentType: "application/json",
      headers: {
        ...headers,
        "x-event-id": event.id,
        "x-event-name": event.name,
        "x-outbox-delivery-id": deliveryId,
        "x-outbox-destination-id": destinationId,
        "x-outbox-destination-key": destinationKey,
        ...(replay > 0 && { "x-outbox-replay": String(replay) }),
      },
    },
  };
}
