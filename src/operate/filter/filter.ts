/**
 * The filter language of lists: `state:dead queue:mail,sms kind:send-* age:>10m payload.user.id:42 -queue:spam`. This is its one
 * parser. A filter becomes terms, which a SQL function gets as a parameter: no text of a filter is ever part of a statement.
 */

import { durationMs } from "../../base/duration.ts";
import { PawlError, shown } from "../../base/errors.ts";
import { didYouMean } from "../../base/suggest.ts";
import { isStorable } from "../../base/text.ts";
import { type Field, fieldOf, type Place, wrong } from "../../options/field.ts";
import { numberIdOf, timeOf } from "../../options/kinds.ts";
import { FilterFault, type ScannedTerm, type ScannedValue, scanFilter } from "./scan.ts";

const FILTER_CHARS_MAX = 2_000;
const TERMS_MAX = 50;
const VALUES_MAX = 500;
const NUMBER = /^-?\d{1,15}(\.\d{1,15})?$/;

/**
 * What a field of a filter is compared as.
 * `text`: `*` stands for any characters. `part`: is contained, in any case. `age`: a duration that has passed since.
 * `time`: a duration ago, or a time. `json`: a value within JSON, by its path.
 */
export type FilterKind = "text" | "part" | "number" | "id" | "age" | "since" | "before" | "json";
export type FilterFields = Readonly<Record<string, FilterKind | FilterChoices>>;

export interface FilterChoices {
  readonly choices: readonly string[];
  /** Each row has one of them, so a term that leaves out all of them is refused. */
  readonly isOnEachRow?: true;
}

/** One condition; a row fits a filter if it fits all of its terms. */
export interface Term {
  field: string;
  isNot: boolean;
  op: "like" | "ilike" | "has" | "=" | "<" | "<=" | ">" | ">=";
  /** Any of these. For `like` and `ilike` patterns of SQL; durations in milliseconds, times as ISO text. */
  values: string[];
  path?: string[];
  /** As they were written, where each is a name without `*`. */
  names?: string[];
}

/** Reads a filter, from code as from the command line. */
export function filterField(help: string, fields: FilterFields): Field<string, Term[]> {
  return fieldOf({
    kind: "filter",
    help,
    shape: "filter",
    read: (given, place) => {
      if (typeof given !== "string" || given.length > FILTER_CHARS_MAX || !isStorable(given))
        throw wrong(place, `a filter of at most ${FILTER_CHARS_MAX} characters`, given);
      return parseFilter(given, fields, place);
    },
    asGiven: (typed) => typed,
  });
}

/** @throws PawlError `invalid_option` with the place of the fault in the text */
export function parseFilter(text: string, fields: FilterFields, place: Place): Term[] {
  try {
    const scanned = scanFilter(text);
    const last = scanned[TERMS_MAX];
    if (last !== undefined) throw new FilterFault(`more than ${TERMS_MAX} terms`, last.at, "");
    return scanned.map((term) => readTerm(term, fields));
  } catch (error) {
    if (!(error instanceof FilterFault)) throw error;
    const { where, label, option } = place;
    const got = error.found === "" ? "" : ` (${shown(error.found)})`;
    throw new PawlError(
      "invalid_option",
      `${where === undefined ? "" : `${where}: `}${label}, character ${error.at}${got}: ${error.message}`,
      { cause: error, data: { option, position: error.at } },
    );
  }
}

function readTerm(term: ScannedTerm, fields: FilterFields): Term {
  const [field = "", ...path] = term.name;
  const kind = Object.hasOwn(fields, field) ? fields[field] : undefined;
  const written = term.name.join(".");
  if (kind === undefined) {
    const near = didYouMean(field, Object.keys(fields));
    throw new FilterFault(`no field ${shown(field)}; ${near}`, term.at, written);
  }
  if (kind === "json" ? path.length === 0 || path.includes("") : path.length > 0) {
    const expected =
      kind === "json" ? `expected a path, such as ${field}.user.id` : "takes no path";
    throw new FilterFault(expected, term.at, written);
  }
  if (term.values.length > VALUES_MAX)
    throw new FilterFault(`more than ${VALUES_MAX} values`, term.at, written);
  const isPath = path.length > 0;
  return { field, isNot: term.isNot, ...(isPath && { path }), ...readValues(term, kind) };
}

function readValues(
  term: ScannedTerm,
  kind: FilterFields[string],
): Pick<Term, "op" | "values" | "names"> {
  const { values, comparison } = term;
  const texts = values.map(({ text }) => text);
  if (typeof kind === "object") {
    noComparison(term);
    for (const value of values) requireChoice(value, kind.choices, term.name.join("."));
    if (kind.isOnEachRow && term.isNot && kind.choices.every((one) => texts.includes(one)))
      throw new FilterFault(
        `\`-${term.name.join(".")}\` leaves out all there are, so nothing fits`,
        term.at,
        texts.join(","),
      );
    return { op: "=", values: texts };
  }
  switch (kind) {
    case "text":
      noComparison(term);
      return { op: "like", values: values.map(pattern), ...namesOf(values) };
    case "part":
      noComparison(term);
      return { op: "ilike", values: texts.map((text) => `%${escaped(text)}%`) };
    case "id":
      noComparison(term);
      return { op: "=", values: values.map((one) => only(one, "a number", numberIdOf(one.text))) };
    case "number":
      return { op: opOf(comparison), values: numbers(term) };
    case "json":
      if (comparison !== "") return { op: opOf(comparison), values: numbers(term) };
      return { op: "like", values: values.map(pattern), ...namesOf(values) };
    case "age":
      return ageOf(term);
    default:
      noComparison(term);
      return { op: kind === "since" ? ">=" : "<", values: [moment(single(term))] };
  }
}

function namesOf(values: readonly ScannedValue[]): Pick<Term, "names"> {
  const isExact = values.every(({ text, isQuoted }) => isQuoted || !text.includes("*"));
  return isExact ? { names: values.map(({ text }) => text) } : {};
}

/** As SQL's LIKE has it: only an unquoted `*` stands for any characters. */
function pattern({ text, isQuoted }: ScannedValue): string {
  const literal = escaped(text);
  return isQuoted ? literal : literal.replaceAll("*", "%");
}

function escaped(text: string): string {
  return text.replaceAll(/[\\%_]/g, "\\$&");
}

function requireChoice({ text, at }: ScannedValue, choices: readonly string[], name: string): void {
  if (choices.includes(text)) return;
  const [first, second] = choices;
  if (second === undefined)
    throw new FilterFault(`\`${name}\` is always ${first} here; leave it out`, at, text);
  throw new FilterFault(`not one of ${choices.join(", ")}; ${didYouMean(text, choices)}`, at, text);
}

function noComparison({ comparison, values, name }: ScannedTerm): void {
  if (comparison === "") return;
  const at = (values[0]?.at ?? 1) - comparison.length;
  throw new FilterFault(`\`${name.join(".")}\` takes no comparison`, at, comparison);
}

function single({ values, name }: ScannedTerm): ScannedValue {
  const [first, second] = values;
  if (first !== undefined && second === undefined) return first;
  throw new FilterFault(
    `\`${name.join(".")}\` takes one value here`,
    second?.at ?? 1,
    second?.text ?? "",
  );
}

function only<T>({ text, at }: ScannedValue, expected: string, value: T | undefined): T {
  if (value !== undefined) return value;
  throw new FilterFault(`expected ${expected}`, at, text);
}

function opOf(comparison: string): Term["op"] {
  return comparison === "" ? "=" : (comparison as Term["op"]);
}

function numbers(term: ScannedTerm): string[] {
  const values = term.comparison === "" ? term.values : [single(term)];
  return values.map((one) => only(one, "a number", NUMBER.test(one.text) ? one.text : undefined));
}

/** `age:>10m` was before 10 minutes ago. */
function ageOf(term: ScannedTerm): Pick<Term, "op" | "values"> {
  const one = single(term);
  const op = ({ ">": "<", ">=": "<=", "<": ">", "<=": ">=" } as const)[term.comparison];
  if (op === undefined)
    throw new FilterFault(`expected > or <, such as age:>${one.text}`, one.at, one.text);
  const ms = only(one, "a duration such as 10m, 24h or 7d", msOf(one.text));
  return { op, values: [String(ms)] };
}

/** Milliseconds ago, or a time. */
function moment(one: ScannedValue): string {
  const ms = msOf(one.text);
  if (ms !== undefined) return String(ms);
  const expected = "a duration such as 24h, or a time such as 2030-01-31T12:00:00Z";
  return only(one, expected, timeOf(one.text)).toISOString();
}

/** A bare number has no unit. */
function msOf(text: string): number | undefined {
  if (/^[\d.]+$/.test(text)) return undefined;
  try {
    return durationMs(text, "duration");
  } catch {
    return undefined;
  }
}
