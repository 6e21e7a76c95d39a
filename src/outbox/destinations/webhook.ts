/**
 * Delivers one event as a signed POST (Standard Webhooks). The id is the event's, the same in every attempt; timestamp and
 * signature are new in each. Delivery is at least once: receivers recognize duplicates by the id.
 */

import type { Duration } from "../../base/duration.ts";
import { PawlError } from "../../base/errors.ts";
import { maskUrl } from "../../base/mask.ts";
import { VERSION } from "../../base/version.ts";
import { type FieldsOf, readOptions, withDefault } from "../../options/field.ts";
import { integer } from "../../options/kinds.ts";
import { anything, object } from "../../options/parts.ts";
import type { BreakerOptions } from "../../queue/queue-options.ts";
import {
  describeSecret,
  isSecretRef,
  readableSecret,
  readSecret,
  type SecretRef,
} from "../../secrets/secret.ts";
import { type StatusAnswer, sendForStatus } from "../../sender/by-status.ts";
import { excerpt } from "../../sender/excerpt.ts";
import { checkedHeaders, type HeaderValues, readHeaders } from "../../sender/http-headers.ts";
import { httpUrl } from "../../sender/http-url.ts";
import { maskHeaders } from "../../sender/mask-headers.ts";
import { parseRetryAfter } from "../../sender/retry-after.ts";
import { type HttpAnswer, refuseForbiddenUrl } from "../../sender/sender.ts";
import { webhookKey } from "../../webhooks/secrets.ts";
import { signWebhook } from "../../webhooks/sign.ts";
import { COMMON, type CommonOptions, commonDefinition } from "./common-options.ts";
import { envelopeText } from "./envelope.ts";
import type { Delivery, DeliverySuccess, DestinationDefinition } from "./types.ts";

const WHERE = "webhook destination";
const SECRET = "webhook secret";
const TIMEOUT_MS_DEFAULT = 15_000;
const RESPONSE_BYTES_MAX = 1_048_576;
/** Maximum length of the part of an answer's body that is stored with the attempt. */
const EXCERPT_CHARS_MAX = 2_000;
const SECRETS_MAX = 5;
const RESERVED = ["content-type", "proxy-connection"];
const RESERVED_PREFIXES = ["webhook-", "x-outbox-", "x-event-"];
/** RFC 9110 section 15.5.11: gone, and likely for ever. */
const GONE = 410;
/** 4xx statuses that say something about the receiver, not about this one event. */
const RECEIVER_TROUBLE: ReadonlySet<number> = new Set([401, 403, 404, 408, 425, 429]);
/** Not in the printable ASCII that any server takes in a header. */
const NOT_PRINTABLE = /[^\x20-\x7e]/gu;

export interface WebhookOptions extends CommonOptions {
  /**
   * http or https, without credentials. If its path or query is a secret: `env("NAME")` or `file("/path")`, read in each
   * attempt.
   */
  url: string | SecretRef;
  /**
   * `whsec_<base64>` or base64 of 24 to 64 bytes (v1), `whsk_<base64>` (v1a, ed25519), or `env("NAME")` or `file("/path")`,
   * read in each attempt. With several, each signs; while you rotate, put the new one first.
   */
  secret: string | SecretRef | readonly (string | SecretRef)[];
  /** Additional headers; they cannot replace Pawl's own, except user-agent. */
  headers?: Record<string, string | SecretRef>;
  /** Time limit of the whole exchange; default 15 s, at most 10 min. */
  timeout?: Duration;
  /**
   * Pauses the destination while its receiver fails. Default: after 10 failures that are at least half of all attempts
   * within 1 min. `false`: never.
   */
  breaker?: BreakerOptions | false;
  /** Maximum size of an answer's body in bytes; the rest is cut. Default 64 KiB, at most 1 MiB. */
  maxResponseBytes?: number;
}

const FIELDS = {
  ...COMMON,
  url: anything<string | SecretRef>("read by `urlReader`"),
  secret: anything<WebhookOptions["secret"]>("read by `secretList`"),
  headers: withDefault({}, object<HeaderValues>("sent beside Pawl's own")),
  maxResponseBytes: withDefault(
    65_536,
    integer({ help: "maximum size of the stored body of an answer", max: RESPONSE_BYTES_MAX }),
  ),
} satisfies FieldsOf<WebhookOptions>;

/**
 * Returns a destination that sends webhooks. Any 2xx means accepted. Redirects are not followed and count as failures.
 *
 * @throws PawlError `invalid_url`, `invalid_option`
 */
export function webhook(options: WebhookOptions): DestinationDefinition {
  const read = readOptions(WHERE, FIELDS, options);
  const readUrl = urlReader(options.url);
  const secrets = secretList(options.secret);
  const headers = checkedHeaders(WHERE, read.headers, isOurs);
  const common = commonDefinition(read, { timeoutMs: TIMEOUT_MS_DEFAULT, breaker: {} });
  const { timeoutMs } = common;
  return {
    ...common,
    type: "webhook",
    config: publicConfig(options.url, secrets, headers),
    checkHost: (allow) => {
      // a URL that cannot be read here is checked where it is sent
      if (readableSecret(options.url) !== undefined) refuseForbiddenUrl(readUrl(), allow);
    },
    check: () => {
      readUrl();
      for (const secret of secrets) checkSecret(readSecret(secret, SECRET), SECRET);
      readHeaders(WHERE, headers, "webhook");
    },
    deliver: async (delivery, { signal, http }) => {
      const url = readUrl();
      const body = envelopeText(delivery.event);
      const answer = await sendForStatus(http, {
        url: url.href,
        method: "POST",
        headers: {
          "user-agent": `pawl/${VERSION}`,
          ...readHeaders(WHERE, headers, "webhook"),
          ...deliveryHeaders(delivery),
          ...signatureHeaders(
            delivery.event.id,
            body,
            secrets.map((secret) => readSecret(secret, SECRET)),
          ),
        },
        body,
        timeoutMs,
        responseBytesMax: read.maxResponseBytes,
        signal,
      });
      return judge(answer, url);
    },
  };
}

/**
 * Returns the URL; a reference is read at each call, text is checked at once.
 *
 * @throws PawlError `invalid_url`, `invalid_environment`; the value is shown masked, and that of a reference not at all
 */
function urlReader(given: string | SecretRef): () => URL {
  const credentials =
    'move them into `headers`, such as { authorization: env("ERP_AUTHORIZATION") }';
  const place = { where: WHERE, credentials };
  if (isSecretRef(given)) {
    const shownAs = `of ${describeSecret(given)}`;
    return () => httpUrl(readSecret(given, "webhook URL"), { ...place, shownAs });
  }
  const url = httpUrl(given, place);
  return () => url;
}

/** True for headers that Pawl sets itself, in addition to those of the connection. */
function isOurs(name: string): boolean {
  return RESERVED.includes(name) || RESERVED_PREFIXES.some((prefix) => name.startsWith(prefix));
}

function secretList(given: WebhookOptions["secret"]): readonly (string | SecretRef)[] {
  const secrets = Array.isArray(given)
    ? (given as readonly (string | SecretRef)[])
    : [given as string | SecretRef];
  if (secrets.length === 0 || secrets.length > SECRETS_MAX) {
    throw new PawlError(
      "invalid_option",
      `${WHERE}: expected \`secret\` to be one secret or up to ${SECRETS_MAX}, got ${secrets.length}`,
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

function publicConfig(
  url: string | SecretRef,
  secrets: readonly (string | SecretRef)[],
  headers: Record<string, string | SecretRef>,
): Record<string, unknown> {
  const shownHeaders = Object.entries(headers).map(([name, value]) => [
    name,
    describeSecret(value),
  ]);
  return {
    url: isSecretRef(url) ? describeSecret(url) : maskUrl(url),
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

function judge(answer: StatusAnswer, url: URL): DeliverySuccess {
  const { status, durationMs, trouble } = answer;
  const seen = {
    status,
    durationMs,
    headers: maskHeaders(answer.headers),
    timings: answer.timings,
    ...(trouble !== undefined && { trouble }),
  };
  const after = trouble === undefined ? "" : `; then ${trouble}`;
  const body = excerpt(answer.body, EXCERPT_CHARS_MAX);
  const wish = wishOf(answer);
  if (status >= 200 && status <= 299) {
    const success = { ...seen, summary: `${status} in ${durationMs} ms${after}`, response: body };
    return wish === "disable" ? { ...success, disable: asked(status, wish) } : success;
  }
  const what = wish === undefined ? explain(status) : asked(status, wish);
  throw new PawlError("delivery_failed", `webhook ${maskUrl(url)}: ${what}${after}`, {
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
    ? `answered ${status} with "webhook-delivery: disable": the receiver wants no more deliveries`
    : `answered ${status} with "webhook-delivery: abort-message": the receiver does not want this event`;
}

function explain(status: number): string {
  if (status === GONE) return "answered 410 Gone: the receiver wants no more deliveries";
  if (status >= 300 && status <= 399) {
    return `answered ${status}: redirects are not followed; set the destination's URL to where it leads`;
  }
  return `answered ${status}, expected 2xx; see the answer's body and the receiver's log`;
}
