/**
 * Finds parts of a JSON text without parsing it, so that they can be passed on unchanged: JavaScript's numbers lose digits.
 * Reads the text once, with a counter instead of recursion. It does not check the text: parse the parts to know if they are
 * valid.
 */

import { randomUUID } from "node:crypto";
import { PawlError, shown } from "./errors.ts";

const TEXT_COLUMN = "_text";
const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const BACKSLASH = 92;
const OPEN_LIST = 91;
const CLOSE_LIST = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

/**
 * A value given as JSON text: stored and sent exactly as that text, with all digits. Inside another value it becomes the
 * parsed JavaScript value.
 */
export class RawJson {
  readonly text: string;

  /** `text` has to be JSON: `rawJson` checks that. */
  constructor(text: string) {
    this.text = text;
  }

  toJSON(): unknown {
    return JSON.parse(this.text);
  }
}

/**
 * Wraps JSON text, so that it is stored and sent exactly as it is.
 *
 * @throws PawlError `payload_not_json`
 */
export function rawJson(text: string): RawJson {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new PawlError("payload_not_json", `rawJson: the text is not JSON: ${shown(text)}`, {
      cause: error,
    });
  }
  return new RawJson(text);
}

/** With `payload` and `meta`, parsed from their texts when they are first read. */
export function parsedLazily<Row extends { payloadText: string; metaText: string }>(
  row: Row,
): Row & { readonly payload: unknown; readonly meta: Record<string, unknown> } {
  const payload = once(() => JSON.parse(row.payloadText) as unknown);
  const meta = once(() => JSON.parse(row.metaText) as Record<string, unknown>);
  return {
    ...row,
    get payload() {
      return payload();
    },
    get meta() {
      return meta();
    },
  };
}

/**
 * Makes rows for people, with names as `named` makes them from columns: a column `payload_text` becomes `payload`, parsed at
 * the first read, and `payloadText`. The latter is not enumerable, so that a row that is compared or logged has its content
 * only once.
 */
export function parsedColumns<Row>(
  columns: Record<string, unknown>,
  named: (column: string) => string,
): Row {
  const row: Record<string, unknown> = {};
  for (const [column, value] of Object.entries(columns)) {
    if (!column.endsWith(TEXT_COLUMN)) {
      row[named(column)] = value;
      continue;
    }
    const name = named(column.slice(0, -TEXT_COLUMN.length));
    const parse = once(() => (typeof value === "string" ? (JSON.parse(value) as unknown) : null));
    Object.defineProperty(row, name, { get: parse, enumerable: true });
    Object.defineProperty(row, `${name}Text`, { value });
  }
  return row as Row;
}

/** A row to write as JSON: values that it also has as text are written as that text, without parsing. */
export function exactRow(row: object): Record<string, unknown> {
  const all = row as Record<string, unknown>;
  const own = Object.keys(all).filter(
    (name) => !(name.endsWith("Text") && name.slice(0, -4) in all),
  );
  return Object.fromEntries(
    own.map((name) => {
      const text = all[`${name}Text`];
      return [name, typeof text === "string" ? new RawJson(text) : all[name]];
    }),
  );
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** The position of a value, without the white space around it. */
export interface Span {
  readonly start: number;
  /** The position after the last character. */
  readonly end: number;
}

/** Returns undefined if nothing is there. As in `JSON.parse`, the last of several members with one name counts. */
export function spanAt(json: string, path: readonly string[]): Span | undefined {
  let found: Span | undefined = spanFrom(json, 0);
  for (const name of path) {
    if (found === undefined) return undefined;
    const opening = json.charCodeAt(found.start);
    if (opening === OPEN_OBJECT) found = memberOf(json, found, name);
    else if (opening === OPEN_LIST) found = elementOf(json, found, name);
    else return undefined;
  }
  return found;
}

export function textAt(json: string, path: readonly string[]): string | undefined {
  const span = spanAt(json, path);
  return span === undefined ? undefined : json.slice(span.start, span.end);
}

/** Positions of the elements of an array; undefined if it is not an array. @throws Error if something between them is not JSON */
export function elementSpans(json: string, { start, end }: Span): Span[] | undefined {
  if (json.charCodeAt(start) !== OPEN_LIST) return undefined;
  const spans: Span[] = [];
  let at = skipSpace(json, start + 1);
  if (json.charCodeAt(at) === CLOSE_LIST) return spans;
  for (;;) {
    const span = spanFrom(json, at);
    if (span.end > end || span.end === span.start) throw notJson(at);
    spans.push(span);
    at = skipSpace(json, span.end);
    const next = json.charCodeAt(at);
    if (next === CLOSE_LIST) return spans;
    if (next !== COMMA) throw notJson(at);
    at = skipSpace(json, at + 1);
  }
}

/**
 * Returns `text` if `value` still is what `JSON.parse` makes of it; otherwise undefined. For values that a function of the
 * app passes on and may have changed.
 */
export function textIfSame(value: unknown, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  try {
    return JSON.stringify(value) === JSON.stringify(JSON.parse(text)) ? text : undefined;
  } catch {
    return undefined;
  }
}

/** Returns a value as compact JSON; every `RawJson` in it keeps its text. */
export function exactJson(value: unknown): string {
  const texts: string[] = [];
  const mark = `raw-${randomUUID()}-`;
  const json = JSON.stringify(value, function (this: Record<string, unknown>, name, inner) {
    const own: unknown = this[name];
    if (!(own instanceof RawJson)) return inner as unknown;
    texts.push(own.text);
    return mark + (texts.length - 1);
  });
  return json.replace(new RegExp(`"${mark}(\\d+)"`, "g"), (_, at) => texts[Number(at)] ?? "null");
}

/** Returns an object as JSON; members that are `RawJson` keep their texts. */
export function objectText(fields: Readonly<Record<string, unknown>>): string {
  const members = Object.entries(fields).flatMap(([name, value]) => {
    const text = value instanceof RawJson ? value.text : JSON.stringify(value);
    return text === undefined ? [] : [`${JSON.stringify(name)}:${text}`];
  });
  return `{${members.join(",")}}`;
}

/** `fields` after those of an object's text; the last of one name counts. */
export function withFields(objectText: string, fields: Readonly<Record<string, unknown>>): string {
  const own = objectText.trim().slice(0, -1).trimEnd();
  const more = JSON.stringify(fields).slice(1);
  return own === "{" || more === "}" ? own + more : `${own},${more}`;
}

/** The strings of a JSON text, those that name members too, with their quotation marks. */
export function* stringSpans(json: string): Generator<Span> {
  for (let start = json.indexOf('"'); start >= 0; ) {
    const end = skipString(json, start);
    yield { start, end };
    start = json.indexOf('"', end);
  }
}

/** Brackets, commas, colons, and whole strings, numbers and words, without the white space between them. */
export function* tokensOf(json: string): Generator<string> {
  for (let at = skipSpace(json, 0); at < json.length; at = skipSpace(json, at)) {
    const start = at;
    const code = json.charCodeAt(at);
    if (code === QUOTE) at = skipString(json, at);
    else if (isOpening(code)) at += 1;
    else at = Math.max(skipScalar(json, at), at + 1);
    yield json.slice(start, at);
  }
}

function memberOf(json: string, { start, end }: Span, name: string): Span | undefined {
  let found: Span | undefined;
  for (let at = skipSpace(json, start + 1); json.charCodeAt(at) === QUOTE; ) {
    const key = spanFrom(json, at);
    const colon = skipSpace(json, key.end);
    if (json.charCodeAt(colon) !== COLON) return undefined;
    const value = spanFrom(json, colon + 1);
    if (value.end > end) return undefined;
    if (isKey(json, key, name)) found = value;
    at = skipSpace(json, value.end);
    if (json.charCodeAt(at) === COMMA) at = skipSpace(json, at + 1);
  }
  return found;
}

function isKey(json: string, { start, end }: Span, name: string): boolean {
  const plain = json.slice(start + 1, end - 1);
  if (!plain.includes("\\")) return plain === name;
  try {
    return JSON.parse(json.slice(start, end)) === name;
  } catch {
    return false;
  }
}

function elementOf(json: string, span: Span, name: string): Span | undefined {
  if (!/^(?:0|[1-9]\d{0,14})$/.test(name)) return undefined;
  try {
    return elementSpans(json, span)?.[Number(name)];
  } catch {
    return undefined;
  }
}

function spanFrom(json: string, from: number): Span {
  const start = skipSpace(json, from);
  return { start, end: skipValue(json, start) };
}

function skipSpace(json: string, from: number): number {
  let at = from;
  for (let code = json.charCodeAt(at); isSpace(code); code = json.charCodeAt(at)) at += 1;
  return at;
}

/** RFC 8259 section 2. */
function isSpace(code: number): boolean {
  return code === 32 || code === 10 || code === 13 || code === 9;
}

function skipValue(json: string, start: number): number {
  const code = json.charCodeAt(start);
  if (code === QUOTE) return skipString(json, start);
  return isOpening(code) ? skipNested(json, start) : skipScalar(json, start);
}

function skipNested(json: string, start: number): number {
  let depth = 0;
  for (let at = start; at < json.length; ) {
    const code = json.charCodeAt(at);
    if (isOpening(code)) depth += 1;
    else if (isClosing(code)) depth -= 1;
    at = code === QUOTE ? skipString(json, at) : at + 1;
    if (depth === 0) return at;
  }
  return json.length;
}

function skipScalar(json: string, start: number): number {
  for (let at = start; at < json.length; at += 1) {
    const code = json.charCodeAt(at);
    if (code === COMMA || code === COLON || isSpace(code) || isClosing(code)) return at;
  }
  return json.length;
}

function isOpening(code: number): boolean {
  return code === OPEN_OBJECT || code === OPEN_LIST;
}

function isClosing(code: number): boolean {
  return code === CLOSE_OBJECT || code === CLOSE_LIST;
}

function skipString(json: string, start: number): number {
  for (let at = json.indexOf('"', start + 1); at >= 0; at = json.indexOf('"', at + 1)) {
    let before = at;
    while (json.charCodeAt(before - 1) === BACKSLASH) before -= 1;
    if ((at - before) % 2 === 0) return at + 1;
  }
  return json.length;
}

function notJson(at: number): Error {
  return new Error(`not JSON at character ${at + 1}`);
}
