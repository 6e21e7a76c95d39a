/**
 * A JSON feed over HTTP. One request fetches one window; its answer is stored as received and parsed without the network. A
 * server that says "not now" has executed nothing; any other answer that is not a page is an error of the source.
 */

import { PawlError } from "../../base/errors.ts";
import { maskUrl } from "../../base/mask.ts";
import { readSecret } from "../../secrets/secret.ts";
import { excerpt } from "../../sender/excerpt.ts";
import { BrokenAnswer } from "../../sender/http-fault.ts";
import { checkedHeaders, readHeaders } from "../../sender/http-headers.ts";
import { httpUrl } from "../../sender/http-url.ts";
import { maskHeaders } from "../../sender/mask-headers.ts";
import { parseRetryAfter } from "../../sender/retry-after.ts";
import type { HttpAnswer } from "../../sender/sender.ts";
import { refuseForbiddenUrl } from "../../sender/sender.ts";
import {
  type FetchContext,
  type PullSource,
  type RawPage,
  SourceAnswered,
  SourceUnavailable,
  type Window,
} from "../source.ts";
import { beforeSending } from "./before-sending.ts";
import { describeField } from "./field.ts";
import { etagFor, itemAgain, parseFeed } from "./http-body.ts";
import {
  checkQuery,
  describeValues,
  type HttpRead,
  type HttpSourceOptions,
  isOurs,
  type PageStyle,
  readHttp,
  type TimestampUnit,
} from "./http-options.ts";
import { momentMs, type Pager, pagerOf } from "./http-pages.ts";

export type { HttpSourceOptions, PageStyle, TimestampUnit } from "./http-options.ts";

const BODY_CHARS_SHOWN = 200;
const AFTER_PARAMS = { id: "after", cursor: "cursor", offset: "offset", timestamp: "since" };
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json$/i;
/** Statuses that are temporary for a request that only reads, as every 5xx is. */
const BUSY = [408, 425];
const TOO_MANY_REQUESTS = 429;
const UNAVAILABLE = 503;
const NO_CONTENT = 204;
const NOT_MODIFIED = 304;

/**
 * Returns a source that loads a JSON feed with GET, page by page. Headers and parameters may be secrets (`env("NAME")`). The
 * `etag` of the last answer is sent while the same page is requested again.
 *
 * @throws PawlError `invalid_option`, `invalid_url`
 */
export function httpSource(options: HttpSourceOptions): PullSource {
  const read = readHttp(options);
  const { page, timestampUnit: unit = "iso", overlapMs, at: where } = read;
  const feed = feedOf(read, options);
  const base = read.base({
    type: "http",
    config: feed.config,
    cursor: page === "id" ? "number" : "opaque",
    ...(page === "offset" && { start: "0" }),
    onFault: { busy: "retry" },
  });
  refuseBadStart(where, { page, unit }, base.start);
  const pager = pagerOf(page, { overlapMs, unit, start: base.start });
  return Object.freeze({
    ...base,
    check: () => {
      feed.secrets();
    },
    checkHost: (allow: readonly string[]) => refuseForbiddenUrl(feed.url, allow),
    request: (window: Window, context: FetchContext) =>
      ask({ feed, pager, timeoutMs: base.timeoutMs }, window, context),
    parse: (page: RawPage, window: Window) => parseFeed(page, window, { options, pager }),
    decode: (raw: Uint8Array) => itemAgain(raw, options),
  });
}

interface Feed {
  where: string;
  url: URL;
  afterParam: string;
  limitParam: string | false;
  bytesMax: number;
  config: Record<string, unknown>;
  /** Read at each request. @throws PawlError `invalid_environment` */
  secrets(): { headers: Record<string, string>; query: Record<string, string> };
}

function feedOf(read: HttpRead, options: HttpSourceOptions): Feed {
  const { at: where, page, limitParam, afterParam = AFTER_PARAMS[page] } = read;
  const credentials =
    'move them into `headers`, such as { authorization: env("FEED_AUTHORIZATION") }';
  const url = httpUrl(options.url, { where, credentials });
  url.hash = "";
  const own = limitParam === false ? [afterParam] : [afterParam, limitParam];
  for (const name of own) url.searchParams.delete(name);
  const headers = checkedHeaders(where, read.headers, isOurs);
  const query = checkQuery(where, read.query, own);
  return {
    where,
    url,
    afterParam,
    limitParam,
    bytesMax: read.maxResponseBytes,
    config: {
      url: maskUrl(url),
      page,
      ...(options.items !== undefined && { items: describeField(options.items) }),
      id: describeField(options.id ?? "id"),
      ...(options.query !== undefined && { query: describeValues(query) }),
      ...(options.headers !== undefined && { headers: describeValues(headers) }),
    },
    secrets: () => ({
      headers: readHeaders(where, headers, `${where},`),
      query: Object.fromEntries(
        Object.entries(query).map(([name, value]) => [
          name,
          readSecret(value, `${where}, parameter "${name}"`),
        ]),
      ),
    }),
  };
}

function refuseBadStart(
  where: string,
  { page, unit }: { page: PageStyle; unit: TimestampUnit },
  start: string,
) {
  const isBad = {
    id: () => false,
    cursor: () => false,
    offset: () => !/^\d{1,15}$/.test(start),
    timestamp: () => start !== "" && momentMs(start, unit) === undefined,
  }[page];
  try {
    if (!isBad()) return;
  } catch {
    // The message below says it.
  }
  throw new PawlError(
    "invalid_option",
    `${where}: expected \`start\` to be ${page === "offset" ? "a number of items" : `a time in the unit "${unit}"`}, got ${start}`,
    { data: { option: "start" } },
  );
}

interface Asking {
  feed: Feed;
  pager: Pager;
  timeoutMs: number;
}

/** @throws SourceUnavailable, SourceAnswered */
async function ask(
  { feed, pager, timeoutMs }: Asking,
  window: Window,
  { http, signal }: FetchContext,
): Promise<RawPage> {
  const { headers, query } = beforeSending(() => feed.secrets());
  const url = new URL(feed.url);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const asked = pager.asked(window.after);
  if (asked !== undefined) url.searchParams.set(feed.afterParam, asked);
  if (feed.limitParam !== false) url.searchParams.set(feed.limitParam, String(window.limit));
  const etag = etagFor(window);
  const request = {
    url: url.href,
    method: "GET",
    headers: {
      accept: "application/json",
      ...headers,
      ...(etag !== undefined && { "if-none-match": etag }),
    },
    body: "",
    timeoutMs,
    responseBytesMax: feed.bytesMax,
    signal,
  };
  const answer = await http.send(request).catch((error: unknown) => {
    // A page must be whole; an answer that is not a page is judged by its status.
    if (error instanceof BrokenAnswer && !isPage(error.answer.status)) return error.answer;
    throw unavailable(error);
  });
  return pageOf(`GET ${maskUrl(url)}`, answer, feed.bytesMax);
}

function unavailable(error: unknown): unknown {
  const isFault =
    error instanceof PawlError &&
    (error.code === "http_failed" || error.code === "address_forbidden");
  if (!isFault) return error;
  const sent = error.data.sent === "no" ? "no" : "unknown";
  return new SourceUnavailable(error.message, { sent, cause: error });
}

function pageOf(what: string, answer: HttpAnswer, bytesMax: number): RawPage {
  const { status, headers, body, bytes = Buffer.from(body), truncated } = answer;
  const retryAfterMs = parseRetryAfter(headers["retry-after"]);
  refuseStatus(what, answer, retryAfterMs);
  if (truncated) {
    throw new SourceAnswered(
      `${what}: the answer is longer than ${bytesMax} bytes; lower \`limit\`, or raise \`maxResponseBytes\``,
      { status },
    );
  }
  const contentType = headers["content-type"];
  const isEmpty = status === NOT_MODIFIED || status === NO_CONTENT;
  if (!isEmpty) refuseType(what, contentType, answer);
  return {
    bytes: isEmpty ? Buffer.alloc(0) : bytes,
    ...(contentType !== undefined && { contentType }),
    info: { status, headers: withoutCookies(headers) },
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
}

function withoutCookies(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== "set-cookie"));
}

function isPage(status: number): boolean {
  return (status >= 200 && status < 300) || status === NOT_MODIFIED;
}

/** A server that asks us to come back later has executed nothing: RFC 6585 section 4, RFC 9110 section 15.6.4. */
function refuseStatus(
  what: string,
  { status, headers, body }: HttpAnswer,
  retryAfterMs: number | undefined,
): void {
  if (isPage(status)) return;
  const later = retryAfterMs === undefined ? "" : `, not before ${retryAfterMs} ms from now`;
  if (status === TOO_MANY_REQUESTS || (status === UNAVAILABLE && retryAfterMs !== undefined)) {
    throw new SourceUnavailable(`${what}: status ${status}, it asks to come back later${later}`, {
      sent: "no",
      retryAfterMs,
    });
  }
  const location = headers.location;
  const to =
    location === undefined ? "" : ` to ${maskHeaders({ location }).location} (not followed)`;
  const text = body === "" ? "" : `; it says: ${excerpt(body, BODY_CHARS_SHOWN)}`;
  const isBusy = BUSY.includes(status) || status >= 500;
  throw new SourceAnswered(`${what}: status ${status}${to}${text}`, {
    status,
    isBusy,
    retryAfterMs,
  });
}

function refuseType(what: string, contentType: string | undefined, answer: HttpAnswer): void {
  const type = contentType?.split(";")[0]?.trim() ?? "";
  if (type === "" || JSON_TYPE.test(type)) return;
  throw new SourceAnswered(
    `${what}: expected JSON, got ${excerpt(type, 100)}: ${excerpt(answer.body, BODY_CHARS_SHOWN)}`,
    { status: answer.status },
  );
}
