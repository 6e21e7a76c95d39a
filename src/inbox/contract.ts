/**
 * What a source promises about a page, checked at every answer; and the page as the database takes it. A page that breaks
 * the promise is refused as a whole; an event that cannot be stored is set aside alone, with its bytes.
 */

import { PawlError, shown, toError } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import { type BadEvent, isBad, type Page, SourceAnswered, type SourceEvent } from "./source.ts";

/** numeric of any length is compared, but what a bigint holds is what counters and offsets have. */
const INTEGER = /^(?:0|-?[1-9]\d{0,17})$/;
const ID_CHARS_MAX = 500;
const NAME_CHARS_MAX = 500;
const CURSOR_CHARS_MAX = 4_096;
const YEAR_MAX = 9_999;
/** Numbers of so many digits are compared exactly as doubles. */
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

/** A page that breaks the contract; `nextCursor` where it is plain what lies behind it. */
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
  const given = cursorOf(page.next, cursor);
  if (events.length > limit) {
    throw new ContractBroken(`${events.length} events, asked were at most ${limit}`, given);
  }
  if (cursor === "opaque") {
    refuseRepeated(events, given);
    if (events.length > 0 && given === null)
      throw new ContractBroken("events without `next`, the cursor behind them");
    return { events: encode(events, asked), count: events.length, next: given };
  }
  const last = lastAscending(events, after);
  if (given !== null && isBelow(given, last)) {
    throw new ContractBroken(`\`next\` is ${given}, which is before ${last}`);
  }
  return { events: encode(events, asked), count: events.length, next: given ?? last };
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
  if (typeof next === "string" && next.length <= CURSOR_CHARS_MAX && isText(next)) return next;
  throw new ContractBroken(
    `expected \`next\` to be a text of at most ${CURSOR_CHARS_MAX} characters, got ${shown(next)}`,
  );
}

function lastAscending(events: readonly (SourceEvent | BadEvent)[], after: string): string {
  let last = after;
  for (const [index, event] of events.entries()) {
    const id = idOf(event, index);
    if (!INTEGER.test(id)) {
      throw new ContractBroken(
        `event ${index + 1} of the page has the id ${shown(id)}, which is no whole number; sources with other ids have \`cursor: "opaque"\``,
      );
    }
    if (!isBelow(last, id)) throw notAscending({ events, index, id, last, after });
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
    return new ContractBroken(`${where}, which is not beyond the cursor ${after}`, behind);
  if (id === last) return new ContractBroken(`${where}, as has the one before it`, behind);
  return new ContractBroken(`${where}, after ${last}: ids must ascend`, behind);
}

function refuseRepeated(events: readonly (SourceEvent | BadEvent)[], next: string | null): void {
  const seen = new Set<string>();
  for (const [index, event] of events.entries()) {
    const id = idOf(event, index);
    if (seen.has(id))
      throw new ContractBroken(`the id ${shown(id)} stands twice in one page`, next);
    seen.add(id);
  }
}

function idOf(event: SourceEvent | BadEvent | null | undefined, index: number): string {
  const id: unknown = event?.id;
  if (typeof id === "string" && id !== "" && id.length <= ID_CHARS_MAX && isText(id)) return id;
  throw new ContractBroken(
    `event ${index + 1} of the page: expected its id to be a text of 1 to ${ID_CHARS_MAX} characters, got ${shown(id)}`,
  );
}

function isText(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0");
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
    return encodeBad(event.id, bytesOf(event), toError(error).message, true);
  }
}

/** What an event becomes in the inbox. @throws PawlError for what cannot be stored */
export function encodeGood(
  { id, name, occurredAt, payload, meta }: SourceEvent,
  payloadBytesMax: number,
  number?: string,
): string {
  const limits = { bytesMax: payloadBytesMax };
  const parts = [
    number === undefined ? `"i":${JSON.stringify(id)}` : `"number":${number}`,
    `"p":${toJson(payload, { what: "payload", ...limits })}`,
  ];
  if (name !== undefined) parts.push(`"n":${toJson(nameOf(name), { what: "name", ...limits })}`);
  if (occurredAt !== undefined) parts.push(`"o":"${timeOf(occurredAt)}"`);
  if (meta !== undefined && meta !== null) {
    if (typeof meta !== "object" || Array.isArray(meta)) throw unfit("meta", "an object", meta);
    parts.push(`"m":${toJson(meta, { what: "meta", ...limits })}`);
  }
  return `{${parts.join(",")}}`;
}

/** `isEvent`: `raw` is what the source had decoded already. */
function encodeBad(id: string, raw: Uint8Array, error: string, isEvent?: true): string {
  const bytes = Buffer.from(raw ?? []).toString("base64");
  return JSON.stringify({ i: id, r: bytes, d: isEvent, e: storableText(error) });
}

/** An error's text may quote whatever a source gave. */
export function storableText(text: unknown): string {
  return String(text).toWellFormed().replaceAll("\0", "\\0");
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

/** Of the years 1 to 9999: others have a form of their own in JavaScript, which PostgreSQL does not read. */
export function isStorableTime(time: Date): boolean {
  const year = time.getUTCFullYear();
  return year >= 1 && year <= YEAR_MAX;
}

function unfit(name: string, expected: string, value: unknown): PawlError {
  return new PawlError(
    "invalid_payload",
    `expected the event's \`${name}\` to be ${expected}, got ${shown(value)}`,
  );
}

/** Of an event that was decoded and yet cannot be stored. */
function bytesOf(event: SourceEvent): Uint8Array {
  try {
    return Buffer.from(JSON.stringify(event));
  } catch {
    return Buffer.from(shown(event));
  }
}
