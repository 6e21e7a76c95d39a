/** What `pawl.send` takes. All of it is checked at the call; what comes out is the payload of a task. */

import { randomUUID } from "node:crypto";
import { type Duration, durationMs } from "../../base/duration.ts";
import { badOption, refuseUnknownOptions } from "../../base/options.ts";
import { didYouMean } from "../../base/suggest.ts";
import { refuseForbiddenUrl } from "../sender.ts";
import { type BodySpec, requestBody } from "./body-spec.ts";
import { type StatusCodes, statusCodes, stopCodes } from "./codes.ts";
import { METHODS, type RequestMethod, type RequestPayload } from "./payload.ts";
import { requestUrl } from "./request-url.ts";

export interface RequestSpec extends BodySpec {
  method: RequestMethod;
  /** http or https, without credentials. */
  url: string;
  /** Answers that end it well: `202`, `"2xx"`, `"500-599"`; default `["2xx"]`. */
  success?: readonly StatusCodes[];
  /** Answers after which it is not tried again. 418 always is one: the receiver has archived us. */
  stop?: readonly StatusCodes[];
  /** Not sent after this time. Default: `expiresIn`, else the `ttl` of the JWT, else never. */
  expiresAt?: Date;
  /** The same, so much from now, by the database's clock. */
  expiresIn?: Duration;
  /** Tries in all, at most 32,000. Default: the time to the expiry divided by the interval, at least 1; without expiry 1440. */
  attempts?: number;
  /** From a failed try to the next; default 60 s. `Retry-After` of the answer can only make it longer. */
  interval?: Duration;
  /** Over connecting, TLS, headers and body; default 30 s, at most 10 min. */
  timeout?: Duration;
  /** Not before this time. */
  runAt?: Date;
  /** Whose request it is: kept with it, shown, and what lists can be filtered by. */
  tenant?: Tenant;
}

export interface Tenant {
  company?: string | number;
  plugin?: string | number;
}

/** A checked request: its payload, and what the kernel wants to know of it. */
export interface CheckedRequest {
  payload: RequestPayload;
  tenant: { company?: string; plugin?: string } | undefined;
  runAt: Date | undefined;
}

export const REQUEST_TIMEOUT_MS_MAX = 600_000;
const INTERVAL_DEFAULT: Duration = "60s";
const TIMEOUT_DEFAULT: Duration = "30s";
/** 24 hours at an interval of a minute. */
const ATTEMPTS_DEFAULT = 1_440;
const ATTEMPTS_MAX = 32_000;
const SLACK_MS_MAX = 5_000;
/** The kernel's timestamps and counters take it, and nobody means more. */
const EXPIRY_MS_MAX = 10 * 365 * 86_400_000;
const TENANT_CHARS_MAX = 200;
const OPTIONS = [
  "method",
  "url",
  "body",
  "jwt",
  "envelope",
  "contentType",
  "success",
  "stop",
  "expiresAt",
  "expiresIn",
  "attempts",
  "interval",
  "timeout",
  "runAt",
  "tenant",
] as const satisfies ReadonlyArray<keyof RequestSpec>;

/**
 * @param allow the private hosts that the app permits
 * @throws PawlError `invalid_option` naming the field, `invalid_url`, `address_forbidden`
 */
export function checkRequest(spec: RequestSpec, allow: readonly string[]): CheckedRequest {
  refuseUnknownOptions("send", spec, OPTIONS);
  const url = requestUrl(spec.url);
  refuseForbiddenUrl(url, allow);
  const body = requestBody(spec);
  const success = statusCodes(spec.success ?? ["2xx"], "success");
  if (success.length === 0)
    throw badOption("send", "success", "at least one status code", spec.success);
  const intervalMs = duration("interval", spec.interval ?? INTERVAL_DEFAULT, EXPIRY_MS_MAX);
  const runAt = spec.runAt === undefined ? undefined : validDate("runAt", spec.runAt);
  const expiry = expiryOf(spec);
  return {
    payload: {
      id: randomUUID(),
      method: method(spec.method),
      url: url.href,
      host: url.host,
      ...body,
      success,
      stop: stopCodes(spec.stop ?? [], "stop"),
      attempts: attemptsOf(spec.attempts, { expiry, intervalMs, runAt }),
      intervalMs,
      timeoutMs: duration("timeout", spec.timeout ?? TIMEOUT_DEFAULT, REQUEST_TIMEOUT_MS_MAX),
      ...expiry,
    },
    tenant: spec.tenant === undefined ? undefined : tenantOf(spec.tenant),
    runAt,
  };
}

function method(value: unknown): RequestMethod {
  const found = METHODS.find((one) => one === value);
  if (found !== undefined) return found;
  throw badOption("send", "method", didYouMean(String(value).toUpperCase(), METHODS), value);
}

type Expiry = Pick<RequestPayload, "expiresAtMs" | "expiresInMs">;

function expiryOf({ expiresAt, expiresIn, jwt }: RequestSpec): Expiry {
  if (expiresAt !== undefined && expiresIn !== undefined) {
    throw badOption("send", "expiresIn", "left out beside `expiresAt`", expiresIn);
  }
  if (expiresAt !== undefined) return { expiresAtMs: validDate("expiresAt", expiresAt).getTime() };
  if (expiresIn !== undefined)
    return { expiresInMs: duration("expiresIn", expiresIn, EXPIRY_MS_MAX) };
  if (jwt?.ttl === undefined) return {};
  return { expiresInMs: duration("jwt.ttl", jwt.ttl, EXPIRY_MS_MAX) };
}

function attemptsOf(
  given: number | undefined,
  { expiry, intervalMs, runAt }: { expiry: Expiry; intervalMs: number; runAt: Date | undefined },
): number {
  if (given !== undefined) {
    if (Number.isInteger(given) && given >= 1 && given <= ATTEMPTS_MAX) return given;
    throw badOption("send", "attempts", `an integer from 1 to ${ATTEMPTS_MAX}`, given);
  }
  const { expiresAtMs, expiresInMs } = expiry;
  // a time is computed a moment before the call, and often in whole seconds
  const slackMs = Math.min(intervalMs / 10, SLACK_MS_MAX);
  const startMs = Math.max(runAt?.getTime() ?? 0, Date.now());
  const leftMs = expiresAtMs === undefined ? expiresInMs : expiresAtMs - startMs + slackMs;
  if (leftMs === undefined) return ATTEMPTS_DEFAULT;
  return Math.min(Math.max(Math.floor(leftMs / intervalMs), 1), ATTEMPTS_MAX);
}

function tenantOf(tenant: Tenant): { company?: string; plugin?: string } {
  refuseUnknownOptions("send: tenant", tenant, ["company", "plugin"]);
  const entries = Object.entries(tenant).filter(([, value]) => value !== undefined);
  for (const [name, value] of entries) {
    const text = typeof value === "number" || typeof value === "string" ? String(value) : "";
    if (text !== "" && text.length <= TENANT_CHARS_MAX && text.isWellFormed()) continue;
    throw badOption(
      "send",
      `tenant.${name}`,
      `a text of 1 to ${TENANT_CHARS_MAX} characters`,
      value,
    );
  }
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]));
}

function duration(name: string, value: Duration, max: number): number {
  const ms = durationMs(value, name);
  if (ms >= 1 && ms <= max) return ms;
  throw badOption("send", name, `from 1 to ${max} milliseconds`, value);
}

function validDate(name: string, value: unknown): Date {
  const isValid = value instanceof Date && Number.isFinite(value.getTime());
  if (isValid && Math.abs(value.getTime() - Date.now()) <= EXPIRY_MS_MAX) return value;
  throw badOption("send", name, "a Date within ten years", value);
}
