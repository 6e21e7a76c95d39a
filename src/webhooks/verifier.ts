/**
 * Verifies incoming webhooks for their receivers: first the signature over the raw bytes, then the age, then the JSON.
 * Nothing in a call is trusted before a signature of a known secret fits.
 */

import { timingSafeEqual, verify as verifySignature } from "node:crypto";
import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { readSecret, type SecretRef } from "../secrets/secret.ts";
import { contentTypeOf, type IncomingHeaders, oneHeader } from "./headers.ts";
import { checkRaw, parseJson, textOf } from "./json-body.ts";
import { WebhookRejected } from "./rejected.ts";
import { type WebhookKey, webhookKey } from "./secrets.ts";
import { hmacOf, signedBytes, WEBHOOK_ID } from "./sign.ts";

const TOLERANCE_S_DEFAULT = 300;
const TOLERANCE_S_MAX = 86_400;
/** Limits of the work that a stranger can cause with one call. */
const SIGNATURES_MAX = 16;
const ID_CHARS_MAX = 256;
const SECRETS_MAX = 16;
const UNIX_SECONDS = /^\d{1,12}$/;
const WHAT = "webhook secret";

export interface Verifier<Verified> {
  /** @throws WebhookRejected */
  verify(body: string | Uint8Array, headers: IncomingHeaders): Verified | Promise<Verified>;
}

export interface VerifiedWebhook {
  /** The same in every attempt of the same message: recognize duplicates by it. */
  readonly id: string;
  /** When this attempt was sent. */
  readonly timestamp: Date;
  /** The body, parsed from JSON. Numbers beyond 2^53 lose digits. */
  readonly payload: unknown;
  /** The body as received: the text that was signed. */
  readonly text?: string;
}

export interface WebhookVerifierOptions {
  /** `whsec_…` for v1, `whpk_…` for v1a, or references to them; several while you change secrets. */
  secrets: string | SecretRef | readonly (string | SecretRef)[];
  /** Maximum difference to the sender's clock in seconds, in both directions; default 300. */
  toleranceS?: number;
  /** Returns the time in milliseconds since 1970; for tests. */
  now?: () => number;
}

export interface WebhookVerifier extends Verifier<VerifiedWebhook> {
  verify(body: string | Uint8Array, headers: IncomingHeaders): VerifiedWebhook;
}

/**
 * Returns a verifier for webhooks. References are read at each call, so a changed file counts at once.
 *
 * @throws PawlError `invalid_option`, `invalid_environment` for a secret that cannot be used
 */
export function webhookVerifier(options: WebhookVerifierOptions): WebhookVerifier {
  refuseUnknownOptions("webhookVerifier", options, ["secrets", "toleranceS", "now"]);
  const { secrets, toleranceS = TOLERANCE_S_DEFAULT, now = Date.now } = options;
  const refs = listOf(secrets);
  checkTolerance(toleranceS);
  keysOf(refs);
  return {
    verify: (body, headers) => {
      checkRaw(body);
      const id = readId(headers);
      const stamp = readTimestamp(headers);
      checkSignature({ keys: keysOf(refs), head: `${id}.${stamp}.`, body, headers });
      checkAge(Number(stamp), Math.floor(now() / 1_000), toleranceS);
      const timestamp = new Date(Number(stamp) * 1_000);
      const text = textOf(body, contentTypeOf(headers));
      const verified = { id, timestamp, payload: parseJson(text, "webhook") };
      // not enumerable: a logged or compared result has the body only once
      return Object.defineProperty(verified, "text", { value: text });
    },
  };
}

function listOf(secrets: WebhookVerifierOptions["secrets"]): readonly (string | SecretRef)[] {
  const list = Array.isArray(secrets) ? (secrets as readonly (string | SecretRef)[]) : [secrets];
  if (list.length >= 1 && list.length <= SECRETS_MAX) return list as (string | SecretRef)[];
  throw new PawlError(
    "invalid_option",
    `webhookVerifier: expected \`secrets\` to hold 1 to ${SECRETS_MAX} secrets, got ${list.length}`,
    { data: { option: "secrets" } },
  );
}

function keysOf(refs: readonly (string | SecretRef)[]): WebhookKey[] {
  return refs.map((ref) => {
    const key = webhookKey(readSecret(ref, WHAT), WHAT);
    if (key.scheme === "v1" || !key.canSign) return key;
    throw new PawlError(
      "invalid_option",
      "webhookVerifier: whsk_ is the sender's private key; verify with its public one, whpk_ (webhookPublicKey makes it)",
      { data: { option: "secrets" } },
    );
  });
}

function checkTolerance(toleranceS: number): void {
  if (Number.isInteger(toleranceS) && toleranceS >= 1 && toleranceS <= TOLERANCE_S_MAX) return;
  throw new PawlError(
    "invalid_option",
    `webhookVerifier: expected \`toleranceS\` to be an integer from 1 to ${TOLERANCE_S_MAX}, got ${shown(toleranceS)}`,
    { data: { option: "toleranceS" } },
  );
}

function readId(headers: IncomingHeaders): string {
  const id = oneHeader(headers, "webhook-id");
  if (id.length <= ID_CHARS_MAX && WEBHOOK_ID.test(id)) return id;
  throw new WebhookRejected("malformed", "webhook: the header webhook-id is not a plain id");
}

function readTimestamp(headers: IncomingHeaders): string {
  const text = oneHeader(headers, "webhook-timestamp");
  if (UNIX_SECONDS.test(text)) return text;
  throw new WebhookRejected(
    "bad_timestamp",
    "webhook: the header webhook-timestamp is not a number of unix seconds",
  );
}

interface Claim {
  keys: readonly WebhookKey[];
  head: string;
  body: string | Uint8Array;
  headers: IncomingHeaders;
}

/** Each known key against each signature of its scheme; others are of schemes that we do not know, and no fault. */
function checkSignature({ keys, head, body, headers }: Claim): void {
  const given = oneHeader(headers, "webhook-signature").split(" ").slice(0, SIGNATURES_MAX);
  const fits = keys.some((key) => {
    const signatures = given
      .filter((one) => one.startsWith(`${key.scheme},`))
      .map((one) => Buffer.from(one.slice(key.scheme.length + 1), "base64"));
    return signatures.length > 0 && isSigned(key, signatures, { head, body });
  });
  if (fits) return;
  throw new WebhookRejected(
    "bad_signature",
    "webhook: no signature of a known secret fits; check that both sides have the same secret and that the body is verified as it came, before any parsing",
  );
}

function isSigned(
  { scheme, key }: WebhookKey,
  signatures: Buffer[],
  { head, body }: { head: string; body: string | Uint8Array },
): boolean {
  if (scheme === "v1") {
    const expected = hmacOf(key, head, body);
    return signatures.some(
      (given) => given.length === expected.length && timingSafeEqual(given, expected),
    );
  }
  const bytes = signedBytes(head, body);
  return signatures.some((given) => verifySignature(null, bytes, key, given));
}

function checkAge(stampS: number, nowS: number, toleranceS: number): void {
  const difference = nowS - stampS;
  if (Math.abs(difference) <= toleranceS) return;
  const [reason, words] =
    difference > 0 ? (["too_old", "old"] as const) : (["too_new", "in the future"] as const);
  throw new WebhookRejected(
    reason,
    `webhook: its timestamp is ${Math.abs(difference)} s ${words}, the limit is ${toleranceS} s; check the clocks of both sides`,
  );
}
