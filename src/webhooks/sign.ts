/**
 * Signatures of Standard Webhooks (https://www.standardwebhooks.com) over `id.timestamp.body`: v1 is
 * HMAC-SHA256, v1a is ed25519. One header carries a signature for each secret, so that secrets can overlap.
 */

import {
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";
import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import {
  PRIVATE_PREFIX,
  PUBLIC_PREFIX,
  publicBytes,
  SHARED_PREFIX,
  webhookKey,
} from "./secrets.ts";

const SHARED_BYTES = 32;
/** Without a full stop: `id.timestamp.body` could be cut in another place. */
export const WEBHOOK_ID: RegExp = /^[\x21-\x2d\x2f-\x7e]+$/;

export interface WebhookMessage {
  /** The `webhook-id`, the same in every attempt. It must not contain a full stop, which would make the signed text ambiguous. */
  id: string;
  /** The `webhook-timestamp`: unix seconds of this attempt. */
  timestampS: number;
  /** The body, exactly as sent. */
  body: string | Uint8Array;
  /** `whsec_…` or base64 alone for v1, `whsk_…` for v1a; newest first. */
  secrets: readonly string[];
}

/**
 * Returns the value of `webhook-signature`: `v1,<base64> v1a,<base64>`, one signature for each secret.
 *
 * @throws PawlError `invalid_option` for no secret, a wrong one, or a public key
 */
export function signWebhook(message: WebhookMessage): string {
  refuseUnknownOptions("signWebhook", message, ["id", "timestampS", "body", "secrets"]);
  const { id, timestampS, body, secrets } = message;
  if (secrets.length === 0) {
    throw new PawlError("invalid_option", "webhook: expected at least one secret to sign with", {
      data: { option: "secrets" },
    });
  }
  if (!WEBHOOK_ID.test(id) || !Number.isSafeInteger(timestampS)) throw ambiguous(id, timestampS);
  const head = `${id}.${timestampS}.`;
  let header = "";
  for (const secret of secrets) {
    const signature = signatureOf(secret, head, body);
    header = header === "" ? signature : `${header} ${signature}`;
  }
  return header;
}

function ambiguous(id: unknown, timestampS: unknown): PawlError {
  return new PawlError(
    "invalid_option",
    `webhook: expected \`id\` to be printable characters without a full stop and \`timestampS\` whole seconds, got ${shown(id)} and ${shown(timestampS)}: the signed text could be cut in another place`,
    { data: { option: "id" } },
  );
}

function signatureOf(secret: string, head: string, body: string | Uint8Array): string {
  const { scheme, canSign, key } = webhookKey(secret);
  if (scheme === "v1") return `v1,${hmacOf(key, head, body).toString("base64")}`;
  if (canSign) return `v1a,${sign(null, signedBytes(head, body), key).toString("base64")}`;
  throw new PawlError(
    "invalid_option",
    `webhook secret: ${PUBLIC_PREFIX} is a public key, for receivers; sign with the private one, ${PRIVATE_PREFIX}`,
    { data: { option: "webhook secret" } },
  );
}

export function hmacOf(key: KeyObject, head: string, body: string | Uint8Array): Buffer {
  return createHmac("sha256", key).update(head).update(body).digest();
}

export function signedBytes(head: string, body: string | Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(head), typeof body === "string" ? Buffer.from(body) : body]);
}

/** Returns a new secret. `v1`: 32 random bytes, shared with the receiver. `v1a`: a private key, which never leaves the sender. */
export function generateWebhookSecret(kind: "v1" | "v1a" = "v1"): string {
  if (kind === "v1") return `${SHARED_PREFIX}${randomBytes(SHARED_BYTES).toString("base64")}`;
  if (kind === "v1a") return generatePrivate();
  throw new PawlError("invalid_option", `expected "v1" or "v1a", got ${shown(kind)}`, {
    data: { option: "kind" },
  });
}

function generatePrivate(): string {
  const { privateKey } = generateKeyPairSync("ed25519");
  const seed = privateKey.export({ format: "der", type: "pkcs8" }).subarray(-SHARED_BYTES);
  const pair = Buffer.concat([seed, publicBytes(privateKey)]);
  return `${PRIVATE_PREFIX}${pair.toString("base64")}`;
}

/**
 * Returns the key with which a receiver verifies: the `whpk_…` of a `whsk_…`.
 *
 * @throws PawlError `invalid_option` if it is not a private key
 */
export function webhookPublicKey(privateSecret: string): string {
  const { scheme, canSign, key } = webhookKey(privateSecret);
  if (scheme === "v1a" && canSign) {
    return `${PUBLIC_PREFIX}${publicBytes(createPublicKey(key)).toString("base64")}`;
  }
  throw new PawlError(
    "invalid_option",
    `webhook secret: only a private key, ${PRIVATE_PREFIX}…, has a public one`,
    { data: { option: "webhook secret" } },
  );
}
