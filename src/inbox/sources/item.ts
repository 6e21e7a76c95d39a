/**
 * Makes one decoded item of a source into an event. What is wrong with it is said, and it is set aside alone with its
 * bytes; only where its id cannot be read is the whole page bad, since nobody could name what was set aside.
 */

import { shown, toError } from "../../base/errors.ts";
import { toJson } from "../../base/json.ts";
import { isStorableTime } from "../contract.ts";
import { type BadEvent, isBad, type SourceEvent } from "../source.ts";
import { type Field, type FieldInfo, NO_INFO, readField } from "./field.ts";

export const ID_CHARS_MAX = 500;
const NAME_CHARS_MAX = 255;
const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;
/** Seconds stay below it until the year 5138, milliseconds are above it since 1973. */
const SECONDS_MAX = 100_000_000_000;

export interface ItemFields {
  /** Default `id`. Text, or a whole number that JavaScript can hold (to 2^53). */
  id?: Field;
  /** The name of the event; left out: it has none. */
  eventName?: Field;
  /** When it happened: ISO 8601, or seconds or milliseconds since 1970. */
  occurredAt?: Field;
  /** Default: the item itself. */
  payload?: Field;
  meta?: Field;
}

export const ITEM_FIELDS: readonly (keyof ItemFields)[] = [
  "id",
  "eventName",
  "occurredAt",
  "payload",
  "meta",
];

interface Item {
  value: unknown;
  /** As received, for what has to be set aside. */
  raw: () => Uint8Array;
  info?: FieldInfo;
}

/** @throws Error when the id cannot be read */
export function eventOf({ value, raw, info }: Item, fields: ItemFields): SourceEvent | BadEvent {
  const id = idOf(readField(fields.id ?? "id", value, info ?? NO_INFO), fields.id ?? "id");
  try {
    return eventWith(id, value, { fields, info: info ?? NO_INFO });
  } catch (error) {
    return { id, raw: raw(), error: toError(error).message };
  }
}

/** Of what is read once more. @throws Error with what is still wrong with it */
export function requireGood(event: SourceEvent | BadEvent): SourceEvent {
  if (isBad(event)) throw new Error(event.error);
  return event;
}

/** @throws Error for what cannot be the id of an event */
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

function eventWith(id: string, item: unknown, { fields, info }: Reading): SourceEvent {
  const read = (field: Field | undefined) =>
    field === undefined ? undefined : readField(field, item, info);
  const payload = readField(fields.payload ?? "", item, info);
  if (payload === undefined) throw new Error("there is no payload where it is looked for");
  return storable({
    id,
    ...optional("name", nameOf(read(fields.eventName))),
    ...optional("occurredAt", timeOf(read(fields.occurredAt))),
    payload,
    ...optional("meta", metaOf(read(fields.meta))),
  });
}

/** @throws Error when PostgreSQL could not store it: one such event must not fail its page. */
export function storable(event: SourceEvent): SourceEvent {
  toJson(event.payload, { what: `payload of event ${event.id}`, bytesMax: PAYLOAD_BYTES_MAX });
  if (event.meta !== undefined) {
    toJson(event.meta, { what: `meta of event ${event.id}`, bytesMax: PAYLOAD_BYTES_MAX });
  }
  return event;
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

/** Milliseconds since 1970; NaN for what is no time. */
export function timeMs(value: unknown): number {
  if (typeof value === "number") return Math.abs(value) < SECONDS_MAX ? value * 1_000 : value;
  return typeof value === "string" && /^[+-]?\d{4}/.test(value) ? Date.parse(value) : Number.NaN;
}

function metaOf(value: unknown): Record<string, unknown> | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error(`expected \`meta\` to be an object, got ${shown(value)}`);
}

function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes("\u0000");
}
