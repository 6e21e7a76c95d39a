/**
 * Reads what foreign code threw or answered. Nothing here throws: a getter or a proxy may throw at every touch, and a
 * field may hold anything. Whoever handles a foreign error reads it through this module, and through nothing else.
 */

import { types } from "node:util";
import { jsonInParts } from "./json-parts.ts";
import { maskText } from "./mask.ts";
import { cut, TEXT_CHARS_MAX } from "./text-cut.ts";

const CAUSES_MAX = 5;
const ERRORS_MAX = 10;
/** The field's value; undefined when there is none or reading it throws. */
export function read(value: unknown, field: PropertyKey): unknown {
  if (value === null || (typeof value !== "object" && typeof value !== "function"))
    return undefined;
  try {
    return (value as Record<PropertyKey, unknown>)[field];
  } catch {
    return undefined;
  }
}

/** `instanceof`, which a proxy can make throw. */
export function isA<T>(value: unknown, type: abstract new (...args: never[]) => T): value is T {
  try {
    return value instanceof type;
  } catch {
    return false;
  }
}

/** An Error of this or another realm, or what looks like one. */
export function isErrorLike(thrown: unknown): boolean {
  if (types.isNativeError(thrown) || isA(thrown, Error)) return true;
  return typeof read(thrown, "message") === "string" && typeof read(thrown, "stack") === "string";
}

/** A text that jsonb and log lines can hold. */
export function storable(text: string, charsMax: number = TEXT_CHARS_MAX): string {
  return cut(text, charsMax).toWellFormed().replaceAll("\u0000", "\\0");
}

/** What was thrown, in words: the message, or what stands in its place. URLs and tokens in it are masked. */
export function messageOf(thrown: unknown): string {
  return maskText(storable(ownMessage(thrown)));
}

function ownMessage(thrown: unknown): string {
  if (typeof thrown === "string") return thrown;
  if (!isErrorLike(thrown)) return `thrown: ${cut(shownWhole(thrown), TEXT_CHARS_MAX)}`;
  const message = read(thrown, "message");
  if (message !== undefined && message !== "") return asText(message);
  const inner = innerErrors(thrown)
    .map(ownCode)
    .filter((text) => text !== "");
  return inner.join("; ");
}

/** A refused connection may have a code and no message. */
function ownCode(error: unknown): string {
  const message = read(error, "message");
  if (message !== undefined && message !== "") return cut(asText(message), 500);
  const code = read(error, "code");
  return code === undefined ? "" : cut(asText(code), 100);
}

/** Of an AggregateError, the first ten. */
export function innerErrors(thrown: unknown): unknown[] {
  const errors = read(thrown, "errors");
  if (!isArray(errors)) return [];
  const length = Math.min(Number(read(errors, "length")) || 0, ERRORS_MAX);
  const all = Array.from({ length }, (_, i) => read(errors, i));
  return all.some(isErrorLike) ? all : [];
}

function isArray(value: unknown): boolean {
  try {
    return Array.isArray(value);
  } catch {
    return false; // a revoked proxy
  }
}

/** The causes in words, the nearest first; undefined when there is none. */
export function causesOf(thrown: unknown): string | undefined {
  const causes: string[] = [];
  const seen = new Set<unknown>([thrown]);
  for (let cause = read(thrown, "cause"); cause !== undefined; cause = read(cause, "cause")) {
    if (causes.length === CAUSES_MAX || seen.has(cause)) break;
    seen.add(cause);
    const text = messageOf(cause);
    const code = read(cause, "code");
    causes.push(text === "" && typeof code === "string" ? code : text);
  }
  return causes.length === 0 ? undefined : storable(causes.join("; caused by: "));
}

/** Text of a field that should be a string. */
export function asText(value: unknown): string {
  return typeof value === "string" ? value : shownWhole(value);
}

/** JSON where there is one, else the nearest that says what it is. */
export function shownWhole(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "symbol") return value.toString();
  if (typeof value === "function") {
    const name = read(value, "name");
    return `function ${typeof name === "string" && name !== "" ? name : "(anonymous)"}`;
  }
  try {
    return jsonInParts(value) ?? String(value);
  } catch {
    return tagOf(value);
  }
}

function tagOf(value: unknown): string {
  try {
    return Object.prototype.toString.call(value);
  } catch {
    return "something that cannot be read";
  }
}
