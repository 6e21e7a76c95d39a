/** The body of a request: a text, such as a JWT that somebody else has signed, or a JWT that is signed at each try. */

import { type Duration, durationMs } from "../../base/duration.ts";
import { badOption, refuseUnknownOptions } from "../../base/options.ts";
import { checkClaims, type JwtClaims } from "../keys/index.ts";
import type { RequestPayload } from "./payload.ts";

export interface BodySpec {
  /** Any text, such as a signed JWT. With `envelope: false` also plain data, which is sent as JSON; or none. */
  body?: unknown;
  /** Signed anew at each try. */
  jwt?: JwtSpec;
  /** false: the body is sent alone. Default: `{"request": body, "__task": {"createdAt", "attempt"}}`. */
  envelope?: boolean;
  /** Of a body that is sent alone; default `text/plain`, `application/json` for data, `application/jwt` for a JWT. */
  contentType?: string;
}

export interface JwtSpec {
  /** All but `iat`, `exp` and `jti`, which are Pawl's. */
  claims: JwtClaims;
  /** The name of a key: of `keys` in the app, or of `pawl keys`. */
  key: string;
  /** How long each token is good for, never beyond the expiry; default 5 min. Given, it sets the request's expiry too, unless that is given. */
  ttl?: Duration;
}

const TTL_MS_MIN = 1_000;
const CONTENT_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:;[\x20-\x7e]*)?$/;

/** @throws PawlError `invalid_option` naming the field */
export function requestBody(
  spec: BodySpec,
): Pick<RequestPayload, "body" | "jwt" | "envelope" | "contentType"> {
  const { body, jwt, envelope = true, contentType } = spec;
  if (typeof envelope !== "boolean") throw badOption("send", "envelope", "true or false", envelope);
  if (body !== undefined && jwt !== undefined)
    throw badOption("send", "jwt", "left out beside `body`", typeof jwt);
  checkContentType(contentType, envelope);
  const type = (standard: string) => (envelope ? {} : { contentType: contentType ?? standard });
  if (jwt !== undefined) return { jwt: checkedJwt(jwt), envelope, ...type("application/jwt") };
  if (typeof body === "string") return { body, envelope, ...type("text/plain; charset=utf-8") };
  if (envelope) throw badOption("send", "body", "a text, or `jwt` to be given", typeof body);
  if (body === undefined) return { envelope };
  return { body: jsonText(body), envelope, ...type("application/json") };
}

function checkedJwt(jwt: JwtSpec): NonNullable<RequestPayload["jwt"]> {
  refuseUnknownOptions("send: jwt", jwt, ["claims", "key", "ttl"]);
  checkClaims(jwt.claims);
  if (typeof jwt.key !== "string" || jwt.key === "") {
    // a secret in the place of its name must not get into a message
    throw badOption("send", "jwt.key", "the name of a key", typeof jwt.key);
  }
  const { claims, key, ttl } = jwt;
  if (ttl === undefined) return { claims, key };
  const ttlMs = durationMs(ttl, "jwt.ttl");
  if (ttlMs < TTL_MS_MIN)
    throw badOption("send", "jwt.ttl", "at least 1 s, as tokens know no less", ttl);
  return { claims, key, ttlMs };
}

function checkContentType(contentType: unknown, envelope: boolean): void {
  if (contentType === undefined) return;
  if (envelope)
    throw badOption("send", "contentType", "left out unless `envelope` is false", contentType);
  if (typeof contentType === "string" && CONTENT_TYPE.test(contentType)) return;
  throw badOption("send", "contentType", 'a media type such as "text/plain"', contentType);
}

function jsonText(body: unknown): string {
  try {
    const text = JSON.stringify(body) as string | undefined;
    if (text !== undefined) return text;
  } catch {
    // said below
  }
  throw badOption("send", "body", "a text, or plain data that is JSON", typeof body);
}
