/**
 * The body of a page as text, split into the texts of its items. Only one item is parsed at a time: a whole parsed page may
 * take many times the memory.
 */

import { charsetIn, decodeText } from "../../base/charset.ts";
import { shown, toError } from "../../base/errors.ts";
import { elementSpans, RawJson, type Span, spanAt, textAt } from "../../base/json-text.ts";
import { SourceAnswered } from "../source.ts";
import { describeField, type Field, type FieldInfo, pathOf, pathTo, readField } from "./field.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true });

export interface PageItem {
  /** As received. */
  bytes(): Uint8Array;
  /** @throws Error for bytes that are not text */
  text(): string;
  /** The same for finding its id: bytes that are not text become U+FFFD. */
  readableText(): string;
}

export interface PageText {
  readonly items: readonly PageItem[];
  /** Returns the value of a field beside the items; a number that JavaScript would round is returned as text. */
  read(field: Field): unknown;
}

/** @throws SourceAnswered if it is not JSON, or has no array of items */
export function openPage(
  { bytes, contentType }: { bytes: Uint8Array; contentType?: string },
  { items: field, info }: { items: Field; info: FieldInfo },
): PageText {
  const { text, isBytes } = textOf(bytes, contentType);
  const readable = isBytes ? Buffer.from(text, "latin1").toString("utf8") : text;
  let parsed: { body: unknown } | undefined;
  const body = () => {
    parsed ??= { body: parse(readable) };
    return parsed.body;
  };
  const read = (wanted: Field) => readBeside(wanted, { readable, body, info });
  if (typeof field === "function")
    return { items: itemsOfFunction(field, body(), { text, info, isBytes }), read };
  const span = spanAt(text, pathOf(field));
  const items = span === undefined ? undefined : itemsAt(text, span, isBytes);
  if (items !== undefined) return { items, read };
  const found = readField(field, body(), info);
  const where = describeField(field);
  throw new SourceAnswered(
    `expected an array of items${where === "" ? "" : ` at \`${where}\``}, got ${shown(found)}; see \`items\``,
  );
}

/** UTF-8 with a few bad bytes is read byte by byte, so that only the items that hold them are set aside. */
function textOf(bytes: Uint8Array, contentType?: string): { text: string; isBytes: boolean } {
  const charset = charsetIn(contentType);
  try {
    return { text: decodeText(bytes, charset), isBytes: false };
  } catch (error) {
    if (/^utf-?8$/i.test(charset ?? "utf-8")) {
      const { buffer, byteOffset, byteLength } = bytes;
      const text = Buffer.from(buffer, byteOffset, byteLength).toString("latin1");
      return { text: text.replace(/^\xef\xbb\xbf/, ""), isBytes: true };
    }
    throw new SourceAnswered(`the body cannot be read: ${toError(error).message}`, {
      cause: error,
    });
  }
}

/** Undefined if there is no array. @throws SourceAnswered if the text around the items is not JSON */
function itemsAt(text: string, span: Span, isBytes: boolean): PageItem[] | undefined {
  try {
    const spans = elementSpans(text, span);
    if (spans === undefined) return undefined;
    JSON.parse(`${text.slice(0, span.start)}[]${text.slice(span.end)}`);
    return spans.map(({ start, end }) => itemOf(text.slice(start, end), isBytes));
  } catch (error) {
    throw noJson(error);
  }
}

function itemOf(text: string, isBytes: boolean): PageItem {
  if (!isBytes)
    return { bytes: () => Buffer.from(text), text: () => text, readableText: () => text };
  const bytes = () => Buffer.from(text, "latin1");
  return {
    bytes,
    text: () => {
      try {
        return UTF8.decode(bytes());
      } catch (cause) {
        throw new Error("its bytes are not utf-8", { cause });
      }
    },
    readableText: () => bytes().toString("utf8"),
  };
}

/** An array of the body itself keeps the texts of its items; of one that the function made, only the values are known. */
function itemsOfFunction(
  field: (body: unknown, info: FieldInfo) => unknown,
  body: unknown,
  { text, info, isBytes }: { text: string; info: FieldInfo; isBytes: boolean },
): PageItem[] {
  const found = field(body, info);
  if (!Array.isArray(found)) {
    throw new SourceAnswered(
      `expected an array of items at \`(function)\`, got ${shown(found)}; see \`items\``,
    );
  }
  const made = found.map((value) => JSON.stringify(value) ?? "null");
  const path = isBytes ? undefined : pathTo(body, found);
  const span = path === undefined ? undefined : spanAt(text, path);
  const own = span === undefined ? undefined : elementSpans(text, span);
  return made.map((json, i) => {
    const at = own?.length === made.length ? own[i] : undefined;
    const exact = at === undefined ? undefined : text.slice(at.start, at.end);
    const isSame = exact !== undefined && JSON.stringify(JSON.parse(exact)) === json;
    return itemOf(isSame ? exact : json, false);
  });
}

interface Beside {
  readable: string;
  body: () => unknown;
  info: FieldInfo;
}

function readBeside(field: Field, { readable, body, info }: Beside): unknown {
  if (typeof field === "function") return readField(field, body(), info);
  const text = textAt(readable, pathOf(field));
  // of a value without text, only the length of an array is available
  if (text === undefined)
    return /(?:^|\.)length$/.test(field) ? readField(field, body(), info) : undefined;
  const value = parse(text);
  const isRounded = typeof value === "number" && !Number.isSafeInteger(value);
  return isRounded && /^-?\d+$/.test(text) ? text : value;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw noJson(error);
  }
}

function noJson(error: unknown): SourceAnswered {
  return new SourceAnswered(`the body is not JSON: ${toError(error).message}`, { cause: error });
}

/** The text of the value that a field found in an item, if the item contains it unchanged. */
export function exactIn(
  field: Field,
  found: unknown,
  item: { value: unknown; text: string },
): unknown {
  if (typeof field !== "function") {
    const text = found === undefined ? undefined : textAt(item.text, pathOf(field));
    return text === undefined ? found : new RawJson(text);
  }
  if (typeof found !== "object" || found === null) return found;
  const path = pathTo(item.value, found);
  const text = path === undefined ? undefined : textAt(item.text, path);
  if (text === undefined) return found;
  // the function may have changed it
  return JSON.stringify(found) === JSON.stringify(JSON.parse(text)) ? new RawJson(text) : found;
}
