/**
 * Delivers an event as a persistent message to RabbitMQ. Accepted is what the broker has confirmed and could route:
 * anything else fails and is tried again under the same message id. Delivery is at least once.
 */

import { describeSecret, isSecretRef, type SecretRef } from "../../base/secret.ts";
import { commonDefinition } from "./common-options.ts";
import { envelope } from "./envelope.ts";
import { refuseMissingPackage } from "./rabbitmq-connect.ts";
import { openLink } from "./rabbitmq-link.ts";
import {
  brokerUrl,
  checkedHeaders,
  type HeaderValue,
  type RabbitmqOptions,
  readHeaderValues,
  refuseUnknown,
  shownUrl,
  type Target,
  targetOf,
  WHERE,
} from "./rabbitmq-options.ts";
import type { Publication } from "./rabbitmq-session.ts";
import type { Delivery, DestinationDefinition } from "./types.ts";

export type { RabbitmqOptions } from "./rabbitmq-options.ts";

const TIMEOUT_DEFAULT = "15s";
const CONNECT_MS_MAX = 10_000;

/**
 * A destination at a RabbitMQ broker: AMQP 0-9-1 with publisher confirms, `mandatory` and persistent. Needs the package
 * `amqplib`. Exchange, queues and bindings are the broker's: nothing is declared.
 *
 * @throws PawlError `invalid_url`, `invalid_option`
 */
export function rabbitmq(options: RabbitmqOptions): DestinationDefinition {
  refuseUnknown(options);
  const { url } = options;
  if (!isSecretRef(url)) brokerUrl(url);
  const target = targetOf(options);
  const headers = checkedHeaders(options.headers ?? {});
  const common = commonDefinition(WHERE, options, { timeout: TIMEOUT_DEFAULT, breaker: {} });
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
    deliver: async (delivery, { signal }) => {
      const startedAt = performance.now();
      const message = publication(target, delivery, readHeaderValues(headers));
      await link.publish(message, { timeoutMs, signal });
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
    content: Buffer.from(JSON.stringify(envelope(event))),
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
