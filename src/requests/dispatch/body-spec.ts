/** The body of a request: text, such as a JWT that somebody else has signed, or a JWT that is signed for each attempt. */

import { DURATION_MS_MAX, type Duration } from "../../base/duration.ts";
import { PawlError } from "../../base/errors.ts";
import { toJson } from "../../base/json.ts";
import type { RawJson } from "../../base/json-text.ts";
import { badOption } from "../../base/options.ts";
import { PAYLOAD_BYTES_MAX } from "../../kernel/payload.ts";
import { type Field, field, required, type ValueOf, withDefault } from "../../options/field.ts";
import { duration, flag, matching } from "../../options/kinds.ts";
import { anything, group } from "../../options/parts.ts";
import { checkClaims, type JwtClaims } from "../keys/index.ts";
import type { RequestPayload } from "./payload.ts";

export interface BodySpec {
  /** Any text, such as a signed JWT. With `envelope: false` it may also be plain data, sent as JSON, or missing. */
  body?: unknown;
  /** A JWT to sign again for each attempt, instead of `body`. */
  jwt?: JwtSpec;
  /** false: only the body is sent. Default: `{"request": body, "__task": {"createdAt", "attempt"}}`. */
  envelope?: boolean;
  /**
   * Content type of a body that is sent alone; default `text/plain`, `application/json` for data, `application/jwt` for a
   * JWT.
   */
  contentType?: string;
}

export interface JwtSpec {
  /** All claims except `iat`, `exp` and `jti`, which Pawl sets. Use `rawJson(text)` for numbers that JavaScript cannot hold. */
  claims: JwtClaims | RawJson;
  /** Name of a key, from the app's `keys` or from `pawl keys`. */
  key: string;
  /**
   * How long each token is valid, never beyond the request's expiry; default 5 min. If given, it also sets the request's
   * expiry, unless that is given.
   */
  ttl?: Duration;
}

type ReadJwt = Omit<JwtSpec, "ttl"> & { ttl?: number };

const TTL_MS_MIN = 1_000;
const CONTENT_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:;[\x20-\x7e]*)?$/;

export const BODY_FIELDS: {
  readonly body: Field<unknown>;
  readonly jwt: Field<JwtSpec, ReadJwt>;
  readonly envelope: Field<boolean, boolean, "default">;
  readonly contentType: Field<string>;
} = {
  body: anything("any text; alone also plain data"),
  jwt: group("signed again at each try", {
    claims: required(anything<JwtSpec["claims"]>("read by `checkClaims`")),
    key: required(
      // a secret in the place of its name must not get into a message
      field<string>({
        kind: "name",
        help: "the name of a key",
        shape: "name",
        expected: "the name of a key",
        isSecret: true,
        read: (given) => (typeof given === "string" && given !== "" ? given : undefined),
      }),
    ),
    ttl: duration({
      help: "how long each token is valid",
      minMs: TTL_MS_MIN,
      maxMs: DURATION_MS_MAX,
    }),
  }),
  envelope: withDefault(true, flag("false: the body is sent alone")),
  contentType: matching('a media type such as "text/plain"', (text) => CONTENT_TYPE.test(text)),
};

/** @throws PawlError `invalid_option` naming the field, `payload_too_large` */
export function requestBody({
  body,
  jwt,
  envelope,
  contentType,
}: ValueOf<typeof BODY_FIELDS>): Pick<RequestPayload, "body" | "jwt" | "envelope" | "contentType"> {
  if (body !== undefined && jwt !== undefined)
    throw badOption("request", "jwt", "left out when `body` is given", typeof jwt);
  if (envelope && contentType !== undefined)
    throw badOption("request", "contentType", "left out unless `envelope` is false", contentType);
  const type = (standard: string) => (envelope ? {} : { contentType: contentType ?? standard });
  if (jwt !== undefined) return { jwt: checkedJwt(jwt), envelope, ...type("application/jwt") };
  if (typeof body === "string") return { body, envelope, ...type("text/plain; charset=utf-8") };
  if (envelope) throw badOption("request", "body", "a text, or `jwt` to be given", typeof body);
  if (body === undefined) return { envelope };
  return { body: jsonText(body), envelope, ...type("application/json") };
}

function checkedJwt({ claims, key, ttl }: ReadJwt): NonNullable<RequestPayload["jwt"]> {
  checkClaims(claims);
  return { claims, key, ...(ttl !== undefined && { ttlMs: ttl }) };
}

/**
 * Checked like payloads: what JSON would lose is refused, and depth, digits and bytes are limited.
 * @throws PawlError `invalid_option` naming the part that is not JSON, `payload_too_large`
 */
function jsonText(body: unknown): string {
  const what = "body";
  try {
    return toJson(body, { what, bytesMax: PAYLOAD_BYTES_MAX });
  } catch (error) {
    if (!(error instanceof PawlError)) throw error;
    const code = error.code === "payload_too_large" ? error.code : "invalid_option";
    throw new PawlError(code, `request: ${error.message}`, {
      data: { ...error.data, option: "body" },
    });
  }
}
