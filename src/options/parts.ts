/** The kinds of fields that are made of others: lists, and objects with fields of their own. */

import { PawlError, shown } from "../base/errors.ts";
import { isRecord, refuseUnknownOptions } from "../base/options.ts";
import {
  type Field,
  type Fields,
  field,
  fieldOf,
  type GivenOf,
  mapped,
  type Place,
  type Presence,
  placeOf,
  readParts,
  type ValueOf,
  wrong,
} from "./field.ts";

interface ListOptions {
  help?: string;
  shape?: string;
  isEmptyOk?: boolean;
}

/** An array in code, `a,b,c` when typed. */
export function list<Given, Value>(
  one: Field<Given, Value>,
  { help = one.help, shape = `${one.shape}s`, isEmptyOk = false }: ListOptions = {},
): Field<readonly Given[], Value[]> {
  const many = `${one.shape}s`;
  const read = (given: unknown, place: Place): Value[] => {
    if (Array.isArray(given) && (isEmptyOk || given.length > 0))
      return Array.from(given, (value: unknown, i) => one.read(value, numbered(place, i))); // holes too
    throw wrong(place, `a list of ${many}${isEmptyOk ? "" : ", at least one"}`, given);
  };
  const textsOf = (typed: unknown, place: Place): unknown[] => {
    const texts: unknown[] = Array.isArray(typed) ? typed : String(typed).split(",");
    const trimmed = texts.map((text) => (typeof text === "string" ? text.trim() : text));
    if (!trimmed.includes("")) return trimmed;
    throw wrong(place, `${many} separated by commas, none of them empty`, typed);
  };
  return {
    kind: "list",
    help,
    shape,
    presence: "optional",
    read,
    readTyped: (typed, place) =>
      textsOf(typed, place).map((text) => one.readTyped(text as string, place)),
    asGiven: (typed, place) =>
      typeof typed === "string" || Array.isArray(typed)
        ? textsOf(typed, place).map((text) => one.asGiven(text, place))
        : typed,
  };
}

function numbered({ where, label, option }: Place, i: number): Place {
  return { where, label: label.replace(/(`?)$/, `[${i}]$1`), option };
}

/** The same list, in which a value that comes twice counts once. */
export function unique<Given, Value>(one: Field<Given, Value[]>): Field<Given, Value[]> {
  return mapped(one, (values) => [...new Set(values)]);
}

/** Several values of a field, each once: an array in code, several words when typed. One value counts as a list of one. */
export function several<Given, Value>(
  one: Field<Given, Value>,
  help: string = one.help,
): Field<Given | readonly Given[], Value[]> {
  return unique(repeated(one, help));
}

/** The same, in which a value that comes twice stays twice: whoever reads assignments (`a=1`) refuses the second. */
export function repeated<Given, Value>(
  one: Field<Given, Value>,
  help: string = one.help,
): Field<Given | readonly Given[], Value[]> {
  const each = <T>(given: T | readonly T[], readOne: (value: T) => Value): Value[] =>
    Array.from(Array.isArray(given) ? (given as readonly T[]) : [given as T], (value) =>
      readOne(value),
    );
  return {
    ...one,
    kind: "several",
    help,
    shape: `${one.shape}s`,
    read: (given, place) => each(given, (value) => one.read(value, place)),
    readTyped: (typed, place) =>
      each(typed as string | readonly string[], (value) => one.readTyped(value, place)),
    asGiven: (typed, place) => [typed].flat().map((value) => one.asGiven(value, place)),
  };
}

/** How an object is typed in one text: `50/s`. */
export interface InOneText {
  example: string;
  /** As in usage lines: `n/time`. */
  shape: string;
  /** The parts as they would be typed one by one; undefined for what it is not. */
  parts(text: string): Record<string, unknown> | undefined;
}

/** An object with fields of its own: `rate: { limit: 50, per: "1s" }`. */
export function group<F extends Fields>(
  help: string,
  fields: F,
  inOneText?: InOneText,
): Field<GivenOf<F>, ValueOf<F>> {
  const read = (given: unknown, place: Place): ValueOf<F> => {
    refuseUnknownOptions(inside(place), given, Object.keys(fields));
    return readParts(fields, given as object, (name) => part(place, name));
  };
  const asGiven = (typed: unknown, place: Place): unknown => {
    const isText = inOneText !== undefined && typeof typed === "string";
    const parts = isText ? inOneText.parts(typed) : typed;
    if (isText && parts === undefined) throw wrong(place, `such as ${inOneText.example}`, typed);
    if (!isRecord(parts)) return typed;
    const entries = Object.entries(parts).map(([name, typedPart]) => {
      const one = Object.hasOwn(fields, name) ? fields[name] : undefined;
      return [name, one?.asGiven(typedPart, part(place, name)) ?? typedPart] as const;
    });
    return Object.fromEntries(entries);
  };
  return fieldOf({ kind: "group", help, shape: inOneText?.shape ?? "json", read, asGiven });
}

/** `retry` and `attempts` make `retry.attempts`. */
function part({ where, option }: Place, name: string): Place {
  return placeOf(where, `${option}.${name}`);
}

/** The same field, which checks what is given and returns it as it is. */
export function asItIs<Given, P extends Presence>(
  one: Field<Given, unknown, P>,
): Field<Given, Given, P> {
  const read = (given: unknown, place: Place): Given => {
    one.read(given, place);
    return given as Given;
  };
  return {
    ...one,
    read,
    readTyped: (typed, place) => read(one.asGiven(typed, place), place),
  };
}

/** The same field, which code may also give as the text that is typed. */
export function orTyped<Given, Value>(one: Field<Given, Value>): Field<Given | string, Value> {
  return {
    ...one,
    read: (given, place) =>
      typeof given === "string" ? one.readTyped(given, place) : one.read(given, place),
  };
}

/** The same field, or false to have none: `off` when typed, and `on` for an object without options. */
export function orOff<Given, Value>(one: Field<Given, Value>): Field<Given | false, Value | false> {
  const words = new Map<unknown, unknown>([
    ...["off", "false", "no", false].map((word) => [word, false] as const),
    ...["on", "true", "yes", true].map((word) => [word, {}] as const),
  ]);
  return fieldOf({
    ...one,
    read: (given, place) => (given === false ? false : one.read(given, place)),
    asGiven: (typed, place) => {
      const meant = words.get(typed);
      if (meant !== undefined || typeof typed !== "string")
        return meant ?? one.asGiven(typed, place);
      throw wrong(place, `on, off, or its parts as ${place.option}.<part>`, typed);
    },
  });
}

/** Where the parts of an option stand: `queues.high` and `retry` make `queues.high.retry`. */
export function inside({ where, option }: Place): string {
  return where === undefined ? option : `${where}.${option}`;
}

/** Whatever code gives; who takes it checks it. */
export function anything<Given>(help: string): Field<Given> {
  const read = (given: unknown) => given as Given;
  return fieldOf({ kind: "object", help, shape: "value", read, asGiven: read });
}

/** What code gives as a list; who takes it checks its values. */
export function listOf<Given>(help: string): Field<readonly Given[]> {
  return field<readonly Given[]>({
    kind: "list",
    help,
    shape: "list",
    expected: "a list",
    read: (given) => (Array.isArray(given) ? (given as readonly Given[]) : undefined),
  });
}

/** What code gives as an object; who takes it checks its parts. A text in its place may be a secret. */
export function object<Given extends object>(help: string): Field<Given> {
  return field<Given>({
    kind: "object",
    help,
    shape: "json",
    expected: "an object",
    isSecret: true,
    read: (given) => (isRecord(given) && !isIterable(given) ? (given as Given) : undefined),
  });
}

/** A Map, a Set, Headers …: as an object it would count as empty. */
function isIterable(given: object): boolean {
  return Symbol.iterator in given;
}

/** The same field, which refuses names in an object that are not known. */
export function knowing<Given, Value, P extends Presence>(
  known: readonly string[],
  one: Field<Given, Value, P>,
): Field<Given, Value, P> {
  return {
    ...one,
    read: (given, place) => {
      if (isRecord(given)) refuseUnknownOptions(place.where ?? place.label, given, known);
      return one.read(given, place);
    },
  };
}

/** What code gives as a list of definitions: each made by its function, and each name once. */
export function definitions<T extends { readonly name: string }>({
  isOne,
  maker,
  remedy = "give each a name of its own",
}: Defined): Field<readonly T[]> {
  return mapped(listOf<T>(`each made by ${maker}`), (all, { option }) => {
    for (const one of all) {
      if (isOne(one)) continue;
      throw new PawlError(
        "invalid_option",
        `${option}: expected values made by ${maker}(...), got ${shown(one)}`,
      );
    }
    refuseTwice(
      option,
      all.map((one) => one.name),
      remedy,
    );
    return all;
  });
}

interface Defined {
  isOne: (given: unknown) => boolean;
  /** The function that makes one: `defineJob`. */
  maker: string;
  /** What to do about a name that comes twice. */
  remedy?: string;
}

/** @throws PawlError `duplicate_name` */
export function refuseTwice(option: string, names: readonly string[], remedy: string): void {
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return;
  throw new PawlError("duplicate_name", `${option}: two are named "${twice}"; ${remedy}`);
}
