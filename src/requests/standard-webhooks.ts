/**
 * Signatures of Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`,
 * version v1. Refuses weak or malformed secrets and never shows one.
 */

import { createHmac } from "node:crypto";
import { PawlError } from "../base/errors.ts";

const PREFIX = "whsec_";
/** The bounds of the specification, in decoded bytes. */
export const WEBHOOK_SECRET_BYTES_MIN = 24;
export const WEBHOOK_SECRET_BYTES_MAX = 64;

export interface WebhookMessage {
  /** The `webhook-id`: the same at every try. */
  id: string;
  /** The `webhook-timestamp`: unix seconds of this try. */
  timestamp: number;
  /** Exactly the bytes that are sent. */
  body: string | Uint8Array;
  /** `whsec_<base64>` or the base64 alone. */
  secret: string;
}

/** The value of `webhook-signature`: `v1,<base64>`. */
export function signStandardWebhook(message: WebhookMessage): string {
  const hmac = createHmac("sha256", decodeWebhookSecret(message.secret));
  hmac.update(`${message.id}.${message.timestamp}.`).update(message.body);
  return `v1,${hmac.digest("base64")}`;
}

/**
 * The key inside a secret.
 *
 * @param what whose secret it is, for the message
 * @throws PawlError `invalid_option`, without the secret
 */
export function decodeWebhookSecret(secret: string, what = "webhook secret"): Uint8Array {
  if (typeof secret !== "string") throw badSecret(what, `it is of type ${typeof secret}`);
  const encoded = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret;
  const key = Buffer.from(encoded, "base64");
  // Buffer skips what is not base64 without a word; receivers do not. Only the canonical form fits both.
  if (key.toString("base64") !== encoded) throw badSecret(what, "it is not padded standard base64");
  if (key.length < WEBHOOK_SECRET_BYTES_MIN || key.length > WEBHOOK_SECRET_BYTES_MAX) {
    throw badSecret(what, `it decodes to ${key.length} bytes`);
  }
  return key;
}

function badSecret(what: string, problem: string): PawlError {
  return new PawlError(
    "invalid_option",
    `${what}: expected ${PREFIX}<base64> or base64 of ${WEBHOOK_SECRET_BYTES_MIN} to ${WEBHOOK_SECRET_BYTES_MAX} bytes, but ${problem}; make one with \`openssl rand -base64 32\``,
    { data: { option: what, problem } },
  );
}
