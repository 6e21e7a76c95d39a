/** Reads what people type: every value is checked here, before the database is asked. */

import { durationMs, TIMER_MS_MAX } from "../base/duration.ts";
import { PawlError, shown, toError } from "../base/errors.ts";
import { didYouMean, nearest } from "../base/suggest.ts";

const BIGINT_MAX = 9_223_372_036_854_775_807n;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/;
const YEARS_10_MS = 10 * 365 * 86_400_000;
const SOURCE = "source:";
const EVENT_PATTERN = /^[A-Za-z0-9_.:*-]{1,200}$/;

export function wholeNumber(flag: string, max: number, min = 1): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : -1;
    if (value >= min && value <= max) return value;
    throw refused(flag, `an integer from ${min} to ${max}`, text);
  };
}

/** A bare number is seconds; otherwise `500ms`, `90s`, `1h30m`. Answers milliseconds. */
export function duration(flag: string, minMs: number): (text: string) => number {
  return (text) => {
    const expected = `a duration from ${minMs} ms to 24 days, such as 30 (seconds), 500ms, 90s or 1h30m`;
    const value = readDuration(text);
    if (value !== undefined && value >= minMs && value <= TIMER_MS_MAX) return value;
    throw refused(flag, expected, text);
  };
}

function readDuration(text: string): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return Math.round(Number(text) * 1_000);
  try {
    return durationMs(text, "duration");
  } catch {
    return undefined;
  }
}

const SIZE = /^(\d+(?:\.\d+)?)([KMG]?)B?$/i;
const UNIT_BYTES: Record<string, number> = { "": 1, K: 1_024, M: 1_048_576, G: 1_073_741_824 };
const SIZE_BYTES_MIN = 1_048_576;

/** `256M`; K, M and G are powers of 1,024. Answers bytes. */
export function byteSize(flag: string): (text: string) => number {
  return (text) => {
    const [, digits = "", unit = ""] = SIZE.exec(text) ?? [];
    const bytes = Math.round(Number(digits || "NaN") * (UNIT_BYTES[unit.toUpperCase()] ?? 1));
    if (bytes >= SIZE_BYTES_MIN && Number.isSafeInteger(bytes)) return bytes;
    throw refused(flag, "a size of at least 1M, such as 256M or 1.5G", text);
  };
}

/** When something ends or starts: a time, or a duration from now by the database's clock. */
export type End = { until: Date } | { forMs: number };

export function timeOrDuration(flag: string): (text: string) => End {
  return (text) => {
    const forMs = readDuration(text);
    if (forMs !== undefined && forMs > 0 && forMs <= YEARS_10_MS) return { forMs };
    const until = readTime(text);
    if (until !== undefined) return { until };
    throw refused(
      flag,
      "a time such as 2030-01-31T12:00:00Z, or a duration such as 90 (seconds), 30m or 2d",
      text,
    );
  };
}

export function isoTime(flag: string): (text: string) => Date {
  return (text) => {
    const time = readTime(text);
    if (time !== undefined) return time;
    throw refused(flag, "a time with its zone, such as 2030-01-31T12:00:00Z", text);
  };
}

/** Without a zone it would mean something else on each machine. */
function readTime(text: string): Date | undefined {
  if (!ISO_TIME.test(text)) return undefined;
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

/** `a,b,c`, each once. */
export function nameList(flag: string): (text: string) => string[] {
  return (text) => {
    const names = text.split(",").map((name) => name.trim());
    if (names.every((name) => name !== "")) return [...new Set(names)];
    throw refused(flag, "names separated by commas, such as high,normal", text);
  };
}

export function oneOf<Choice extends string>(
  flag: string,
  choices: readonly Choice[],
): (text: string) => Choice {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    const near = nearest(text, choices);
    const hint = near === undefined ? undefined : `did you mean "${near}"?`;
    throw refused(flag, `one of ${choices.join(", ")}`, text, hint);
  };
}

/** Any JSON. */
export function jsonValue(flag: string): (text: string) => unknown {
  return (text) => {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw refused(
        flag,
        "JSON",
        text,
        `${toError(error).message}; quote it for the shell: '{"a":1}'`,
      );
    }
  };
}

export function jsonObject(flag: string): (text: string) => Record<string, unknown> {
  return (text) => {
    const value = jsonValue(flag)(text);
    if (isObject(value)) return value;
    throw refused(flag, 'a JSON object such as \'{"tenant":"a"}\'', text);
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `order:42`: the type ends at the first colon. */
export function aggregate(text: string): [type: string, id: string] {
  const at = text.indexOf(":");
  if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
  throw refused("--aggregate", "type:id such as order:42", text);
}

/** `order.*` as the pattern of LIKE. */
export function likePattern(text: string): string {
  if (EVENT_PATTERN.test(text)) return text.replaceAll("_", "\\_").replaceAll("*", "%");
  throw refused("--name", 'an event name, "*" for any run of characters, such as "order.*"', text);
}

/** A delivery's id is its task's id. */
export function taskId(text: string): string {
  if (/^\d{1,19}$/.test(text) && BigInt(text) <= BIGINT_MAX) return BigInt(text).toString();
  throw refused("the id", "a number such as 42", text);
}

/** What `pawl why` is asked about. */
export type WhyTarget = { task: string } | { event: string } | { source: string };

export function whyTarget(text: string): WhyTarget {
  if (UUID.test(text)) return { event: eventId(text) };
  if (/^\d+$/.test(text)) return { task: taskId(text) };
  if (text.startsWith(SOURCE)) return { source: text.slice(SOURCE.length) };
  throw refused("the id", "a number such as 42, the UUID of an event, or source:<name>", text);
}

export function eventId(text: string): string {
  if (UUID.test(text)) return text.toLowerCase();
  throw refused("the event's id", "a UUID such as 019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21", text);
}

/** @throws PawlError `unknown_queue`, `unknown_kind`, `unknown_destination` unless known */
export function requireKnown(
  code: "unknown_queue" | "unknown_kind" | "unknown_destination",
  name: string | undefined,
  known: readonly string[],
): void {
  if (name === undefined || known.includes(name)) return;
  const what = code.slice("unknown_".length);
  throw new PawlError(code, `no ${what} "${name}" in this database; ${didYouMean(name, known)}`, {
    data: { value: name },
  });
}

function refused(what: string, expected: string, value: string, hint?: string): PawlError {
  const more = hint === undefined ? "" : `; ${hint}`;
  return new PawlError(
    "invalid_option",
    `expected ${what} to be ${expected}, got ${shown(value)}${more}`,
    {
      data: { option: what, value },
    },
  );
}
