/**
 * A field: what one option is. Its kind reads it as code gives it and as a person types it, with one rule and one
 * message. Code options, flags of the command line, configs and forms are all made of fields.
 */

import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { nearest } from "../base/suggest.ts";
import { dataText } from "../base/text.ts";
import { read as readProperty } from "../base/thrown.ts";

export type Presence = "required" | "optional" | "default";

export interface Field<Given, Value = Given, P extends Presence = "optional"> {
  /** For forms and docs: `integer`, `duration`, `choice` … */
  readonly kind: string;
  /** One line, for the help. */
  readonly help: string;
  /** How its value is named in usage lines: `n` is shown as `<n>`. */
  readonly shape: string;
  /** Its name on the command line, where it is not that in code. */
  readonly flag?: string;
  /** What is typed on the command line instead: in another unit, or with another default. */
  readonly typed?: AnyField;
  /** Of a choice. */
  readonly choices?: readonly string[];
  readonly presence: P;
  readonly fallback?: Given;
  /** @throws PawlError `invalid_option` */
  read(given: unknown, place: Place): Value;
  /** The same of what was typed: a text, several texts, or true for a flag. */
  readTyped(typed: Typed, place: Place): Value;
  /** What code would give for what was typed, or for an object whose parts were. It is not checked yet. */
  asGiven(typed: unknown, place: Place): unknown;
}

// biome-ignore lint/suspicious/noExplicitAny: any field, whatever it reads
export type AnyField = Field<any, any, Presence>;
export type Fields = Readonly<Record<string, AnyField>>;
export type Typed = string | readonly string[] | boolean;

/** Where an option stands, for messages. */
export interface Place {
  /** The call or definition: `tasks.cancel`. Without it nothing stands before the message. */
  where?: string | undefined;
  /** As messages name it: "`limit`", `--limit`, `the id`. */
  label: string;
  /** As `data.option` names it: `limit`, `--limit`. */
  option: string;
}

/** What callers give: fields without a default and not required may be left out. */
export type GivenOf<F extends Fields> = {
  [K in keyof F as F[K]["presence"] extends "required" ? K : never]: GivenOne<F[K]>;
} & {
  [K in keyof F as F[K]["presence"] extends "required" ? never : K]?: GivenOne<F[K]>;
};

/** What is read: only an optional field may be missing. */
export type ValueOf<F extends Fields> = {
  [K in keyof F as F[K]["presence"] extends "optional" ? never : K]: ValueOne<F[K]>;
} & {
  [K in keyof F as F[K]["presence"] extends "optional" ? K : never]?: ValueOne<F[K]>;
};

/** For the compiler: a field for each option of an interface that is written by hand. */
export type FieldsOf<Options> = {
  readonly [K in keyof Options]-?: Field<Exclude<Options[K], undefined>, unknown, Presence>;
};

export type GivenOne<F> = F extends Field<infer Given, unknown, Presence> ? Given : never;
export type ValueOne<F> = F extends { read(given: unknown, place: Place): infer Value }
  ? Value
  : never;

export interface KindSpec<Value> {
  kind: string;
  help: string;
  shape: string;
  choices?: readonly string[];
  /** Ends "expected `x` to be …". */
  expected: string;
  /** The same for code, where that has another form. */
  inCode?: string;
  /** What is given may be a secret: no message shows it. */
  isSecret?: boolean;
  /** Returns undefined for what it is not. */
  read(given: unknown): Value | undefined;
  /** Makes a typed text what code would give. Default: the text itself. @throws PawlError `invalid_option` */
  fromText?(text: string, place: Place): unknown;
  /** A remedy for this wrong value, such as "write 5s for seconds". */
  hint?(given: unknown): string | undefined;
}

/** Makes an optional field of a kind. */
export function field<Given, Value = Given>(spec: KindSpec<Value>): Field<Given, Value> {
  const { kind, help, shape, choices, expected, inCode = expected, isSecret = false } = spec;
  const checked = (given: unknown, place: Place, asTyped?: { typed: unknown }): Value => {
    const value = spec.read(given);
    if (value !== undefined) return value;
    const words = asTyped === undefined ? inCode : expected;
    const got = asTyped === undefined ? given : asTyped.typed;
    throw (isSecret ? wrongSecret : wrong)(place, words, got, spec.hint?.(got));
  };
  const asGiven = (typed: unknown, place: Place): unknown =>
    typeof typed === "string" ? (spec.fromText?.(typed, place) ?? typed) : typed;
  return {
    kind,
    help,
    shape,
    ...(choices !== undefined && { choices }),
    presence: "optional",
    read: (given, place) => checked(given, place),
    readTyped: (typed, place) => checked(asGiven(typed, place), place, { typed }),
    asGiven,
  };
}

/** Makes an optional field that reads in a way of its own. */
export function fieldOf<Given, Value>(
  spec: Pick<Field<Given, Value>, "kind" | "help" | "shape" | "read" | "asGiven">,
): Field<Given, Value> {
  return {
    ...spec,
    presence: "optional",
    readTyped: (typed, place) => spec.read(spec.asGiven(typed, place), place),
  };
}

/** The same field, which must be given. */
export function required<Given, Value>(
  one: Field<Given, Value, Presence>,
): Field<Given, Value, "required"> {
  return { ...one, presence: "required" };
}

/** The same field, with what stands in where nothing is given. */
export function withDefault<Given, Value>(
  fallback: NoInfer<Given>,
  one: Field<Given, Value, Presence>,
): Field<Given, Value, "default"> {
  return { ...one, fallback, presence: "default" };
}

/** The same field, its value made into another. `make` may refuse it. */
export function mapped<Given, Value, Made, P extends Presence>(
  one: Field<Given, Value, P>,
  make: (value: Value, place: Place) => Made,
): Field<Given, Made, P> {
  return {
    ...one,
    read: (given, place) => make(one.read(given, place), place),
    readTyped: (typed, place) => make(one.readTyped(typed, place), place),
  };
}

/** The same field, for which null counts as left out: rows of a database have it where there is nothing. */
export function nullIsNone<Given, Value, P extends Presence>(
  one: Field<Given, Value, P>,
): Field<Given, Value, P> {
  const none = (place: Place) =>
    (one.presence === "default" ? one.read(one.fallback, place) : undefined) as Value;
  return {
    ...one,
    read: (given, place) => (given === null ? none(place) : one.read(given, place)),
  };
}

/** The same field under another name on the command line: `--destination` for `destinations`. */
export function typedAs<Given, Value, P extends Presence>(
  flag: string,
  one: Field<Given, Value, P>,
): Field<Given, Value, P> {
  return { ...one, flag };
}

/** The same field in code; on the command line the other is typed, which reads the same value: `--done-days 7` for `done: "7d"`. */
export function typedBy<Given, Value, P extends Presence>(
  typed: Field<unknown, Value, Presence> | Field<never, Value, Presence>,
  one: Field<Given, Value, P>,
): Field<Given, Value, P> {
  return { ...one, typed };
}

/** The message of every option that is not as it must be. */
export function wrong(place: Place, expected: string, given: unknown, hint = ""): PawlError {
  const { where, label, option } = place;
  const before = where === undefined ? "" : `${where}: `;
  return new PawlError(
    "invalid_option",
    `${before}expected ${label} to be ${expected}, got ${shown(given)}${hint && `; ${hint}`}`,
    { data: { option, ...(typeof given === "string" && { value: dataText(given) }) } },
  );
}

/** The same for what may be or hold a secret: only its type is shown. */
export function wrongSecret(place: Place, expected: string, given: unknown, hint = ""): PawlError {
  const isHidden = typeof given === "string" || (typeof given === "object" && given !== null);
  if (!isHidden) return wrong(place, expected, given, hint);
  const { where, label, option } = place;
  const before = where === undefined ? "" : `${where}: `;
  const got = typeof given === "string" ? "a text" : Array.isArray(given) ? "a list" : "an object";
  return new PawlError(
    "invalid_option",
    `${before}expected ${label} to be ${expected}, got ${got}${hint && `; ${hint}`}`,
    { data: { option } },
  );
}

/** For a choice that is near what was typed. */
export function nearestHint(given: unknown, known: readonly string[]): string | undefined {
  if (typeof given !== "string") return undefined;
  const near = nearest(given, known);
  return near === undefined ? undefined : `did you mean "${near}"?`;
}

/**
 * Reads all options of a call: refuses names that no field has, checks what is given, fills in the defaults. An option
 * that is undefined counts as left out.
 *
 * @throws PawlError `invalid_option` naming the call, the option and, for an unknown one, the nearest
 */
export function readOptions<F extends Fields>(
  where: string,
  fields: F,
  given: unknown,
): ValueOf<F> {
  refuseUnknownOptions(where, given, Object.keys(fields));
  return readParts(fields, given as object, (name) => placeOf(where, name));
}

/** Reads each field from an object whose names are known. */
export function readParts<F extends Fields>(
  fields: F,
  given: object,
  placeOfPart: (name: string) => Place,
): ValueOf<F> {
  const read: Record<string, unknown> = {};
  for (const [name, one] of Object.entries(fields)) {
    const value = (given as Record<string, unknown>)[name];
    if (value === undefined && one.presence === "optional") continue;
    const made = readOne(one, value, placeOfPart(name));
    if (made !== undefined) read[name] = made;
  }
  return read as ValueOf<F>;
}

export function placeOf(where: string | undefined, option: string): Place {
  return { where, label: `\`${option}\``, option };
}

/** The place of a definition in messages, with its own name where it has one: `defineJob, job "mail"`. */
export function named(call: string, noun: string, given: unknown): string {
  const name = readProperty(given, "name");
  return typeof name === "string" ? `${call}, ${noun} ${shown(name)}` : call;
}

/** Reads one value of a call, such as an argument. @throws PawlError `invalid_option` naming call and value */
export function readValue<Value>(
  where: string,
  name: string,
  one: { read(given: unknown, place: Place): Value },
  given: unknown,
): Value {
  return one.read(given, placeOf(where, name));
}

/** One option: checked, or its default, or undefined. */
export function readOne(one: AnyField, given: unknown, place: Place): unknown {
  if (given === undefined) {
    if (one.presence === "required") throw wrong(place, `given (${one.help})`, undefined);
    return one.presence === "default" ? one.read(one.fallback, place) : undefined;
  }
  return one.read(given, place);
}
