/**
 * A feed of JSON over HTTP. One request asks for one window; its answer is kept as it came, and read without the network.
 * A server that says "not now" has executed nothing; any other answer that is no page is an error of the source.
 */

import { durationMs } from "../../base/duration.ts";
import { PawlError } from "../../base/errors.ts";
import { readSecret } from "../../base/secret.ts";
import { excerpt } from "../../requests/excerpt.ts";
import { maskHeaders } from "../../requests/mask-headers.ts";
import { maskUrl } from "../../requests/mask-url.ts";
import { parseRetryAfter } from "../../requests/retry-after.ts";
import type { HttpAnswer } from "../../requests/sender.ts";
import { refuseForbiddenUrl } from "../../requests/sender.ts";
import { sourceBase } from "../define-source.ts";
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
  checkHttpOptions,
  checkQuery,
  describeValues,
  feedHeaders,
  feedUrl,
  type HttpSourceOptions,
  readFeedHeaders,
  responseBytesMax,
} from "./http-options.ts";
import { momentMs, type Pager, pagerOf } from "./http-pages.ts";

export type { HttpSourceOptions, PageStyle, TimestampUnit } from "./http-options.ts";

const RESPONSE_BYTES_DEFAULT = 16 * 1024 * 1024;
const OVERLAP_DEFAULT = "1m";
const BODY_CHARS_SHOWN = 200;
const AFTER_PARAMS = { id: "after", cursor: "cursor", offset: "offset", timestamp: "since" };
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json$/i;
const TOO_MANY_REQUESTS = 429;
const UNAVAILABLE = 503;
const NO_CONTENT = 204;
const NOT_MODIFIED = 304;

/**
 * A source that loads a JSON feed: GET, page by page. Headers and parameters may be secrets (`env("NAME")`). An `etag`
 * of the last answer is sent along while the same page is asked for again.
 *
 * @throws PawlError `invalid_option`, `invalid_url`
 */
export function httpSource(options: HttpSourceOptions): PullSource {
  const where = `source "${options.name}"`;
  checkHttpOptions(where, options);
  const feed = feedOf(where, options);
  const base = sourceBase(options, {
    type: "http",
    config: feed.config,
    cursor: options.page === "id" ? "number" : "opaque",
    ...(options.page === "offset" && { start: "0" }),
  });
  const unit = options.timestampUnit ?? "iso";
  refuseBadStart(where, options, base.start);
  const overlapMs = durationMs(options.overlap ?? OVERLAP_DEFAULT, `${where}.overlap`);
  const pager = pagerOf(options.page, { overlapMs, unit, start: base.start });
  return Object.freeze({
    ...base,
    check: () => void feed.secrets(),
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

function feedOf(where: string, options: HttpSourceOptions): Feed {
  const { page, limitParam = "limit", afterParam = AFTER_PARAMS[page] } = options;
  const url = feedUrl(where, options.url);
  const own = limitParam === false ? [afterParam] : [afterParam, limitParam];
  for (const name of own) url.searchParams.delete(name);
  const headers = feedHeaders(where, options.headers);
  const query = checkQuery(where, options.query, own);
  return {
    where,
    url,
    afterParam,
    limitParam,
    bytesMax: responseBytesMax(where, options.maxResponseBytes ?? RESPONSE_BYTES_DEFAULT),
    config: {
      url: maskUrl(url),
      page,
      ...(options.items !== undefined && { items: describeField(options.items) }),
      id: describeField(options.id ?? "id"),
      ...(options.query !== undefined && { query: describeValues(query) }),
      ...(options.headers !== undefined && { headers: describeValues(headers) }),
    },
    secrets: () => ({
      headers: readFeedHeaders(where, headers),
      query: Object.fromEntries(
        Object.entries(query).map(([name, value]) => [
          name,
          readSecret(value, `${where}, parameter "${name}"`),
        ]),
      ),
    }),
  };
}

function refuseBadStart(where: string, { page, timestampUnit }: HttpSourceOptions, start: string) {
  const isBad = {
    id: () => false,
    cursor: () => false,
    offset: () => !/^\d{1,15}$/.test(start),
    timestamp: () => start !== "" && momentMs(start, timestampUnit ?? "iso") === undefined,
  }[page];
  try {
    if (!isBad()) return;
  } catch {
    // The message below says it.
  }
  throw new PawlError(
    "invalid_option",
    `${where}: expected \`start\` to be ${page === "offset" ? "a number of items" : `a time in the unit "${timestampUnit ?? "iso"}"`}, got ${start}`,
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
  const { status, headers, body, truncated } = answer;
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
    bytes: isEmpty ? Buffer.alloc(0) : Buffer.from(body),
    ...(contentType !== undefined && { contentType }),
    info: { status, headers: withoutCookies(headers) },
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
}

function withoutCookies(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== "set-cookie"));
}

/** A server that asks to come back later has executed nothing: RFC 6585 section 4, RFC 9110 section 15.6.4. */
function refuseStatus(
  what: string,
  { status, headers, body }: HttpAnswer,
  retryAfterMs: number | undefined,
): void {
  if ((status >= 200 && status < 300) || status === NOT_MODIFIED) return;
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
  throw new SourceAnswered(`${what}: status ${status}${to}${text}`, { status, retryAfterMs });
}

function refuseType(what: string, contentType: string | undefined, answer: HttpAnswer): void {
  const type = contentType?.split(";")[0]?.trim() ?? "";
  if (type === "" || JSON_TYPE.test(type)) return;
  throw new SourceAnswered(
    `${what}: expected JSON, got ${excerpt(type, 100)}: ${excerpt(answer.body, BODY_CHARS_SHOWN)}`,
    { status: answer.status },
  );
}
