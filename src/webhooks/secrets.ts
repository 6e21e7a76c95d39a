/**
 * The keys inside the secrets of Standard Webhooks: `whsec_` (HMAC, shared), `whsk_` and `whpk_` (ed25519,
 * private and public). Decoded once and kept, for signing is the hot path. No message shows a secret.
 */

import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import { PawlError } from "../base/errors.ts";
import { pairHalfIn } from "../base/key-shape.ts";

export const SHARED_PREFIX = "whsec_";
export const PRIVATE_PREFIX = "whsk_";
export const PUBLIC_PREFIX = "whpk_";
/** The bounds of the specification, in decoded bytes. */
export const WEBHOOK_SECRET_BYTES_MIN = 24;
export const WEBHOOK_SECRET_BYTES_MAX = 64;

const WHAT = "webhook secret";
/** More than an app has; only a bound for what would make new secrets without end. */
const KEYS_KEPT_MAX = 10_000;
const ED25519_BYTES = 32;
/** RFC 8410: what stands before the 32 bytes of a key in PKCS #8 and in SubjectPublicKeyInfo. */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");

export interface WebhookKey {
  /** `v1`: HMAC-SHA256. `v1a`: ed25519. */
  scheme: "v1" | "v1a";
  /** Whether it can sign: a public key cannot. */
  canSign: boolean;
  key: KeyObject;
}

const kept = new Map<string, WebhookKey>();

/**
 * Reads a secret of any of the three sorts; without a prefix it is a shared one.
 *
 * @param what whose secret it is, for the message
 * @throws PawlError `invalid_option`, without the secret
 */
export function webhookKey(secret: string, what: string = WHAT): WebhookKey {
  const known = kept.get(secret);
  if (known !== undefined) return known;
  const key = parse(secret, what);
  if (kept.size >= KEYS_KEPT_MAX) kept.clear();
  kept.set(secret, key);
  return key;
}

/**
 * The bytes inside a shared secret.
 *
 * @throws PawlError `invalid_option`, without the secret
 */
export function decodeWebhookSecret(secret: string, what: string = WHAT): Uint8Array {
  if (typeof secret !== "string") throw badSecret(what, `it is of type ${typeof secret}`);
  const half = pairHalfIn(secret);
  if (half !== undefined) {
    throw badPair(what, `this is the ${half} key of a pair, which cannot be a shared secret`);
  }
  const encoded = secret.startsWith(SHARED_PREFIX) ? secret.slice(SHARED_PREFIX.length) : secret;
  const key = decode(encoded);
  if (key === undefined) throw badSecret(what, "it is not padded standard base64");
  if (key.length < WEBHOOK_SECRET_BYTES_MIN || key.length > WEBHOOK_SECRET_BYTES_MAX) {
    throw badSecret(what, `it decodes to ${key.length} bytes`);
  }
  return key;
}

/** The 32 bytes of the public half. */
export function publicBytes(key: KeyObject): Buffer {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return publicKey.export({ format: "der", type: "spki" }).subarray(SPKI_HEAD.length);
}

function parse(secret: string, what: string): WebhookKey {
  if (typeof secret === "string" && secret.startsWith(PRIVATE_PREFIX)) {
    return { scheme: "v1a", canSign: true, key: privateKey(secret, what) };
  }
  if (typeof secret === "string" && secret.startsWith(PUBLIC_PREFIX)) {
    return { scheme: "v1a", canSign: false, key: publicKey(secret, what) };
  }
  const key = createSecretKey(decodeWebhookSecret(secret, what));
  return { scheme: "v1", canSign: true, key };
}

/** 32 bytes are the seed; 64 are the seed and the public key, as libsodium keeps the pair. */
function privateKey(secret: string, what: string): KeyObject {
  const bytes = decode(secret.slice(PRIVATE_PREFIX.length));
  if (bytes?.length !== ED25519_BYTES && bytes?.length !== 2 * ED25519_BYTES) {
    throw badPair(what, `${PRIVATE_PREFIX} is not followed by the padded base64 of 32 or 64 bytes`);
  }
  const seed = bytes.subarray(0, ED25519_BYTES);
  const der = Buffer.concat([PKCS8_HEAD, seed]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const rest = bytes.subarray(ED25519_BYTES);
  if (rest.length === 0 || rest.equals(publicBytes(key))) return key;
  throw badPair(what, "its public half does not belong to its private half");
}

function publicKey(secret: string, what: string): KeyObject {
  const bytes = decode(secret.slice(PUBLIC_PREFIX.length));
  if (bytes?.length !== ED25519_BYTES) {
    throw badPair(what, `${PUBLIC_PREFIX} is not followed by the padded base64 of 32 bytes`);
  }
  return createPublicKey({ key: Buffer.concat([SPKI_HEAD, bytes]), format: "der", type: "spki" });
}

/** Buffer skips what is not base64 without a word; other programs do not. Only the canonical form fits all. */
function decode(encoded: string): Buffer | undefined {
  const bytes = Buffer.from(encoded, "base64");
  return bytes.toString("base64") === encoded ? bytes : undefined;
}

function badSecret(what: string, problem: string): PawlError {
  return new PawlError(
    "invalid_option",
    `${what}: expected ${SHARED_PREFIX}<base64> or base64 of ${WEBHOOK_SECRET_BYTES_MIN} to ${WEBHOOK_SECRET_BYTES_MAX} bytes, but ${problem}; make one with \`openssl rand -base64 32\``,
    { data: { option: what, problem } },
  );
}

function badPair(what: string, problem: string): PawlError {
  return new PawlError(
    "invalid_option",
    `${what}: ${problem}; make a pair with generateWebhookSecret("v1a") of pawl/webhooks`,
    { data: { option: what, problem } },
  );
}
