/**
 * Makes one decoded item of a source into an event. A bad item is set aside alone, with its error and its bytes. Only if its id
 * cannot be read, the whole page is bad, since nobody could name what was set aside.
 */

import { shown } from "../../base/errors.ts";
import { toJson } from "../../base/json.ts";
import { isStorable } from "../../base/text.ts";
import { messageOf } from "../../base/thrown.ts";
import { isStorableTime } from "../../base/time.ts";

import { exactEvent } from "../exact.ts";
import { type BadEvent, isBad, type SourceEvent } from "../source.ts";
import { FIELD, type Field, type FieldInfo, NO_INFO, readField } from "./field.ts";
import { exactIn } from "./page-text.ts";

const ID_CHARS_MAX = 500;
const NAME_CHARS_MAX = 255;
const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;
/** Seconds stay below it until the year 5138, milliseconds are above it since 1973. */
const SECONDS_MAX = 100_000_000_000;

export interface ItemFields {
  /** The event's id: text, or a whole number up to 2^53; default `id`. */
  id?: Field;
  /** The event's name. Left out: it has none. */
  eventName?: Field;
  /** When the event occurred: ISO 8601, or seconds or milliseconds since 1970. */
  occurredAt?: Field;
  /** The payload. Default: the whole item. */
  payload?: Field;
  meta?: Field;
}

export const ITEM_FIELDS: Readonly<Record<keyof ItemFields, typeof FIELD>> = {
  id: FIELD,
  eventName: FIELD,
  occurredAt: FIELD,
  payload: FIELD,
  meta: FIELD,
};

interface Item {
  value: unknown;
  /** Its JSON text, which is stored exactly as it is. */
  text: string;
  /** As received, in case the item has to be set aside. */
  raw: () => Uint8Array;
  info?: FieldInfo;
}

/** @throws Error when the id cannot be read */
export function eventOf(item: Item, fields: ItemFields): SourceEvent | BadEvent {
  const { value, text, raw, info } = item;
  const id = idOf(readField(fields.id ?? "id", value, info ?? NO_INFO), fields.id ?? "id");
  try {
    return eventWith(id, { value, text }, { fields, info: info ?? NO_INFO });
  } catch (error) {
    return { id, raw: raw(), error: messageOf(error) };
  }
}

/** For an item that is read again. @throws Error with what is still wrong with it */
export function requireGood(event: SourceEvent | BadEvent): SourceEvent {
  if (isBad(event)) throw new Error(event.error);
  return event;
}

/** @throws Error for a value that cannot be the id of an event */
export function idOf(value: unknown, field: Field): string {
  const where = typeof field === "string" ? ` at \`${field}\`` : "";
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") {
    if (Number.isSafeInteger(value)) return String(value);
    throw new Error(
      `the id${where} is the number ${value}, which JavaScript cannot hold exactly; ids beyond 2^53 have to come as text`,
    );
  }
  if (typeof value !== "string" || value === "" || value.length > ID_CHARS_MAX) {
    throw new Error(
      `expected an id of 1 to ${ID_CHARS_MAX} characters${where}, got ${shown(value)}`,
    );
  }
  if (isStorable(value)) return value;
  throw new Error(`the id${where} holds characters that PostgreSQL cannot store: ${shown(value)}`);
}

interface Reading {
  fields: ItemFields;
  info: FieldInfo;
}

function eventWith(
  id: string,
  item: { value: unknown; text: string },
  { fields, info }: Reading,
): SourceEvent {
  const read = (field: Field | undefined) =>
    field === undefined ? undefined : readField(field, item.value, info);
  const payload = readField(fields.payload ?? "", item.value, info);
  if (payload === undefined) throw new Error("there is no payload where it is looked for");
  const meta = metaOf(read(fields.meta));
  return storable({
    id,
    ...optional("name", nameOf(read(fields.eventName))),
    ...optional("occurredAt", timeOf(read(fields.occurredAt))),
    payload: exactIn(fields.payload ?? "", payload, item),
    ...(meta !== undefined && {
      meta: exactIn(fields.meta ?? "", meta, item) as Record<string, unknown>,
    }),
  });
}

/** @throws Error when PostgreSQL could not store it: one such event must not fail its page. */
export function storable(event: SourceEvent): SourceEvent {
  const { id, payload, meta } = event;
  toJson(payload, { what: `payload of event ${id}`, bytesMax: PAYLOAD_BYTES_MAX });
  if (meta !== undefined) {
    toJson(meta, { what: `meta of event ${id}`, bytesMax: PAYLOAD_BYTES_MAX });
  }
  return exactEvent(event);
}

function optional<Name extends string, T>(
  name: Name,
  value: T | undefined,
): { [Key in Name]?: T } | Record<never, never> {
  return value === undefined ? {} : { [name]: value };
}

export function nameOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  const isName = typeof value === "string" && value !== "" && value.length <= NAME_CHARS_MAX;
  if (isName && isStorable(value)) return value;
  throw new Error(
    `expected the name to be a text of 1 to ${NAME_CHARS_MAX} characters, got ${shown(value)}`,
  );
}

/** ISO 8601 in UTC with milliseconds, whatever form it came in. */
export function timeOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  const time = new Date(timeMs(value));
  if (isStorableTime(time)) return time.toISOString();
  throw new Error(
    `expected a time (ISO 8601, or seconds or milliseconds) of the years 1 to 9999, got ${shown(value)}`,
  );
}

/** Milliseconds since 1970; NaN for a value that is not a time. */
export function timeMs(value: unknown): number {
  if (typeof value === "number") return Math.abs(value) < SECONDS_MAX ? value * 1_000 : value;
  return typeof value === "string" && /^[+-]?\d{4}/.test(value) ? Date.parse(value) : Number.NaN;
}

function metaOf(value: unknown): Record<string, unknown> | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error(`expected \`meta\` to be an object, got ${shown(value)}`);
}
