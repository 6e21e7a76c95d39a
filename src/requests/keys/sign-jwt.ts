/** Signs the token of one try of a request. `iat`, `exp` and `jti` are Pawl's; all other claims the caller's. */

import { randomUUID } from "node:crypto";
import { CompactSign } from "jose";
import { PawlError, shown } from "../../base/errors.ts";
import { toJson } from "../../base/json.ts";
import { RawJson, withFields } from "../../base/json-text.ts";
import { messageOf } from "../../base/thrown.ts";
import { readSecret } from "../../secrets/secret.ts";
import { signingKey } from "../../webhooks/jwt-keys.ts";
import { type JwtKey, whatOf } from "./key.ts";

/** Long enough for clocks that differ: a token is signed again at each try. */
export const JWT_TTL_MS_DEFAULT = 300_000;
/** A token is valid for at least this long when it is written; otherwise it is not sent. */
const VALID_MS_MIN = 1_000;
/** From the signing to the write, on a connection that is near. */
const WAY_MS = 250;
/** The largest that an app may permit for a request as a whole. */
const CLAIMS_BYTES_MAX = 64 * 1_048_576;
const OWN_CLAIMS: Record<string, string> = {
  iat: "it is the time of signing",
  exp: "set `ttlMs` or `expiresAtMs`",
  jti: "set `jti` beside the claims",
};

export interface JwtClaims {
  iss?: string;
  aud?: string | string[];
  cid?: string | number;
  plugin?: { alias: string; id: string | number };
  body?: unknown;
  [claim: string]: unknown;
}

export interface SignJwtOptions {
  /** As `RawJson` they are signed digit by digit, as they stand there. */
  claims: JwtClaims | RawJson;
  key: JwtKey;
  /** From now; default 5 min. `exp` is a whole second. */
  ttlMs?: number;
  /** `exp` never lies after it. */
  expiresAtMs?: number;
  /** The same at every try of one request, for receivers to drop duplicates by; default random. */
  jti?: string;
  /** Milliseconds since 1970. */
  nowMs?: number;
}

export interface SignedJwt {
  token: string;
  /** Milliseconds since 1970: written later, it would be valid for less than a second. */
  sendByMs: number;
}

/**
 * Signs with the key's current secret; its `kid`, if it has one, is put into the header.
 *
 * @throws PawlError `invalid_option` for claims that Pawl sets itself or that are not JSON, or for a token that would be
 * valid for less than a second; `invalid_environment` if a secret is missing
 */
export async function signJwt(options: SignJwtOptions): Promise<string> {
  return (await signForSending(options)).token;
}

/** The same, with the time until which it may be sent. */
export async function signForSending(options: SignJwtOptions): Promise<SignedJwt> {
  const { claims, key, nowMs = Date.now() } = options;
  const exp = expiryS(options, nowMs);
  checkClaims(claims);
  const payload = withFields(claimsText(claims), {
    iat: Math.floor(nowMs / 1_000),
    exp,
    jti: options.jti ?? randomUUID(),
  });
  const header = {
    alg: key.algorithm,
    typ: "JWT",
    ...(key.kid !== undefined && { kid: key.kid }),
  };
  const what = whatOf(key.name);
  const [current = ""] = key.secrets;
  const secret = signingKey(readSecret(current, what), key.algorithm, what);
  const token = await new CompactSign(Buffer.from(payload)).setProtectedHeader(header).sign(secret);
  return { token, sendByMs: exp * 1_000 - VALID_MS_MIN };
}

/** @throws PawlError `invalid_option` if it is not JSON */
function claimsText(claims: JwtClaims | RawJson): string {
  if (claims instanceof RawJson) return claims.text;
  try {
    return toJson(claims, { what: "claims", bytesMax: CLAIMS_BYTES_MAX });
  } catch (error) {
    throw badClaim("claims", messageOf(error));
  }
}

/** Unix seconds: `ttlMs` from now, or as soon as the token would be valid for long enough, and never after the expiry. */
function expiryS(
  { ttlMs = JWT_TTL_MS_DEFAULT, expiresAtMs }: SignJwtOptions,
  nowMs: number,
): number {
  const wanted = ttlMs > 0 ? Math.floor((nowMs + ttlMs) / 1_000) : Number.NaN;
  const first = Math.ceil((nowMs + VALID_MS_MIN + WAY_MS) / 1_000);
  const last = Math.floor((expiresAtMs ?? Number.POSITIVE_INFINITY) / 1_000);
  const exp = Math.min(Math.max(wanted, first), last);
  if (Number.isSafeInteger(exp) && exp * 1_000 - nowMs >= VALID_MS_MIN) return exp;
  throw badClaim(
    "ttlMs",
    "the token would be valid for less than a second; check `ttlMs` and `expiresAtMs`",
  );
}

/** Refuses at the call what would be refused at each try. @throws PawlError `invalid_option` */
export function checkClaims(given: JwtClaims | RawJson): void {
  const claims = given instanceof RawJson ? (given.toJSON() as JwtClaims) : given;
  if (claims === null || typeof claims !== "object" || Array.isArray(claims)) {
    throw badClaim("claims", `expected \`claims\` to be an object, got ${shown(claims)}`);
  }
  for (const [name, instead] of Object.entries(OWN_CLAIMS)) {
    if (claims[name] === undefined) continue;
    throw badClaim(name, `the claim \`${name}\` is set by Pawl: ${instead}`);
  }
  for (const name of ["iss", "aud"]) {
    const value = claims[name];
    const isList = name === "aud" && Array.isArray(value);
    const texts = isList ? (value as unknown[]) : [value];
    if (
      value === undefined ||
      (texts.length > 0 && texts.every((one) => typeof one === "string"))
    ) {
      continue;
    }
    throw badClaim(name, `expected the claim \`${name}\` to be a text, got ${shown(value)}`);
  }
}

function badClaim(option: string, message: string): PawlError {
  return new PawlError("invalid_option", `jwt: ${message}`, { data: { option } });
}
