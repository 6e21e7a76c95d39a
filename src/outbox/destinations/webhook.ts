/**
 * Delivers one event as a signed POST (Standard Webhooks). The id is the event's and the same at every try;
 * timestamp and signature are new at each. Delivery is at least once: receivers drop duplicates by the id.
 */

import type { Duration } from "../../base/duration.ts";
import { PawlError } from "../../base/errors.ts";
import { describeSecret, isSecretRef, readSecret, type SecretRef } from "../../base/secret.ts";
import { VERSION } from "../../base/version.ts";
import type { BreakerOptions, QueueBehaviourOptions } from "../../queue/queue-options.ts";
import { excerpt } from "../../requests/excerpt.ts";
import { maskHeaders } from "../../requests/mask-headers.ts";
import { maskUrl } from "../../requests/mask-url.ts";
import { parseRetryAfter } from "../../requests/retry-after.ts";
import { type HttpAnswer, refuseForbiddenUrl } from "../../requests/sender.ts";
import { webhookKey } from "../../webhooks/secrets.ts";
import { signWebhook } from "../../webhooks/sign.ts";
import type { CommonOptions } from "./common-options.ts";
import { envelope } from "./envelope.ts";
import type { Delivery, DeliverySuccess, DestinationDefinition } from "./types.ts";
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
const SECRETS_MAX = 5;
/** RFC 9110 section 15.5.11: gone, and likely for ever. */
const GONE = 410;
/** Of the answers 4xx those that say something about the receiver, not about this one event. */
const RECEIVER_TROUBLE: ReadonlySet<number> = new Set([401, 403, 404, 408, 425, 429]);
/** Not in the printable ASCII that any server takes in a header. */
const NOT_PRINTABLE = /[^\x20-\x7e]/gu;

export interface WebhookOptions extends CommonOptions {
  /** http or https, without credentials. */
  url: string;
  /**
   * `whsec_<base64>` or base64 of 24 to 64 bytes (v1), `whsk_<base64>` (v1a, ed25519), or `env("NAME")` and
   * `file("/path")`, which are read at each try. Several: each signs, the new one first while it is rotated.
   */
  secret: string | SecretRef | readonly (string | SecretRef)[];
  /** Sent beside Pawl's own, which they cannot replace (except user-agent). */
  headers?: Record<string, string | SecretRef>;
  /** Over the whole exchange; default 15 s, at most 10 min. */
  timeout?: Duration;
  /** Pauses the destination while its receiver fails; default 10 failures that are half of all within 10 s. `false`: none. */
  breaker?: BreakerOptions | false;
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
  const secrets = secretList(options.secret);
  const headers = customHeaders(options.headers ?? {});
  const timeoutMs = webhookTimeoutMs(options.timeout ?? "15s");
  const responseBytesMax = webhookResponseBytes(options.maxResponseBytes ?? RESPONSE_BYTES_DEFAULT);
  return {
    type: "webhook",
    config: publicConfig(url, secrets, headers),
    retry: webhookRetry(options.retry),
    ...(options.order !== undefined && { order: options.order }),
    queue: queueOptions(options),
    timeoutMs,
    checkHost: (allow) => refuseForbiddenUrl(url, allow),
    check: () => {
      for (const secret of secrets) checkSecret(readSecret(secret, SECRET), SECRET);
      readHeaders(headers);
    },
    deliver: async (delivery, { signal, http }) => {
      const body = JSON.stringify(envelope(delivery.event));
      const answer = await http.send({
        url: url.href,
        method: "POST",
        headers: {
          "user-agent": `pawl/${VERSION}`,
          ...readHeaders(headers),
          ...deliveryHeaders(delivery),
          ...signatureHeaders(
            delivery.event.id,
            body,
            secrets.map((secret) => readSecret(secret, SECRET)),
          ),
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

function secretList(given: WebhookOptions["secret"]): readonly (string | SecretRef)[] {
  const secrets = Array.isArray(given)
    ? (given as readonly (string | SecretRef)[])
    : [given as string | SecretRef];
  if (secrets.length === 0 || secrets.length > SECRETS_MAX) {
    throw new PawlError(
      "invalid_option",
      `webhook destination: expected \`secret\` to be one secret or up to ${SECRETS_MAX}, got ${secrets.length}`,
      { data: { option: "secret" } },
    );
  }
  for (const secret of secrets) if (!isSecretRef(secret)) checkSecret(secret, SECRET);
  return secrets;
}

/** A public key cannot sign. @throws PawlError `invalid_option`, without the secret */
function checkSecret(secret: string, what: string): void {
  if (webhookKey(secret, what).canSign) return;
  throw new PawlError(
    "invalid_option",
    `${what}: this is a public key; sign with the private one`,
    {
      data: { option: "secret" },
    },
  );
}

function queueOptions(options: WebhookOptions): QueueBehaviourOptions {
  const { onDead, concurrency, rate, breaker = {} } = options;
  return {
    ...(breaker !== false && { breaker }),
    ...(onDead !== undefined && { onDead }),
    ...(concurrency !== undefined && { concurrency }),
    ...(rate !== undefined && { rate }),
  };
}

function publicConfig(
  url: URL,
  secrets: readonly (string | SecretRef)[],
  headers: Record<string, string | SecretRef>,
): Record<string, unknown> {
  const shownHeaders = Object.entries(headers).map(([name, value]) => [
    name,
    describeSecret(value),
  ]);
  return {
    url: maskUrl(url),
    secret: secrets.map(describeSecret).join(", "),
    ...(shownHeaders.length === 0 ? {} : { headers: Object.fromEntries(shownHeaders) }),
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
    ...(delivery.replay > 0 && { "x-outbox-replay": String(delivery.replay) }),
  };
}

function signatureHeaders(
  eventId: string,
  body: string,
  secrets: readonly string[],
): Record<string, string> {
  const id = printable(eventId);
  const timestampS = Math.floor(Date.now() / 1_000);
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestampS),
    "webhook-signature": signWebhook({ id, timestampS, body, secrets }),
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
  const seen = {
    status,
    durationMs,
    headers: maskHeaders(answer.headers),
    timings: answer.timings,
  };
  const body = excerpt(answer.body, EXCERPT_CHARS_MAX);
  const wish = wishOf(answer);
  if (status >= 200 && status <= 299) {
    const success = { ...seen, summary: `${status} in ${durationMs} ms`, response: body };
    return wish === "disable" ? { ...success, disable: asked(status, wish) } : success;
  }
  const what = wish === undefined ? explain(status) : asked(status, wish);
  throw new PawlError("delivery_failed", `webhook ${maskUrl(url)}: ${what}`, {
    data: { ...seen, body, ...consequences(answer, wish, what) },
  });
}

/** Standard Webhooks: what a receiver asks for beside its status. */
function wishOf(answer: HttpAnswer): "disable" | "abort-message" | undefined {
  const wish = answer.headers["webhook-delivery"]?.trim().toLowerCase();
  return wish === "disable" || wish === "abort-message" ? wish : undefined;
}

/** What follows from a failure, in the words of `DestinationDefinition.deliver`. */
function consequences(
  { status, headers }: HttpAnswer,
  wish: "disable" | "abort-message" | undefined,
  what: string,
): Record<string, unknown> {
  if (status === GONE || wish === "disable")
    return { permanent: true, isReceiverUp: true, disable: what };
  if (wish === "abort-message") return { permanent: true, isReceiverUp: true };
  const retryAfterMs = parseRetryAfter(headers["retry-after"]);
  // RFC 6585 section 4, RFC 9110 section 15.6.4: it is about the client or the server, not about this event
  const isPause = retryAfterMs !== undefined && (status === 429 || status === 503);
  return {
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(isPause && { pauseMs: retryAfterMs }),
    ...(isAboutTheEvent(status) && { isReceiverUp: true }),
  };
}

function isAboutTheEvent(status: number): boolean {
  return status >= 400 && status <= 499 && !RECEIVER_TROUBLE.has(status);
}

function asked(status: number, wish: "disable" | "abort-message"): string {
  return wish === "disable"
    ? `answered ${status} with "webhook-delivery: disable": the receiver wants no more of these`
    : `answered ${status} with "webhook-delivery: abort-message": the receiver does not want this event`;
}

function explain(status: number): string {
  if (status === GONE) return "answered 410 Gone: the receiver wants no more of these";
  if (status >= 300 && status <= 399) {
    return `answered ${status}: redirects are not followed; set the destination's URL to where it leads`;
  }
  return `answered ${status}, expected 2xx; see the answer's body and the receiver's log`;
}
