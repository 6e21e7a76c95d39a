/**
 * Checks what is said about an HTTP source, when it is said. No message shows a secret, credentials of a URL, or the
 * value of a header.
 */

import type { Duration } from "../../base/duration.ts";
import { PawlError, shown } from "../../base/errors.ts";
import { refuseUnknownOptions } from "../../base/options.ts";
import { describeSecret, isSecretRef, readSecret, type SecretRef } from "../../base/secret.ts";
import { didYouMean } from "../../base/suggest.ts";
import { maskUrl } from "../../requests/mask-url.ts";
import { SOURCE_OPTIONS, type SourceOptions } from "../define-source.ts";
import { checkFields, describeField, type Field } from "./field.ts";
import { ITEM_FIELDS, type ItemFields } from "./item.ts";

export const PAGE_STYLES = ["id", "cursor", "offset", "timestamp"] as const;
export type PageStyle = (typeof PAGE_STYLES)[number];
export type TimestampUnit = "iso" | "seconds" | "milliseconds";

const BYTES_MAX = 256 * 1024 * 1024;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** What RFC 9110 section 5.5 allows in a value; CR and LF would begin a new header. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const RESERVED = [
  "accept-encoding",
  "connection",
  "content-length",
  "expect",
  "host",
  "if-none-match",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];
const UNITS: readonly TimestampUnit[] = ["iso", "seconds", "milliseconds"];

export interface HttpSourceOptions extends SourceOptions, ItemFields {
  /** Of the feed, without credentials; what stands in its query is sent each time. */
  url: string;
  /** By what the feed is paged: the last id, a cursor that each page names, a number of items, or a time. */
  page: PageStyle;
  /** Where the array of items stands in the body; default `""`, the body itself. */
  items?: Field;
  /** Where the body names the next cursor; `cursor` needs it. */
  next?: Field;
  /** Where the body says whether more is there now. Default: a full page, or a new cursor. */
  hasMore?: Field;
  /** Where the body says how many events we have not seen yet. */
  remaining?: Field;
  /** The parameter that carries the cursor; default `after`, `cursor`, `offset` or `since`. */
  afterParam?: string;
  /** The parameter that carries the limit; default `limit`; `false`: none is sent. */
  limitParam?: string | false;
  /** `timestamp`: so far back each page looks again for events that were committed late; default 1 min. */
  overlap?: Duration;
  /** `timestamp`: how the feed wants the time; default ISO 8601. */
  timestampUnit?: TimestampUnit;
  /** Further parameters of the query, secret ones included. */
  query?: Record<string, string | SecretRef>;
  /** Sent each time, as `{ authorization: env("FEED_AUTHORIZATION") }`. */
  headers?: Record<string, string | SecretRef>;
  /** The largest answer; default 16 MiB. */
  maxResponseBytes?: number;
}

const OPTIONS: readonly (keyof HttpSourceOptions)[] = [
  ...SOURCE_OPTIONS,
  ...ITEM_FIELDS,
  "url",
  "page",
  "items",
  "next",
  "hasMore",
  "remaining",
  "afterParam",
  "limitParam",
  "overlap",
  "timestampUnit",
  "query",
  "headers",
  "maxResponseBytes",
];

/** @throws PawlError `invalid_option`, `invalid_url` */
export function checkHttpOptions(where: string, options: HttpSourceOptions): void {
  refuseUnknownOptions(where, options, OPTIONS);
  const { page, items, next, hasMore, remaining, afterParam, limitParam } = options;
  if (!PAGE_STYLES.includes(page)) {
    const near = didYouMean(String(page), PAGE_STYLES);
    throw refused(where, "page", `"id", "cursor", "offset" or "timestamp" (${near})`, page);
  }
  const { id, eventName, occurredAt, payload, meta } = options;
  const ofItem = { id, eventName, occurredAt, payload, meta };
  checkFields(where, { items, next, hasMore, remaining, ...ofItem });
  checkStyle(where, options);
  if (!UNITS.includes(options.timestampUnit ?? "iso")) {
    throw refused(where, "timestampUnit", UNITS.join(", "), options.timestampUnit);
  }
  checkParams(where, { afterParam, ...(limitParam !== false && { limitParam }) });
}

/** What one way of paging needs, and another has no use for. */
function checkStyle(where: string, options: HttpSourceOptions): void {
  const { page, next, occurredAt, limitParam } = options;
  if (page === "cursor" && next === undefined) {
    throw refused(where, "next", "where the body names the next cursor", next);
  }
  if (page !== "cursor" && next !== undefined) {
    throw refused(where, "next", `left out: pages by ${page} name no cursor`, describeField(next));
  }
  if (page === "timestamp" && occurredAt === undefined) {
    throw refused(where, "occurredAt", "where an item has its time, by which it is paged", next);
  }
  if (page === "offset" && limitParam === false) {
    throw refused(where, "limitParam", "a name: an offset means nothing without a limit", false);
  }
  for (const option of ["overlap", "timestampUnit"] as const) {
    if (page !== "timestamp" && options[option] !== undefined) {
      throw refused(where, option, 'left out, unless `page` is "timestamp"', options[option]);
    }
  }
}

function checkParams(where: string, params: Record<string, unknown>): void {
  for (const [option, name] of Object.entries(params)) {
    if (name === undefined || (typeof name === "string" && name !== "")) continue;
    throw refused(where, option, "the name of a parameter of the query", name);
  }
}

/** @throws PawlError `invalid_url`; the value is shown without credentials and query */
export function feedUrl(where: string, text: unknown): URL {
  const bad = (problem: string, remedy: string) =>
    new PawlError("invalid_url", `${where}: the URL ${problem}; ${remedy}`, {
      data: { option: "url", ...(typeof text === "string" && { url: maskUrl(text) }) },
    });
  const url = typeof text === "string" && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) {
    throw bad("is none", 'write it whole, such as "https://erp.example/orders"');
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw bad(`${maskUrl(url)} has the protocol ${url.protocol}`, "use https: or http:");
  }
  if (url.username !== "" || url.password !== "") {
    throw bad(
      `${maskUrl(url)} holds credentials`,
      'move them into `headers`, such as { authorization: env("FEED_AUTHORIZATION") }',
    );
  }
  url.hash = "";
  return url;
}

type Values = Record<string, string | SecretRef>;

/** Names in lower case. @throws PawlError `invalid_option` naming the header, never its value */
export function feedHeaders(where: string, headers: Values = {}): Values {
  const checked = new Map<string, string | SecretRef>();
  for (const [given, value] of Object.entries(headers)) {
    const name = given.toLowerCase();
    const bad = (problem: string) => badValue(where, `header ${shown(given)} ${problem}`);
    if (!HEADER_NAME.test(name)) throw bad("is not the name of a header");
    if (RESERVED.includes(name)) throw bad("is set by Pawl; remove it");
    if (checked.has(name)) throw bad("is given twice; keep one");
    if (!isSecretRef(value)) refuseHeaderValue(where, given, value);
    checked.set(name, value);
  }
  return Object.fromEntries(checked);
}

/** @throws PawlError `invalid_option`, `invalid_environment` */
export function readFeedHeaders(where: string, headers: Values): Record<string, string> {
  const entries = Object.entries(headers).map(([name, ref]) => {
    const value = readSecret(ref, `${where}, header "${name}"`);
    refuseHeaderValue(where, name, value);
    return [name, value] as const;
  });
  return Object.fromEntries(entries);
}

function refuseHeaderValue(where: string, name: string, value: unknown): void {
  if (typeof value === "string" && HEADER_VALUE.test(value)) return;
  const problem =
    typeof value === "string"
      ? "has a line break or a character that headers cannot carry"
      : 'has no text as value; use text or env("NAME")';
  throw badValue(where, `header ${shown(name)} ${problem}`);
}

/** @throws PawlError `invalid_option` */
export function checkQuery(where: string, query: Values = {}, reserved: readonly string[]): Values {
  for (const [name, value] of Object.entries(query)) {
    const bad = (problem: string) => badValue(where, `parameter ${shown(name)} ${problem}`);
    if (reserved.includes(name)) throw bad("carries the cursor or the limit; remove it");
    if (typeof value !== "string" && !isSecretRef(value)) throw bad("has no text as value");
  }
  return query;
}

export function describeValues(values: Values): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, describeSecret(value)]),
  );
}

export function responseBytesMax(where: string, bytes: number): number {
  if (Number.isInteger(bytes) && bytes >= 1 && bytes <= BYTES_MAX) return bytes;
  throw refused(where, "maxResponseBytes", `a whole number from 1 to ${BYTES_MAX}`, bytes);
}

function badValue(where: string, problem: string): PawlError {
  return new PawlError("invalid_option", `${where}: the ${problem}`, {
    data: { option: problem.startsWith("header") ? "headers" : "query" },
  });
}

function refused(where: string, option: string, expected: string, value: unknown): PawlError {
  return new PawlError(
    "invalid_option",
    `${where}: expected \`${option}\` to be ${expected}, got ${shown(value)}`,
    { data: { option } },
  );
}
