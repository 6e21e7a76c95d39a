/** The options of `pawl.request`. All are checked at the call, and made into the payload of a task. */

import { randomUUID } from "node:crypto";
import type { Duration } from "../../base/duration.ts";
import { badOption } from "../../base/options.ts";
import { isName } from "../../base/text.ts";
import {
  type FieldsOf,
  field,
  mapped,
  type Place,
  readOptions,
  required,
  type ValueOf,
  withDefault,
  wrong,
} from "../../options/field.ts";
import { choice, duration, integer, time } from "../../options/kinds.ts";
import { anything, group } from "../../options/parts.ts";
import { httpUrl } from "../../sender/http-url.ts";
import { refuseForbiddenUrl } from "../../sender/sender.ts";
import { BODY_FIELDS, type BodySpec, requestBody } from "./body-spec.ts";
import { type StatusCodes, statusCodes, stopCodes } from "./codes.ts";
import { METHODS, type RequestMethod, type RequestPayload } from "./payload.ts";

export interface RequestSpec extends BodySpec {
  method: RequestMethod;
  /** http or https, without credentials. */
  url: string;
  /** Statuses that mean success: `202`, `"2xx"`, `"500-599"`; default `["2xx"]`. */
  success?: readonly StatusCodes[];
  /** Statuses after which it is not tried again. 418 always is one: the receiver has archived us. */
  stop?: readonly StatusCodes[];
  /** It is not sent after this time. Default: from `expiresIn`, else from the JWT's `ttl`, else no expiry. */
  expiresAt?: Date;
  /** The expiry as a time from now, by the database's clock. */
  expiresIn?: Duration;
  /**
   * Maximum number of attempts, up to 32,000. Default: the time to the expiry divided by the interval, at least 1; without
   * expiry 1440.
   */
  attempts?: number;
  /** Time from a failed attempt to the next; default 60 s. An answer's `Retry-After` can only make it longer. */
  interval?: Duration;
  /** Time limit of one attempt (connecting, TLS, headers and body); default 30 s, at most 10 min. */
  timeout?: Duration;
  /** The earliest start. */
  runAt?: Date;
  /** Whose request it is: stored with it, shown, and usable as a filter of lists. */
  tenant?: Tenant;
}

export interface Tenant {
  company?: string | number;
  plugin?: string | number;
}

/** A checked request: its payload, and what the kernel needs to know. */
export interface CheckedRequest {
  payload: RequestPayload;
  tenant: { company?: string; plugin?: string } | undefined;
  runAt: Date | undefined;
}

export const REQUEST_TIMEOUT_MS_MAX = 600_000;
const URL_CHARS_MAX = 8_000;
/** 24 hours at an interval of a minute. */
const ATTEMPTS_DEFAULT = 1_440;
const ATTEMPTS_MAX = 32_000;
const SLACK_MS_MAX = 5_000;
/** Shortest expiry of a request that expires with its token: enough time to send it. */
const EXPIRY_BY_TTL_MS_MIN = 3_000;
/** The kernel's timestamps and counters take it, and nobody means more. */
const EXPIRY_MS_MAX = 10 * 365 * 86_400_000;
const TENANT_CHARS_MAX = 200;
const span = (help: string, maxMs: number = EXPIRY_MS_MAX) => duration({ help, minMs: 1, maxMs });
const moment = (help: string) => mapped(time(help), refuseFar);
const whose = field<string | number, string>({
  kind: "name",
  help: "kept with the request",
  shape: "name",
  expected: `a text of 1 to ${TENANT_CHARS_MAX} characters that PostgreSQL can store (no \\u0000, no half of an emoji)`,
  read: (given) => {
    const text = typeof given === "number" ? String(given) : given;
    return isName(text, TENANT_CHARS_MAX) ? text : undefined;
  },
});
const FIELDS = {
  ...BODY_FIELDS,
  method: required(choice(METHODS)),
  url: anything<string>("read by `httpUrl`"),
  success: withDefault(["2xx"], anything<readonly StatusCodes[]>("read by `statusCodes`")),
  stop: withDefault([], anything<readonly StatusCodes[]>("read by `stopCodes`")),
  expiresAt: moment("not sent after this time"),
  expiresIn: span("the same, so much from now"),
  attempts: integer({ help: "maximum number of attempts", max: ATTEMPTS_MAX }),
  interval: withDefault("60s", span("from a failed try to the next")),
  timeout: withDefault("30s", span("over the whole exchange", REQUEST_TIMEOUT_MS_MAX)),
  runAt: moment("start at this time or later"),
  tenant: group("whose request it is", { company: whose, plugin: whose }),
} satisfies FieldsOf<RequestSpec>;
type Read = ValueOf<typeof FIELDS>;

/**
 * @param allow the private hosts that the app permits
 * @throws PawlError `invalid_option` naming the field, `invalid_url`, `address_forbidden`
 */
export function checkRequest(spec: RequestSpec, allow: readonly string[]): CheckedRequest {
  const read = readOptions("request", FIELDS, spec);
  const credentials = "they would be kept with the request; leave them out";
  const url = httpUrl(read.url, { where: "request", credentials, charsMax: URL_CHARS_MAX });
  url.hash = "";
  refuseForbiddenUrl(url, allow);
  const body = requestBody(read);
  const success = statusCodes(read.success, "success");
  if (success.length === 0)
    throw badOption("request", "success", "at least one status code", read.success);
  const expiry = expiryOf(read);
  return {
    payload: {
      id: randomUUID(),
      method: read.method,
      url: url.href,
      host: url.host,
      ...body,
      success,
      stop: stopCodes(read.stop, "stop"),
      attempts: read.attempts ?? attemptsFor(read, expiry),
      intervalMs: read.interval,
      timeoutMs: read.timeout,
      ...expiry,
    },
    tenant: read.tenant,
    runAt: read.runAt,
  };
}

type Expiry = Pick<RequestPayload, "expiresAtMs" | "expiresInMs">;

function expiryOf({ expiresAt, expiresIn, jwt }: Read): Expiry {
  if (expiresAt !== undefined && expiresIn !== undefined)
    throw badOption("request", "expiresIn", "left out when `expiresAt` is given", expiresIn);
  if (expiresAt !== undefined) return { expiresAtMs: expiresAt.getTime() };
  if (expiresIn !== undefined) return { expiresInMs: expiresIn };
  if (jwt?.ttl === undefined) return {};
  return { expiresInMs: Math.max(jwt.ttl, EXPIRY_BY_TTL_MS_MIN) };
}

function attemptsFor({ interval: intervalMs, runAt }: Read, expiry: Expiry): number {
  const { expiresAtMs, expiresInMs } = expiry;
  // a time is computed a moment before the call, and often in whole seconds
  const slackMs = Math.min(intervalMs / 10, SLACK_MS_MAX);
  const startMs = Math.max(runAt?.getTime() ?? 0, Date.now());
  const leftMs = expiresAtMs === undefined ? expiresInMs : expiresAtMs - startMs + slackMs;
  if (leftMs === undefined) return ATTEMPTS_DEFAULT;
  return Math.min(Math.max(Math.floor(leftMs / intervalMs), 1), ATTEMPTS_MAX);
}

function refuseFar(given: Date, place: Place): Date {
  if (Math.abs(given.getTime() - Date.now()) <= EXPIRY_MS_MAX) return given;
  throw wrong(place, "a Date within ten years", given);
}
