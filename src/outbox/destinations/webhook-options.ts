/**
 * Checks what an app says about a webhook, when it says it: what would fail at every delivery is refused
 * at the definition. No message shows a secret or the value of a header.
 */

import { type Duration, durationMs, showDuration } from "../../base/duration.ts";
import { PawlError, shown } from "../../base/errors.ts";
import { isSecretRef, readSecret, type SecretRef } from "../../base/secret.ts";
import { type RetryPolicy, retrySeries } from "../../kernel/retry.ts";
import { maskUrl } from "../../requests/mask-url.ts";

const TIMEOUT_MS_MAX = 600_000;
const RESPONSE_BYTES_MAX = 1_048_576;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** What RFC 9110 section 5.5 allows in a value; CR and LF would begin a new header. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const RESERVED_PREFIXES = ["webhook-", "x-outbox-", "x-event-"];
const RESERVED = new Set([
  "connection",
  "content-length",
  "content-type",
  "expect",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** After the 1st failed attempt 1 min, then 2, 4, 8, 16, 32 min, 1 h 4 min, 2 h 8 min, 4 h 16 min, then dead. */
const RETRY_DEFAULT: RetryPolicy = {
  attempts: 10,
  delay: "60s",
  factor: 2,
  max: "12h",
  jitter: 0.1,
};

/** @throws PawlError `invalid_url`; the value is shown without credentials and query */
export function webhookUrl(text: string): URL {
  const url = typeof text === "string" && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) {
    throw badUrl(text, "is not a URL", 'write it whole, such as "https://erp.example/hooks"');
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw badUrl(text, `has the protocol ${url.protocol}`, "use https: or http:");
  }
  if (url.username !== "" || url.password !== "") {
    throw badUrl(
      text,
      "holds credentials",
      'move them into `headers`, such as { authorization: env("ERP_AUTHORIZATION") }',
    );
  }
  return url;
}

function badUrl(text: string, problem: string, remedy: string): PawlError {
  const url = URL.canParse(text) ? maskUrl(text) : shownRaw(text);
  return new PawlError("invalid_url", `webhook destination: the URL ${url} ${problem}; ${remedy}`, {
    data: { option: "url", url },
  });
}

/** What cannot be parsed cannot be masked part by part: all before an `@` and after a `?` is left out. */
function shownRaw(text: unknown): string {
  if (typeof text !== "string") return `(of type ${typeof text})`;
  return shown(text.replace(/[?#].*$/s, "").replace(/^.*@/s, "***@"));
}

/** Names in lower case. @throws PawlError `invalid_option` naming the header */
export function customHeaders(
  headers: Record<string, string | SecretRef>,
): Record<string, string | SecretRef> {
  const checked = new Map<string, string | SecretRef>();
  for (const [given, value] of Object.entries(headers)) {
    const name = given.toLowerCase();
    if (!HEADER_NAME.test(name)) throw badHeader(given, "is not the name of a header");
    if (RESERVED.has(name) || RESERVED_PREFIXES.some((prefix) => name.startsWith(prefix))) {
      throw badHeader(given, "is set by Pawl and cannot be replaced; remove it");
    }
    if (checked.has(name)) throw badHeader(given, "is given twice; keep one");
    checked.set(name, isSecretRef(value) ? value : headerValue(given, value));
  }
  return Object.fromEntries(checked);
}

/** The values to send, those of environment variables included. */
export function readHeaders(headers: Record<string, string | SecretRef>): Record<string, string> {
  const entries = Object.entries(headers).map(
    ([name, value]) =>
      [name, headerValue(name, readSecret(value, `webhook header "${name}"`))] as const,
  );
  return Object.fromEntries(entries);
}

function headerValue(name: string, value: unknown): string {
  if (typeof value !== "string")
    throw badHeader(name, 'has no text as value; use text or env("NAME")');
  if (HEADER_VALUE.test(value)) return value;
  throw badHeader(name, "has a value with a line break or a character that headers cannot carry");
}

function badHeader(name: string, problem: string): PawlError {
  return new PawlError(
    "invalid_option",
    `webhook destination: the header ${shown(name)} ${problem}`,
    { data: { option: "headers", header: name } },
  );
}

export function webhookTimeoutMs(timeout: Duration): number {
  return within(durationMs(timeout, "timeout"), TIMEOUT_MS_MAX, "timeout", showDuration);
}

export function webhookResponseBytes(bytes: number): number {
  return within(bytes, RESPONSE_BYTES_MAX, "maxResponseBytes", (value) => `${value} bytes`);
}

function within(
  value: number,
  max: number,
  option: string,
  show: (value: number) => string,
): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new PawlError(
    "invalid_option",
    `webhook destination: expected \`${option}\` to be from ${show(1)} to ${show(max)}, got ${shown(value)}`,
    { data: { option, value } },
  );
}

/** The app's policy over the default; a list of delays replaces the formula and its number of attempts. */
export function webhookRetry(retry: RetryPolicy = {}): RetryPolicy {
  const policy =
    retry.delays === undefined ? { ...RETRY_DEFAULT, ...retry } : { jitter: 0.1, ...retry };
  retrySeries(policy, "retry");
  return policy;
}
