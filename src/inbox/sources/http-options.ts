/**
 * Checks the options of an HTTP source when it is defined. No message shows a secret, credentials of a URL, or the value of
 * a header.
 */

import { DURATION_MS_MAX, type Duration } from "../../base/duration.ts";
import { PawlError, shown } from "../../base/errors.ts";
import { badOption } from "../../base/options.ts";
import { type FieldsOf, required, type ValueOf, withDefault } from "../../options/field.ts";
import { choice, duration, integer, matching } from "../../options/kinds.ts";
import { anything, object, orOff } from "../../options/parts.ts";
import { describeSecret, isSecretRef, type SecretRef } from "../../secrets/secret.ts";
import type { HeaderValues } from "../../sender/http-headers.ts";
import { readSource, type SourceKind, type SourceOptions } from "../define-source.ts";
import type { SourceBase } from "../source.ts";
import { describeField, FIELD, type Field } from "./field.ts";
import { ITEM_FIELDS, type ItemFields } from "./item.ts";

const PAGE_STYLES = ["id", "cursor", "offset", "timestamp"] as const;
export type PageStyle = (typeof PAGE_STYLES)[number];
export type TimestampUnit = "iso" | "seconds" | "milliseconds";

const BYTES_MAX = 256 * 1024 * 1024;
const OVERLAP_MS_DEFAULT = 60_000;
const UNITS: readonly TimestampUnit[] = ["iso", "seconds", "milliseconds"];

export interface HttpSourceOptions extends SourceOptions, ItemFields {
  /** The feed's URL, without credentials. Its query is sent with each request. */
  url: string;
  /** How the feed is paged: by the last id, by a cursor that each page names, by a number of items, or by a time. */
  page: PageStyle;
  /** Path of the array of items in the body; default `""`, the body itself. */
  items?: Field;
  /** Path of the next cursor in the body; required for `cursor`. */
  next?: Field;
  /** Path of the value that says whether there is more now. Default: true for a full page, or a new cursor. */
  hasMore?: Field;
  /** Path of the number of events that are not loaded yet. */
  remaining?: Field;
  /** Name of the cursor parameter; default `after`, `cursor`, `offset` or `since`, as `page` says. */
  afterParam?: string;
  /** Name of the limit parameter; default `limit`; `false`: none is sent. */
  limitParam?: string | false;
  /** For `timestamp`: how far back each page starts again, for events that were committed late; default 1 min. */
  overlap?: Duration;
  /** For `timestamp`: the format of the time; default ISO 8601. */
  timestampUnit?: TimestampUnit;
  /** More query parameters; they may be secrets. */
  query?: Record<string, string | SecretRef>;
  /** Headers of each request, such as `{ authorization: env("FEED_AUTHORIZATION") }`. */
  headers?: Record<string, string | SecretRef>;
  /** Maximum size of an answer in bytes; default 16 MiB. */
  maxResponseBytes?: number;
}

const PARAMETER = matching("the name of a parameter of the query", (text) => text !== "");
const OWN = {
  ...ITEM_FIELDS,
  url: anything<string>("read by `feedUrl`"),
  page: required(choice(PAGE_STYLES)),
  items: FIELD,
  next: FIELD,
  hasMore: FIELD,
  remaining: FIELD,
  afterParam: PARAMETER,
  limitParam: withDefault("limit", orOff(PARAMETER)),
  overlap: duration({ help: "how far back each page starts again", maxMs: DURATION_MS_MAX }),
  timestampUnit: choice(UNITS),
  query: withDefault({}, object<HeaderValues>("further parameters of the query")),
  headers: withDefault({}, object<HeaderValues>("sent each time")),
  maxResponseBytes: withDefault(
    16 * 1024 * 1024,
    integer({ help: "maximum size of an answer", max: BYTES_MAX }),
  ),
} satisfies FieldsOf<Omit<HttpSourceOptions, keyof SourceOptions>>;

/** @throws PawlError `invalid_option` */
export function readHttp(options: HttpSourceOptions): HttpRead {
  const { own, at, base } = readSource("httpSource", OWN, options);
  checkStyle(at, own);
  const { overlap: overlapMs = OVERLAP_MS_DEFAULT, ...rest } = own;
  return { ...rest, overlapMs, at, base };
}

/** The options of an HTTP source, with their defaults. */
export interface HttpRead extends Pick<HttpSourceOptions, "page" | "afterParam" | "timestampUnit"> {
  readonly at: string;
  readonly base: (kind: SourceKind) => SourceBase;
  readonly limitParam: string | false;
  readonly overlapMs: number;
  readonly query: HeaderValues;
  readonly headers: HeaderValues;
  readonly maxResponseBytes: number;
}

/** Checks options that one way of paging needs and another does not use. */
function checkStyle(where: string, options: ValueOf<typeof OWN>): void {
  const { page, next, occurredAt, limitParam } = options;
  if (page === "cursor" && next === undefined) {
    throw badOption(where, "next", "where the body names the next cursor", next);
  }
  if (page !== "cursor" && next !== undefined) {
    throw badOption(
      where,
      "next",
      `left out: pages by ${page} name no cursor`,
      describeField(next),
    );
  }
  if (page === "timestamp" && occurredAt === undefined) {
    throw badOption(where, "occurredAt", "where an item has its time, by which it is paged", next);
  }
  if (page === "offset" && limitParam === false) {
    throw badOption(where, "limitParam", "a name: an offset means nothing without a limit", false);
  }
  for (const option of ["overlap", "timestampUnit"] as const) {
    if (page !== "timestamp" && options[option] !== undefined) {
      throw badOption(where, option, 'left out, unless `page` is "timestamp"', options[option]);
    }
  }
}

/** Headers that may not be set, beside those of the connection. */
export function isOurs(name: string): boolean {
  return name === "accept-encoding" || name === "if-none-match";
}

/** @throws PawlError `invalid_option` */
export function checkQuery(
  where: string,
  query: HeaderValues,
  reserved: readonly string[],
): HeaderValues {
  for (const [name, value] of Object.entries(query)) {
    const bad = (problem: string) =>
      new PawlError("invalid_option", `${where}: the parameter ${shown(name)} ${problem}`, {
        data: { option: "query" },
      });
    if (reserved.includes(name)) throw bad("carries the cursor or the limit; remove it");
    if (typeof value !== "string" && !isSecretRef(value)) throw bad("has no text as value");
  }
  return query;
}

export function describeValues(values: HeaderValues): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, describeSecret(value)]),
  );
}
