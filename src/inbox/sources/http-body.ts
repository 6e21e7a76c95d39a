/** Reads a page of a JSON feed from its bytes, and returns what the next request needs to know. Pure: it may run again. */

import { decodeText } from "../../base/charset.ts";
import { shown } from "../../base/errors.ts";
import { messageOf } from "../../base/thrown.ts";
import {
  type BadEvent,
  isBad,
  type Json,
  type Page,
  type RawPage,
  SourceAnswered,
  type SourceEvent,
  type Window,
} from "../source.ts";
import { type FieldInfo, NO_INFO, readField } from "./field.ts";
import type { HttpSourceOptions } from "./http-options.ts";
import type { Following, Pager, Trail } from "./http-pages.ts";
import { eventOf, idOf, requireGood } from "./item.ts";
import { openPage, type PageItem, type PageText } from "./page-text.ts";

const REPLACEMENT = "\ufffd";

/** What is kept between two requests. */
interface Kept extends Trail {
  /** Valid only for this cursor and limit. */
  readonly etag?: string;
  readonly etagAfter?: string;
  readonly etagLimit?: number;
  /** The cursor after that page, if the page may have been cut: new events may follow there. */
  readonly etagNext?: string;
}

interface Reading {
  options: HttpSourceOptions;
  pager: Pager;
}

export function etagFor({ after, limit, state }: Window): string | undefined {
  const { etag, etagAfter, etagLimit } = keptIn(state);
  return etagAfter === after && etagLimit === limit ? etag : undefined;
}

/** @throws SourceAnswered for an answer that is not a page */
export function parseFeed(page: RawPage, window: Window, { options, pager }: Reading): Page {
  const kept = keptIn(window.state);
  if (page.bytes.length === 0) {
    const next = etagFor(window) === undefined ? undefined : kept.etagNext;
    return { events: [], next: next ?? window.after, more: next !== undefined };
  }
  const info = infoOf(page);
  const body = openPage(page, { items: options.items ?? "", info });
  const read = body.items.map((item, i) => readItem(i, item, { options, info }));
  const events = read.map(({ event }) => event);
  const following = pager.follow(
    {
      count: events.length,
      next: options.next === undefined ? undefined : body.read(options.next),
      hasMore: hasMoreOf(options, body),
      times: read.flatMap(({ event, time }) => (isBad(event) || time === undefined ? [] : [time])),
      print: `${events[0]?.id} ${events.at(-1)?.id} ${events.length}`,
    },
    window,
    kept,
  );
  const { trail, ...rest } = following;
  const lag = lagOf(options, body);
  const state = { ...etagAfter(kept, { info, window, following }), ...trail };
  return { events, ...rest, state, ...(lag !== undefined && { lag }) };
}

/** Reads an item again that was set aside. @throws Error if it is still not an event */
export function itemAgain(raw: Uint8Array, options: HttpSourceOptions): SourceEvent {
  const text = decodeText(raw, undefined);
  const item = { bytes: () => raw, text: () => text, readableText: () => text };
  return requireGood(readItem(0, item, { options, info: NO_INFO }).event);
}

interface ItemReading {
  options: HttpSourceOptions;
  info: FieldInfo;
}

interface ReadItem {
  event: SourceEvent | BadEvent;
  /** Only for a feed by time; as received, since it may be finer than milliseconds. */
  time?: unknown;
}

/** The value is parsed and dropped again: only the text is kept. */
function readItem(i: number, item: PageItem, { options, info }: ItemReading): ReadItem {
  const value = itemValue(item);
  const raw = () => item.bytes();
  try {
    const unreadable = unreadableIn(item, value, { options, info });
    if (unreadable !== undefined) return { event: unreadable };
    const event = eventOf({ value, text: item.text(), raw, info }, options);
    if (options.page !== "timestamp" || isBad(event)) return { event };
    if (event.occurredAt === undefined) {
      const error = "it has no time, by which the feed is paged";
      return { event: { id: event.id, raw: raw(), error } };
    }
    return { event, time: readField(options.occurredAt ?? "", value, info) };
  } catch (error) {
    throw new SourceAnswered(`item ${i} of the page: ${messageOf(error)}`, { cause: error });
  }
}

function itemValue(item: PageItem): unknown {
  try {
    return JSON.parse(item.readableText());
  } catch (error) {
    throw new SourceAnswered(`the body is not JSON: ${messageOf(error)}`, { cause: error });
  }
}

/** An item whose bytes are not text. @throws Error where its id holds such bytes */
function unreadableIn(
  item: PageItem,
  value: unknown,
  { options, info }: ItemReading,
): BadEvent | undefined {
  try {
    item.text();
    return undefined;
  } catch (error) {
    const field = options.id ?? "id";
    const id = idOf(readField(field, value, info), field);
    if (id.includes(REPLACEMENT)) throw error;
    return { id, raw: item.bytes(), error: messageOf(error) };
  }
}

function hasMoreOf({ hasMore }: HttpSourceOptions, body: PageText): boolean | undefined {
  const value = hasMore === undefined ? undefined : body.read(hasMore);
  if (value === undefined || value === null) return undefined;
  if (typeof value === "boolean") return value;
  throw new SourceAnswered(`expected \`hasMore\` to be true or false, got ${shown(value)}`);
}

function lagOf({ remaining }: HttpSourceOptions, body: PageText): number | undefined {
  const value = remaining === undefined ? undefined : body.read(remaining);
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** Returns the ETag of the page that is requested next, if known: of the last page, or of the one that it leads back to. */
function etagAfter(
  kept: Kept,
  { info, window, following }: { info: FieldInfo; window: Window; following: Following },
): Omit<Kept, keyof Trail> {
  const { etag: known, etagAfter: knownAfter, etagLimit, etagNext } = kept;
  const { etag } = info.headers;
  const { after, limit } = window;
  if (
    known !== undefined &&
    knownAfter !== undefined &&
    knownAfter === following.next &&
    after !== knownAfter
  ) {
    return {
      etag: known,
      etagAfter: knownAfter,
      ...(etagLimit !== undefined && { etagLimit }),
      ...(etagNext !== undefined && { etagNext }),
    };
  }
  if (etag === undefined || etag === "") return {};
  const { next, more } = following;
  return {
    etag,
    etagAfter: after,
    etagLimit: limit,
    ...(more && next !== undefined && { etagNext: next }),
  };
}

function infoOf({ info }: RawPage): FieldInfo {
  const { headers } = (info ?? {}) as { headers?: Record<string, string> };
  return { headers: headers ?? {} };
}

function keptIn(state: Json | null): Kept {
  return state !== null && typeof state === "object" && !Array.isArray(state)
    ? (state as Kept)
    : {};
}
