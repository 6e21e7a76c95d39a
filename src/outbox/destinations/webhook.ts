/**
 * Delivers one event as a signed POST (Standard Webhooks). The id is the event's and the same at every try;
 * timestamp and signature are new at each. Delivery is at least once: receivers drop duplicates by the id.
 */

import type { Duration } from "../../base/duration.ts";
import { PawlError } from "../../base/errors.ts";
import { describeSecret, isSecretRef, readSecret, type SecretRef } from "../../base/secret.ts";
import { VERSION } from "../../base/version.ts";
import type { RetryPolicy } from "../../kernel/retry.ts";
import type { QueueBehaviourOptions, RateLimit } from "../../queue/queue-options.ts";
import { excerpt } from "../../requests/excerpt.ts";
import { maskUrl } from "../../requests/mask-url.ts";
import { parseRetryAfter } from "../../requests/retry-after.ts";
import { type HttpAnswer, sendHttp } from "../../requests/sender.ts";
import { decodeWebhookSecret, signStandardWebhook } from "../../requests/standard-webhooks.ts";
import type {
  Delivery,
  DeliveryOrder,
  DeliverySuccess,
  DestinationDefinition,
  OutboxEvent,
} from "./types.ts";
import {
  customHeaders,
  readHeaders,
  webhookResponseBytes,
  webhookRetry,
  webhookTimeoutMs,
  webhookUrl,
} from "./webhook-options.ts";

const SECRET = "webhook secret";
const RESPONSE_BYTES_DEFAULT = 65_536;
/** Of the body of an answer; kept with the attempt. */
const EXCERPT_CHARS_MAX = 2_000;
/** Not in the printable ASCII that any server takes in a header. */
const NOT_PRINTABLE = /[^\x20-\x7e]/gu;

export interface WebhookOptions {
  /** http or https, without credentials. */
  url: string;
  /** `whsec_<base64>` or base64 of 24 to 64 bytes, or `env("NAME")`, which is read at each try. */
  secret: string | SecretRef;
  /** Sent beside Pawl's own, which they cannot replace (except user-agent). */
  headers?: Record<string, string | SecretRef>;
  /** Over the whole exchange; default 15 s, at most 10 min. */
  timeout?: Duration;
  /** Over the default: 10 attempts, 60 s × 2^(n−1), at most 12 h, jitter 0.1. */
  retry?: RetryPolicy;
  /** `aggregate`: deliveries about the same aggregate one after the other; `all`: all of them. Default `none`. */
  order?: DeliveryOrder;
  /** What an ordered destination does behind a dead delivery: `block` (default) until a person acts, or `skip` it. */
  onDead?: "block" | "skip";
  /** Deliveries at once, over all workers; default no limit. */
  concurrency?: number;
  /** Deliveries started in a time, over all workers; default no limit. */
  rate?: RateLimit;
  /** Where the body of an answer is cut; default 64 KiB, at most 1 MiB. */
  maxResponseBytes?: number;
}

/**
 * A destination that accepts with any 2xx. Redirects are not followed and count as failures.
 *
 * @throws PawlError `invalid_url`, `invalid_option`
 */
export function webhook(options: WebhookOptions): DestinationDefinition {
  const url = webhookUrl(options.url);
  const { secret } = options;
  if (!isSecretRef(secret)) decodeWebhookSecret(secret, SECRET);
  const headers = customHeaders(options.headers ?? {});
  const timeoutMs = webhookTimeoutMs(options.timeout ?? "15s");
  const responseBytesMax = webhookResponseBytes(options.maxResponseBytes ?? RESPONSE_BYTES_DEFAULT);
  return {
    type: "webhook",
    config: publicConfig(url, secret, headers),
    retry: webhookRetry(options.retry),
    ...(options.order !== undefined && { order: options.order }),
    queue: queueOptions(options),
    timeoutMs,
    check: () => {
      decodeWebhookSecret(readSecret(secret, SECRET), SECRET);
      readHeaders(headers);
    },
    deliver: async (delivery, { signal }) => {
      const body = JSON.stringify(envelope(delivery.event));
      const answer = await sendHttp({
        url: url.href,
        method: "POST",
        headers: {
          "user-agent": `pawl/${VERSION}`,
          ...readHeaders(headers),
          ...deliveryHeaders(delivery),
          ...signatureHeaders(delivery.event.id, body, readSecret(secret, SECRET)),
        },
        body,
        timeoutMs,
        responseBytesMax,
        signal,
      });
      return judge(answer, url);
    },
  };
}

function queueOptions({ onDead, concurrency, rate }: WebhookOptions): QueueBehaviourOptions {
  return {
    ...(onDead !== undefined && { onDead }),
    ...(concurrency !== undefined && { concurrency }),
    ...(rate !== undefined && { rate }),
  };
}

function publicConfig(
  url: URL,
  secret: string | SecretRef,
  headers: Record<string, string | SecretRef>,
): Record<string, unknown> {
  const shownHeaders = Object.entries(headers).map(([name, value]) => [
    name,
    describeSecret(value),
  ]);
  return {
    url: maskUrl(url),
    secret: describeSecret(secret),
    ...(shownHeaders.length === 0 ? {} : { headers: Object.fromEntries(shownHeaders) }),
  };
}

function envelope(event: OutboxEvent): Record<string, unknown> {
  return {
    eventId: event.id,
    eventName: event.name,
    aggregate: { type: event.aggregateType, id: event.aggregateId },
    occurredAt: event.occurredAt,
    payload: event.payload ?? null,
    meta: event.meta,
  };
}

function deliveryHeaders(delivery: Delivery): Record<string, string> {
  return {
    "content-type": "application/json",
    "x-event-id": printable(delivery.event.id),
    "x-event-name": printable(delivery.event.name),
    "x-outbox-delivery-id": printable(delivery.deliveryId),
    "x-outbox-destination-id": printable(delivery.destinationId),
    "x-outbox-destination-key": printable(delivery.destinationKey),
  };
}

function signatureHeaders(eventId: string, body: string, secret: string): Record<string, string> {
  const id = printable(eventId);
  const timestamp = Math.floor(Date.now() / 1_000);
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": signStandardWebhook({ id, timestamp, body, secret }),
  };
}

/** Other characters as %XX of their UTF-8 bytes. */
function printable(text: string): string {
  return text.replace(NOT_PRINTABLE, (character) =>
    Buffer.from(character).toString("hex").toUpperCase().replace(/../g, "%$&"),
  );
}

function judge(answer: HttpAnswer, url: URL): DeliverySuccess {
  const { status, durationMs } = answer;
  const body = excerpt(answer.body, EXCERPT_CHARS_MAX);
  if (status >= 200 && status <= 299) {
    return { status, summary: `${status} in ${durationMs} ms`, durationMs, response: body };
  }
  const retryAfterMs = parseRetryAfter(answer.headers["retry-after"]);
  throw new PawlError("delivery_failed", `webhook ${maskUrl(url)}: ${explain(status)}`, {
    data: {
      status,
      body,
      durationMs,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      // RFC 9110 section 15.5.11: gone, and likely for ever. All other answers can change.
      ...(status === 410 ? { permanent: true } : {}),
    },
  });
}

function explain(status: number): string {
  if (status === 410)
    return "answered 410 Gone: the receiver wants no more of these; remove or change the destination";
  if (status >= 300 && status <= 399) {
    return `answered ${status}: redirects are not followed; set the destination's URL to where it leads`;
  }
  return `answered ${status}, expected 2xx; see the answer's body and the receiver's log`;
}
