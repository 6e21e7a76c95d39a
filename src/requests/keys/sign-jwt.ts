/** Signs the token of one try of a request. `iat`, `exp` and `jti` are Pawl's; all other claims the caller's. */

import { randomUUID } from "node:crypto";
import { SignJWT } from "jose";
import { PawlError, shown } from "../../base/errors.ts";
import { readSecret } from "../../base/secret.ts";
import { signingKey } from "../../webhooks/jwt-keys.ts";
import { type JwtKey, whatOf } from "./key.ts";

/** Long enough for clocks that differ: a token is signed anew at each try. */
export const JWT_TTL_MS_DEFAULT = 300_000;
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
  claims: JwtClaims;
  key: JwtKey;
  /** From now; default 5 min. */
  ttlMs?: number;
  /** `exp` never lies after it. */
  expiresAtMs?: number;
  /** The same at every try of one request, for receivers to drop duplicates by; default random. */
  jti?: string;
  /** Milliseconds since 1970. */
  nowMs?: number;
}

/**
 * Signed with the key's current secret; its `kid`, where it has one, stands in the header.
 *
 * @throws PawlError `invalid_option` for claims that are Pawl's own, or that are no JSON; `invalid_environment`
 * for a secret that is missing
 */
export async function signJwt(options: SignJwtOptions): Promise<string> {
  const { claims, key, ttlMs = JWT_TTL_MS_DEFAULT, expiresAtMs, nowMs = Date.now() } = options;
  const payload = ownClaims(claims, {
    iat: Math.floor(nowMs / 1_000),
    exp: Math.floor(Math.min(nowMs + ttlMs, expiresAtMs ?? Number.POSITIVE_INFINITY) / 1_000),
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
  return new SignJWT(payload).setProtectedHeader(header).sign(secret);
}

/** Refuses at the call what would be refused at each try. @throws PawlError `invalid_option` */
export function checkClaims(claims: JwtClaims): void {
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

function ownClaims(
  claims: JwtClaims,
  own: { iat: number; exp: number; jti: string },
): Record<string, unknown> {
  checkClaims(claims);
  if (!Number.isSafeInteger(own.exp) || own.exp < own.iat) {
    throw badClaim(
      "ttlMs",
      "the token would expire before it is signed; check `ttlMs` and `expiresAtMs`",
    );
  }
  return { ...claims, ...own };
}

function badClaim(option: string, message: string): PawlError {
  return new PawlError("invalid_option", `jwt: ${message}`, { data: { option } });
}
