/** Reads a page of a JSON feed from its bytes, and keeps what the next request has to know. Pure: it may run again. */

import { shown, toError } from "../../base/errors.ts";
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
import { describeField, type FieldInfo, NO_INFO, readField } from "./field.ts";
import type { HttpSourceOptions } from "./http-options.ts";
import type { Pager } from "./http-pages.ts";
import { eventOf, requireGood } from "./item.ts";

/** Between two requests. */
interface Kept {
  /** Of the answer for this cursor and limit, and no other. */
  readonly etag?: string;
  readonly etagAfter?: string;
  readonly etagLimit?: number;
  readonly latest?: string;
}

interface Reading {
  options: HttpSourceOptions;
  pager: Pager;
}

export function etagFor({ after, limit, state }: Window): string | undefined {
  const { etag, etagAfter, etagLimit } = keptIn(state);
  return etagAfter === after && etagLimit === limit ? etag : undefined;
}

/** @throws SourceAnswered for what is no page */
export function parseFeed(page: RawPage, window: Window, { options, pager }: Reading): Page {
  const kept = keptIn(window.state);
  if (page.bytes.length === 0) return { events: [], next: window.after, more: false };
  const body = jsonOf(page.bytes);
  const info = infoOf(page);
  const items = readField(options.items ?? "", body, info);
  if (!Array.isArray(items)) {
    const where = describeField(options.items ?? "");
    throw new SourceAnswered(
      `expected an array of items${where === "" ? "" : ` at \`${where}\``}, got ${shown(items)}; see \`items\``,
    );
  }
  const events = items.map((item, i) => eventAt(i, item, { options, info }));
  const following = pager.follow(
    {
      count: items.length,
      next: options.next === undefined ? undefined : readField(options.next, body, info),
      hasMore: hasMoreOf(options, body, info),
      times: timesOf(items, events, { options, info }),
    },
    window,
    kept.latest,
  );
  const { latest, ...rest } = following;
  const lag = lagOf(options, body, info);
  const state = { ...etagIn(info, window), ...(latest !== undefined && { latest }) };
  return { events, ...rest, state, ...(lag !== undefined && { lag }) };
}

/** An item that was set aside, once more. @throws Error when it is no event yet */
export function itemAgain(raw: Uint8Array, options: HttpSourceOptions): SourceEvent {
  return requireGood(eventAt(0, jsonOf(raw), { options, info: NO_INFO }));
}

function jsonOf(bytes: Uint8Array): unknown {
  const text = Buffer.from(bytes).toString("utf8");
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SourceAnswered(`the body is no JSON: ${toError(error).message}`, { cause: error });
  }
}

interface ItemReading {
  options: HttpSourceOptions;
  info: FieldInfo;
}

function eventAt(
  i: number,
  value: unknown,
  { options, info }: ItemReading,
): SourceEvent | BadEvent {
  const raw = () => Buffer.from(JSON.stringify(value));
  try {
    const event = eventOf({ value, raw, info }, options);
    if (options.page !== "timestamp" || isBad(event) || event.occurredAt !== undefined) {
      return event;
    }
    return { id: event.id, raw: raw(), error: "it has no time, by which the feed is paged" };
  } catch (error) {
    throw new SourceAnswered(`item ${i} of the page: ${toError(error).message}`, { cause: error });
  }
}

/** Of the items that are events; as they came, since they may be finer than milliseconds. */
function timesOf(
  items: readonly unknown[],
  events: readonly (SourceEvent | BadEvent)[],
  { options, info }: ItemReading,
): unknown[] {
  const { page, occurredAt } = options;
  if (page !== "timestamp" || occurredAt === undefined) return [];
  const good = items.filter((_, i) => {
    const event = events[i];
    return event !== undefined && !isBad(event);
  });
  return good.map((item) => readField(occurredAt, item, info));
}

function hasMoreOf(
  { hasMore }: HttpSourceOptions,
  body: unknown,
  info: FieldInfo,
): boolean | undefined {
  const value = hasMore === undefined ? undefined : readField(hasMore, body, info);
  if (value === undefined || value === null) return undefined;
  if (typeof value === "boolean") return value;
  throw new SourceAnswered(`expected \`hasMore\` to be true or false, got ${shown(value)}`);
}

function lagOf(
  { remaining }: HttpSourceOptions,
  body: unknown,
  info: FieldInfo,
): number | undefined {
  const value = remaining === undefined ? undefined : readField(remaining, body, info);
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function etagIn({ headers }: FieldInfo, { after, limit }: Window): Kept {
  const { etag } = headers;
  return etag === undefined || etag === "" ? {} : { etag, etagAfter: after, etagLimit: limit };
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
