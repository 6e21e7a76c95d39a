/**
 * Verifies incoming signed requests (JWT) for their receivers. The receiver's keys decide which algorithms are accepted;
 * what a token says about itself can only narrow that down.
 */

import type { KeyObject } from "node:crypto";
import {
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from "jose";
import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { isSecretRef, readSecret, type SecretRef } from "../secrets/secret.ts";
import { contentTypeOf, type IncomingHeaders } from "./headers.ts";
import { checkRaw, parseJson, textOf } from "./json-body.ts";
import { algorithmsOf, checkAlgorithm, type JwtAlgorithm, verifyingKey } from "./jwt-keys.ts";
import { WebhookRejected } from "./rejected.ts";
import { type RequestTask, readTask } from "./request-task.ts";
import type { Verifier } from "./verifier.ts";

const TOLERANCE_S_DEFAULT = 60;
const TOLERANCE_S_MAX = 86_400;
const KEYS_MAX = 16;
const WHAT = "request key";

export interface RequestKeyOptions {
  /** A shared secret (its text, or `base64:…`), a public key as PEM, or a reference to either. */
  key: string | SecretRef;
  /** Only for tokens with this `kid`; without it the key is tried for all tokens. */
  kid?: string;
  /** Default: RS512 for an RSA key, EdDSA for ed25519, HS512 and HS256 for a shared secret. */
  algorithm?: JwtAlgorithm;
}

export interface RequestVerifierOptions {
  /** One key, or several while you change keys. */
  keys: string | SecretRef | readonly (string | SecretRef | RequestKeyOptions)[];
  /** The accepted values of `iss`. */
  issuer?: string | string[];
  /** The accepted values of `aud`; it must be or contain one of them. */
  audience?: string | string[];
  /** Maximum difference to the sender's clock, in seconds; default 60. */
  toleranceS?: number;
  /** Maximum age of a token in seconds by its `iat`, whatever its `exp` says. */
  maxAgeS?: number;
  /** true (default): a token without expiry is refused. */
  requireExpiry?: boolean;
  /** Returns the time in milliseconds since 1970; for tests. */
  now?: () => number;
}

export interface RequestClaims extends JWTPayload {
  cid?: unknown;
  plugin?: unknown;
  /** What the request is about. */
  body?: unknown;
}

export interface VerifiedRequest {
  readonly claims: RequestClaims;
  /** Which attempt this is. Not signed: use it for logs and hints, not for decisions. Missing for a plain token. */
  readonly task: RequestTask | undefined;
  readonly algorithm: JwtAlgorithm;
  readonly kid: string | undefined;
}

export interface RequestVerifier extends Verifier<VerifiedRequest> {
  /**
   * Verifies `{"request": "<JWT>", "__task": {…}}` or the token alone. Of the headers only the content type is used, for its
   * charset.
   */
  verify(body: string | Uint8Array, headers?: IncomingHeaders): Promise<VerifiedRequest>;
}

interface Candidate {
  text: string;
  kid: string | undefined;
  algorithms: readonly JwtAlgorithm[];
}

/**
 * Returns a verifier for signed requests. References are read at each call, so a changed file counts at once.
 *
 * @throws PawlError `invalid_option`, `invalid_environment` for keys or options that cannot be used
 */
export function requestVerifier(options: RequestVerifierOptions): RequestVerifier {
  refuseUnknownOptions("requestVerifier", options, [
    "keys",
    "issuer",
    "audience",
    "toleranceS",
    "maxAgeS",
    "requireExpiry",
    "now",
  ]);
  const keys = keyList(options.keys);
  checkSeconds("toleranceS", options.toleranceS ?? TOLERANCE_S_DEFAULT, 0);
  if (options.maxAgeS !== undefined) checkSeconds("maxAgeS", options.maxAgeS, 1);
  keys.forEach(candidateOf);
  return {
    verify: async (body, headers) => {
      checkRaw(body);
      const { token, task } = envelopeOf(textOf(body, contentTypeOf(headers)));
      const verified = await verifyToken(token, keys.map(candidateOf), claimRules(options));
      return { ...verified, task };
    },
  };
}

function keyList(keys: RequestVerifierOptions["keys"]): RequestKeyOptions[] {
  const list = (Array.isArray(keys) ? keys : [keys]) as (string | SecretRef | RequestKeyOptions)[];
  if (list.length >= 1 && list.length <= KEYS_MAX) {
    return list.map((one) => (typeof one === "string" || isSecretRef(one) ? { key: one } : one));
  }
  throw new PawlError(
    "invalid_option",
    `requestVerifier: expected \`keys\` to hold 1 to ${KEYS_MAX} keys, got ${list.length}`,
    { data: { option: "keys" } },
  );
}

function candidateOf(options: RequestKeyOptions): Candidate {
  refuseUnknownOptions("requestVerifier: a key", options, ["key", "kid", "algorithm"]);
  const { key, kid, algorithm } = options;
  const what = kid === undefined ? WHAT : `${WHAT} ${shown(kid)}`;
  const text = readSecret(key, what);
  const algorithms =
    algorithm === undefined ? algorithmsOf(text, what) : [checkAlgorithm(algorithm, what)];
  for (const one of algorithms) verifyingKey(text, one, what);
  return { text, kid, algorithms };
}

function checkSeconds(option: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least && value <= TOLERANCE_S_MAX) return;
  throw new PawlError(
    "invalid_option",
    `requestVerifier: expected \`${option}\` to be an integer from ${least} to ${TOLERANCE_S_MAX}, got ${shown(value)}`,
    { data: { option } },
  );
}

function claimRules(options: RequestVerifierOptions): JWTVerifyOptions {
  const { issuer, audience, maxAgeS, requireExpiry = true, now = Date.now } = options;
  return {
    ...(issuer !== undefined && { issuer }),
    ...(audience !== undefined && { audience }),
    ...(maxAgeS !== undefined && { maxTokenAge: maxAgeS }),
    requiredClaims: requireExpiry ? ["exp"] : [],
    clockTolerance: options.toleranceS ?? TOLERANCE_S_DEFAULT,
    currentDate: new Date(now()),
  };
}

/** @throws WebhookRejected `malformed` if it is neither an envelope nor a token */
function envelopeOf(text: string): { token: string; task: RequestTask | undefined } {
  const body = text.trim();
  if (!body.startsWith("{")) return { token: body, task: undefined };
  const { request, __task } = parseJson(body, "request") as { request?: unknown; __task?: unknown };
  if (typeof request === "string") return { token: request, task: readTask(__task) };
  throw new WebhookRejected("malformed", "request: the body has no token in `request`");
}

async function verifyToken(
  token: string,
  keys: readonly Candidate[],
  rules: JWTVerifyOptions,
): Promise<Omit<VerifiedRequest, "task">> {
  const { alg, kid } = headerOf(token);
  const fitting = keys.filter(
    (key) =>
      (kid === undefined || key.kid === undefined || key.kid === kid) &&
      (key.algorithms as readonly unknown[]).includes(alg),
  );
  const algorithm = alg as JwtAlgorithm;
  for (const { text } of fitting) {
    const key = verifyingKey(text, algorithm, WHAT);
    const claims = await claimsOf(token, key, { ...rules, algorithms: [algorithm] });
    if (claims !== undefined) return { claims, algorithm, kid };
  }
  throw new WebhookRejected(
    "bad_signature",
    "request: no known key fits its token; check that both sides have the same key and algorithm",
  );
}

function headerOf(token: string): { alg: unknown; kid: string | undefined } {
  try {
    const { alg, kid } = decodeProtectedHeader(token);
    return { alg, kid: typeof kid === "string" ? kid : undefined };
  } catch {
    throw new WebhookRejected("malformed", "request: the body holds no JWT");
  }
}

/** `undefined` when the signature is not this key's; all other faults are the token's. */
async function claimsOf(
  token: string,
  key: KeyObject,
  rules: JWTVerifyOptions,
): Promise<RequestClaims | undefined> {
  try {
    return (await jwtVerify(token, key, rules)).payload;
  } catch (error) {
    if (error instanceof errors.JWSSignatureVerificationFailed) return undefined;
    throw rejectionOf(error);
  }
}

function rejectionOf(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) {
    return new WebhookRejected("too_old", "request: its token has expired; check both clocks");
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    const isEarly =
      error.claim === "nbf" || (error.claim === "iat" && error.reason === "check_failed");
    if (isEarly) {
      return new WebhookRejected(
        "too_new",
        `request: its token counts only later (${error.claim})`,
      );
    }
    const how = error.reason === "missing" ? "is missing" : "is not what is expected";
    return new WebhookRejected("wrong_claim", `request: the claim \`${error.claim}\` ${how}`);
  }
  if (error instanceof errors.JOSEError) {
    return new WebhookRejected("malformed", "request: its token is not a JWT that can be read");
  }
  return error;
}
