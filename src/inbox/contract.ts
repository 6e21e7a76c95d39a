/**
 * What a source promises about a page, checked at every answer; and the page as the database takes it. A page that breaks
 * the promise is refused as a whole; an event that cannot be stored is set aside alone, with its bytes.
 */

import { PawlError, shown } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import { objectText, RawJson } from "../base/json-text.ts";
import { maskText } from "../base/mask.ts";
import { isStorable, storableText } from "../base/text.ts";
import { messageOf } from "../base/thrown.ts";
import { isStorableTime } from "../base/time.ts";
import { partsOf } from "./exact.ts";
import { type BadEvent, isBad, type Page, SourceAnswered, type SourceEvent } from "./source.ts";

/** Numbers of any length can be compared, but counters and offsets fit into a bigint. */
const INTEGER = /^(?:0|-?[1-9]\d{0,17})$/;
const ID_CHARS_MAX = 500;
const NAME_CHARS_MAX = 500;
const CURSOR_CHARS_MAX = 4_096;
/** Numbers of up to this many digits are compared exactly as doubles. */
const DOUBLE_DIGITS = 15;

export interface Asked {
  cursor: "number" | "opaque";
  after: string;
  limit: number;
  payloadBytesMax: number;
}

export interface CheckedPage {
  /** A JSON array. */
  events: string;
  count: number;
  next: string | null;
}

/** A page that breaks the contract; `nextCursor` if it is clear where the next page begins. */
export class ContractBroken extends SourceAnswered {
  override name = "ContractBroken";
  readonly nextCursor: string | null;

  constructor(message: string, nextCursor: string | null = null) {
    super(`the source broke its contract: ${message}`);
    this.nextCursor = nextCursor;
  }
}

/** @throws ContractBroken */
export function checkPage(page: Page, asked: Asked): CheckedPage {
  const events = eventsOf(page);
  const { cursor, limit, after } = asked;
  refuseUnkept("state", page.state, asked.payloadBytesMax);
  const given = cursorOf(page.next, cursor);
  if (events.length > limit) {
    throw new ContractBroken(`${events.length} events, but at most ${limit} were requested`, given);
  }
  if (cursor === "opaque") {
    for (const [index, event] of events.entries()) idOf(event, index);
    if (events.length > 0 && given === null)
      throw new ContractBroken("events without `next`, the cursor after them");
    return { events: encode(events, asked), count: events.length, next: given };
  }
  const last = lastAscending(events, after);
  if (given !== null && isBelow(given, last)) {
    throw new ContractBroken(`\`next\` is ${given}, which is before ${last}`);
  }
  return { events: encode(events, asked), count: events.length, next: given ?? last };
}

/** @throws ContractBroken with the path of a value that is not JSON, such as a bigint */
export function refuseUnkept(what: string, value: unknown, bytesMax: number): void {
  if (value === undefined || value === null) return;
  try {
    toJson(value, { what, bytesMax, isLossy: true });
  } catch (error) {
    throw new ContractBroken(messageOf(error));
  }
}

function eventsOf(page: unknown): readonly (SourceEvent | BadEvent)[] {
  const events = (page as Page | null | undefined)?.events;
  if (Array.isArray(events)) return events;
  throw new ContractBroken(
    `expected an array of events or a page with \`events\`, got ${shown(page)}`,
  );
}

function cursorOf(next: unknown, kind: "number" | "opaque"): string | null {
  if (next === undefined || next === null) return null;
  if (kind === "number") {
    if (typeof next === "string" && INTEGER.test(next)) return next;
    throw new ContractBroken(`expected \`next\` to be a whole number, got ${shown(next)}`);
  }
  if (typeof next === "string" && next.length <= CURSOR_CHARS_MAX && isStorable(next)) return next;
  throw new ContractBroken(
    `expected \`next\` to be a text of at most ${CURSOR_CHARS_MAX} characters, got ${shown(next)}`,
  );
}

/** An id that was already in the page is not a step back: the first one counts, the others are duplicates. */
function lastAscending(events: readonly (SourceEvent | BadEvent)[], after: string): string {
  const seen = new Set<string>();
  let last = after;
  for (const [index, event] of events.entries()) {
    const id = idOf(event, index);
    if (!INTEGER.test(id)) {
      throw new ContractBroken(
        `event ${index + 1} of the page has the id ${shown(id)}, which is not a whole number; sources with other ids need \`cursor: "opaque"\``,
      );
    }
    if (seen.has(id)) continue;
    if (!isBelow(last, id)) throw notAscending({ events, index, id, last, after });
    seen.add(id);
    last = id;
  }
  return last;
}

function notAscending(at: {
  events: readonly (SourceEvent | BadEvent)[];
  index: number;
  id: string;
  last: string;
  after: string;
}): ContractBroken {
  const { events, index, id, last, after } = at;
  const ids = events.map((event) => String(event?.id)).filter((one) => INTEGER.test(one));
  const highest = ids.reduce((high, one) => (isBelow(high, one) ? one : high), after);
  const behind = isBelow(after, highest) ? highest : null;
  const where = `event ${index + 1} of the page has the id ${id}`;
  if (index === 0 || !isBelow(after, id))
    return new ContractBroken(`${where}, which is not after the cursor ${after}`, behind);
  return new ContractBroken(`${where}, after ${last}: ids must ascend`, behind);
}

function idOf(event: SourceEvent | BadEvent | null | undefined, index: number): string {
  const id: unknown = event?.id;
  if (typeof id === "string" && id !== "" && id.length <= ID_CHARS_MAX && isStorable(id)) return id;
  throw new ContractBroken(
    `event ${index + 1} of the page: expected its id to be a text of 1 to ${ID_CHARS_MAX} characters, got ${shown(id)}`,
  );
}

/** a < b, both whole numbers as text. */
function isBelow(a: string, b: string): boolean {
  if (a.length <= DOUBLE_DIGITS && b.length <= DOUBLE_DIGITS) return Number(a) < Number(b);
  return BigInt(a) < BigInt(b);
}

function encode(events: readonly (SourceEvent | BadEvent)[], asked: Asked): string {
  return `[${events.map((event) => encodeOne(event, asked.payloadBytesMax)).join(",")}]`;
}

function encodeOne(event: SourceEvent | BadEvent, payloadBytesMax: number): string {
  if (isBad(event)) return encodeBad(event.id, event.raw, event.error);
  try {
    return encodeGood(event, payloadBytesMax);
  } catch (error) {
    return encodeBad(event.id, bytesOf(event), messageOf(error), true);
  }
}

/** What an event becomes in the inbox. @throws PawlError for what cannot be stored */
export function encodeGood(event: SourceEvent, payloadBytesMax: number, number?: string): string {
  const { id, name, occurredAt } = event;
  const { payload, meta } = partsOf(event);
  const limits = { bytesMax: payloadBytesMax };
  const parts = [
    number === undefined ? `"i":${JSON.stringify(id)}` : `"number":${number}`,
    `"p":${toJson(payload, { what: "payload", ...limits })}`,
  ];
  if (name !== undefined) parts.push(`"n":${toJson(nameOf(name), { what: "name", ...limits })}`);
  if (occurredAt !== undefined) parts.push(`"o":"${timeOf(occurredAt)}"`);
  if (meta !== undefined && meta !== null) {
    if (!isObject(meta)) throw unfit("meta", "an object", meta);
    parts.push(`"m":${toJson(meta, { what: "meta", ...limits })}`);
  }
  return `{${parts.join(",")}}`;
}

/** `isEvent`: the source had already decoded `raw`. */
function encodeBad(id: string, raw: Uint8Array, error: string, isEvent?: true): string {
  const bytes = Buffer.from(raw ?? []).toString("base64");
  return JSON.stringify({ i: id, r: bytes, d: isEvent, e: maskText(storableText(error)) });
}

function nameOf(name: unknown): string {
  if (typeof name === "string" && name.length <= NAME_CHARS_MAX) return name;
  throw unfit("name", `a text of at most ${NAME_CHARS_MAX} characters`, name);
}

function timeOf(text: unknown): string {
  const time = new Date(text as string);
  if (typeof text === "string" && isStorableTime(time)) return time.toISOString();
  throw unfit("occurredAt", "a time such as 2030-01-31T12:00:00Z", text);
}

function unfit(name: string, expected: string, value: unknown): PawlError {
  return new PawlError(
    "invalid_payload",
    `expected the event's \`${name}\` to be ${expected}, got ${shown(value)}`,
  );
}

function isObject(value: unknown): boolean {
  if (value instanceof RawJson) return value.text.trimStart().startsWith("{");
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The JSON of an event that was decoded but cannot be stored, with the texts that it came with. */
function bytesOf(event: SourceEvent): Uint8Array {
  try {
    const { payload, meta } = partsOf(event);
    const others = Object.entries(event).filter(([key]) => key !== "payload" && key !== "meta");
    const texts = { payload, ...(meta !== undefined && { meta }) };
    return Buffer.from(objectText({ ...Object.fromEntries(others), ...texts }));
  } catch {
    return Buffer.from(shown(event));
  }
}
