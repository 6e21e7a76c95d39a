/** The kinds of fields that options are made of. Each says what it takes once, for code, command line and forms. */

import {
  DURATION_MS_MAX,
  type Duration,
  durationMs,
  showBound,
  TIMER_MS_MAX,
} from "../base/duration.ts";
import { RawJson, rawJson } from "../base/json-text.ts";
import { isRecord } from "../base/options.ts";
import { isName, isStorable } from "../base/text.ts";
import { messageOf, read } from "../base/thrown.ts";
import { isStorableTime } from "../base/time.ts";
import { type Field, field, mapped, nearestHint, type Place, wrong } from "./field.ts";
import { list, unique } from "./parts.ts";

const NAME_CHARS_MAX = 500;
const TEXT_CHARS_MAX = 10_000;
const BIGINT_MAX = 9_223_372_036_854_775_807n;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** What `eventId` expects. */
const EVENT_ID = "a UUID such as 019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21";
const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/;
/** "a, b or c" */
const EITHER = new Intl.ListFormat("en-GB", { type: "disjunction" });
const NUMBER = /^-?\d+(?:\.\d+)?$/;
const BARE_NUMBER = /^\d+(\.\d+)?$/;
/** In a config. */
const YES_OR_NO: ReadonlyMap<string, boolean> = new Map([
  ...["true", "yes", "on"].map((word) => [word, true] as const),
  ...["false", "no", "off"].map((word) => [word, false] as const),
]);
const AMOUNT = /^([^=]+)=(\d{1,15})$/;
const EVENT_PATTERN = /^[A-Za-z0-9_.:*-]{1,200}$/;

/** True or left out. */
export function flag(help: string): Field<boolean> {
  return field({
    kind: "flag",
    help,
    shape: "",
    expected: "true or false",
    read: (given) => (typeof given === "boolean" ? given : undefined),
    fromText: (text) => YES_OR_NO.get(text) ?? text,
  });
}

export function integer(spec: {
  help: string;
  min?: number;
  max: number;
  shape?: string;
}): Field<number> {
  const { help, min = 1, max, shape = "n" } = spec;
  return field({
    kind: "integer",
    help,
    shape,
    expected: `an integer from ${min} to ${max}`,
    read: (given) => (isInteger(given) && given >= min && given <= max ? given : undefined),
    fromText: (text) => (/^\d{1,15}$/.test(text) ? Number(text) : text),
  });
}

function isInteger(given: unknown): given is number {
  return Number.isInteger(given);
}

/** Any number; with bounds, within them. `isOver`: the lower one is not included. */
export function number(spec: {
  help: string;
  min?: number;
  max?: number;
  isOver?: boolean;
}): Field<number> {
  const { help, min, max, isOver = false } = spec;
  const from = min === undefined ? "" : ` ${isOver ? "over" : "from"} ${min}`;
  const to = max === undefined ? "" : ` ${isOver ? "and up to" : "to"} ${max}`;
  const isWithin = (value: number) =>
    Number.isFinite(value) &&
    (min === undefined || value > min || (!isOver && value === min)) &&
    (max === undefined || value <= max);
  return field({
    kind: "number",
    help,
    shape: "n",
    expected: `a number${from}${to}`,
    read: (given) => (typeof given === "number" && isWithin(given) ? given : undefined),
    fromText: (text) => (NUMBER.test(text) ? Number(text) : text),
  });
}

/** A text with a rule of its own. */
export function matching(expected: string, fits: (text: string) => boolean): Field<string> {
  return field({
    kind: "text",
    help: expected,
    shape: "text",
    expected,
    read: (given) => (typeof given === "string" && fits(given) ? given : undefined),
  });
}

/** What code names: a job, a process, a step. */
export function identifier(charsMax: number): Field<string> {
  const shape = new RegExp(`^[A-Za-z][A-Za-z0-9_.:-]{0,${charsMax - 1}}$`);
  return matching(
    `1 to ${charsMax} letters, digits, "_", ".", ":" and "-", starting with a letter`,
    (text) => shape.test(text),
  );
}

const LOWER_NAME = /^[a-z][a-z0-9_.-]{0,79}$/;

/** A name that is also that of a scope, and of a file that turns it off. */
export function lowerName(except: readonly string[] = []): Field<string> {
  const not = except.map((one) => `"${one}"`).join(" or ");
  return matching(
    `1 to 80 lower-case letters, digits, "_", "." and "-", beginning with a letter${not && `, and not ${not}`}`,
    (text) => LOWER_NAME.test(text) && !except.includes(text),
  );
}

/** A function that the app gives. */
export function func<F extends (...given: never[]) => unknown>(of: string): Field<F> {
  return field<F>({
    kind: "function",
    help: of,
    shape: "function",
    expected: `a function ${of}`,
    read: (given) => (typeof given === "function" ? (given as F) : undefined),
  });
}

/** A text that PostgreSQL can store and an index can hold. */
export function name(
  help: string,
  shape = "name",
  charsMax: number = NAME_CHARS_MAX,
): Field<string> {
  return field({
    kind: "name",
    help,
    shape,
    expected: `a text of 1 to ${charsMax} characters that PostgreSQL can store (no \\u0000, no half of an emoji)`,
    read: (given) => (isName(given, charsMax) ? given : undefined),
  });
}

/** The same name, which must not consist of spaces. */
export function notBlank(one: Field<string>): Field<string> {
  return mapped(one, (given, place) => {
    if (given.trim() !== "") return given;
    throw wrong(place, `a text of 1 to ${NAME_CHARS_MAX} characters`, given);
  });
}

/** A longer text. */
export function text(
  help: string,
  shape = "text",
  charsMax: number = TEXT_CHARS_MAX,
): Field<string> {
  return field({
    kind: "text",
    help,
    shape,
    expected: `a text of 1 to ${charsMax} characters that PostgreSQL can store (no \\u0000, no half of an emoji)`,
    read: (given) =>
      typeof given === "string" && given !== "" && given.length <= charsMax && isStorable(given)
        ? given
        : undefined,
  });
}

/** `a,b,c` when typed. */
export function names(help: string, shape = "names"): Field<readonly string[], string[]> {
  return unique(list(name(help), { help, shape }));
}

/** An object of integers in code, `a=1,b=2` when typed. */
export function amounts(spec: {
  help: string;
  shape: string;
  max: number;
}): Field<Readonly<Record<string, number>>> {
  const { help, shape, max } = spec;
  const isAmount = (given: unknown) => isInteger(given) && given >= 1 && given <= max;
  return field({
    kind: "amounts",
    help,
    shape,
    expected: `names with integers from 1 to ${max}, such as high=5,low=1`,
    inCode: `an object of integers from 1 to ${max}, such as { high: 5, low: 1 }`,
    read: (given) =>
      isRecord(given) && Object.keys(given).length > 0 && Object.values(given).every(isAmount)
        ? { ...(given as Record<string, number>) }
        : undefined,
    fromText: (text) => {
      const pairs = text.split(",").map((pair) => AMOUNT.exec(pair.trim()) ?? []);
      const names = pairs.map(([, key]) => key);
      if (names.includes(undefined) || new Set(names).size < names.length) return text;
      return Object.fromEntries(pairs.map(([, key, count]) => [key, Number(count)]));
    },
  });
}

export function choice<const Choice extends string>(
  choices: readonly Choice[],
  help: string = choices.join(", "),
  shape = "name",
): Field<Choice> {
  return field({
    kind: "choice",
    help,
    shape,
    choices,
    expected: `one of ${choices.join(", ")}`,
    read: (given) => choices.find((one) => one === given),
    hint: (given) => nearestHint(given, choices),
  });
}

/** Read as milliseconds. A typed bare number is refused, except 0: both seconds and milliseconds have been meant by it. */
export function duration(spec: {
  help: string;
  minMs?: number;
  maxMs?: number;
  shape?: string;
}): Field<Duration, number> {
  const { help, minMs = 0, maxMs = TIMER_MS_MAX, shape = "duration" } = spec;
  const bounds = `a duration from ${showBound(minMs)} to ${showBound(maxMs)}`;
  const isWithin = (ms: number) => ms >= minMs && ms <= maxMs;
  const such = (["500ms", "90s", "1h30m"] as const).filter((one) => isWithin(durationMs(one, "")));
  const suchAs = (all: string[]) => (all.length === 0 ? "" : `, such as ${EITHER.format(all)}`);
  return field({
    kind: "duration",
    help,
    shape,
    expected: `${bounds}${suchAs(such)}`,
    inCode: `${bounds}${suchAs(such.map((one) => `"${one}"`))}, or milliseconds`,
    read: (given) => {
      const ms = durationOf(given);
      return ms !== undefined && isWithin(ms) ? ms : undefined;
    },
    fromText: unitless,
  });
}

function durationOf(given: unknown): number | undefined {
  try {
    return durationMs(given as Duration, "duration");
  } catch {
    return undefined;
  }
}

/** A bare number is refused, except 0. */
function unitless(typed: string, place: Place): unknown {
  if (/^0+$/.test(typed)) return 0;
  if (!BARE_NUMBER.test(typed)) return typed;
  const hint = `write ${typed}s for seconds or ${typed}ms for milliseconds`;
  throw wrong(place, "a duration with its unit", typed, hint);
}

/** A time with its zone; a `Date` in code. */
export function time(help: string): Field<Date> {
  return field({
    kind: "time",
    help,
    shape: "time",
    expected: "a time with its zone, such as 2030-01-31T12:00:00Z",
    inCode: "a valid Date of the years 1 to 9999",
    read: (given) => (given instanceof Date && isStorableTime(given) ? given : undefined),
    fromText: timeOf,
  });
}

/** Without a zone it would mean something else on each machine. */
export function timeOf(typed: string): Date | undefined {
  if (!ISO_TIME.test(typed)) return undefined;
  const value = new Date(typed);
  return Number.isNaN(value.getTime()) ? undefined : value;
}

/** When something ends: a time, or a duration from now by the database's clock. */
export type End = { until: Date } | { forMs: number };

export function end(help: string): Field<Date | Duration, End> {
  return field<Date | Duration, End>({
    kind: "end",
    help,
    shape: "time",
    expected: "a time such as 2030-01-31T12:00:00Z, or a duration such as 90s, 30m or 2d",
    inCode: `a valid Date, or a duration up to ${showBound(DURATION_MS_MAX)} such as "90s" or "2d"`,
    read: (given) => {
      if (given instanceof Date) return isStorableTime(given) ? { until: given } : undefined;
      const forMs = durationOf(given);
      return forMs === undefined || forMs === 0 ? undefined : { forMs };
    },
    fromText: (typed, place) => timeOf(typed) ?? unitless(typed, place),
  });
}

/** The id of a task, a delivery, a request or an event of the inbox, as text. */
export function numberId(help: string, shape = "id"): Field<string | number | bigint, string> {
  return field({
    kind: "numberId",
    help,
    shape,
    expected: "a number such as 42",
    read: numberIdOf,
    hint: (given) => (numberIdOf(read(given, "id")) === undefined ? undefined : "give its `id`"),
  });
}

/** Returns the digits as PostgreSQL writes them; undefined for anything else. */
export function numberIdOf(given: unknown): string | undefined {
  const digits = Number.isSafeInteger(given) || typeof given === "bigint" ? String(given) : given;
  if (typeof digits !== "string" || !/^\d{1,19}$/.test(digits)) return undefined;
  return BigInt(digits) <= BIGINT_MAX ? BigInt(digits).toString() : undefined;
}

export function eventId(help: string, shape = "id"): Field<string> {
  return field({
    kind: "eventId",
    help,
    shape,
    expected: EVENT_ID,
    read: eventIdOf,
  });
}

/** Returns the id of an event as PostgreSQL writes it; undefined for anything else. */
export function eventIdOf(given: unknown): string | undefined {
  return typeof given === "string" && UUID.test(given) ? given.toLowerCase() : undefined;
}

/** `order.*` as the pattern of LIKE. */
export function eventPattern(help: string): Field<string> {
  return field({
    kind: "eventPattern",
    help,
    shape: "pattern",
    expected: 'an event name, "*" for any run of characters, such as "order.*"',
    read: (given) =>
      typeof given === "string" && EVENT_PATTERN.test(given)
        ? given.replaceAll("_", "\\_").replaceAll("*", "%")
        : undefined,
  });
}

/** Any JSON. What is typed is passed on as it was typed. */
export function json(help: string): Field<unknown> {
  return field<unknown>({
    kind: "json",
    help,
    shape: "json",
    expected: "JSON",
    read: (given) => given,
    fromText: jsonOf,
  });
}

export function jsonObject(help: string): Field<Record<string, unknown>> {
  return field<Record<string, unknown>>({
    kind: "jsonObject",
    help,
    shape: "json",
    expected: 'a JSON object such as \'{"tenant":"a"}\'',
    read: (given) => {
      const isObject = isRecord(given instanceof RawJson ? given.toJSON() : given);
      return isObject ? (given as Record<string, unknown>) : undefined;
    },
    fromText: jsonOf,
  });
}

function jsonOf(typed: string, place: Place): RawJson {
  try {
    return rawJson(typed);
  } catch (error) {
    const why = messageOf(read(error, "cause") ?? error);
    throw wrong(place, "JSON", typed, `${why}; quote it for the shell: '{"a":1}'`);
  }
}
