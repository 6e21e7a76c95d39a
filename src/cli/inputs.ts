/** The arguments and options of a command, made from fields and read by them. */

import { type Command, Option } from "commander";
import { PawlError } from "../base/errors.ts";
import { dataText, isStorable } from "../base/text.ts";
import {
  type AnyField,
  type Fields,
  type Place,
  readOne,
  type Typed,
  wrong,
} from "../options/field.ts";
import { currentPerson } from "./person.ts";

const ARGUMENT_CHARS_MAX = 4_096;
const ARGUMENT: Place = { label: "the argument", option: "the argument" };

/** What a command takes: `args` are its positional fields, in order. */
export interface Inputs {
  readonly args: readonly string[];
  readonly input: Fields;
}

export function addOptions(made: Command, { args, input }: Inputs): void {
  const named = Object.entries(input).filter(([name]) => !args.includes(name));
  for (const [name, kind] of named) made.addOption(optionOf(name, kind));
}

function optionOf(name: string, kind: AnyField): Option {
  const flag = flagOf(name, kind);
  const isFlag = kind.kind === "flag";
  const isSeveral = kind.kind === "several";
  const shape = isSeveral ? kind.shape.replace(/s$/, "") : kind.shape;
  const made = new Option(isFlag ? flag : `${flag} <${shape}>`, kind.help);
  if (isSeveral) made.argParser<string[] | undefined>((text, before = []) => [...before, text]);
  else if (!isFlag) made.argParser(once(flag));
  if (kind.presence === "required") made.makeOptionMandatory();
  if (name === "by") return made.default(currentPerson());
  return kind.fallback === undefined ? made : made.default(kind.fallback, String(kind.fallback));
}

/**
 * Reads the value of an option that may be given once: which of two values was meant nobody can tell. A flag has no value:
 * given twice it means the same as once, as in nearly all command lines. Only `-v` counts.
 *
 * @throws PawlError `invalid_option`
 */
export function once(flag: string): (text: string) => string {
  let isGiven = false;
  return (text) => {
    if (isGiven) {
      const data = { option: flag, value: dataText(text) };
      throw new PawlError("invalid_option", `${flag} is given twice; give it once`, { data });
    }
    isGiven = true;
    return text;
  };
}

export function flagOf(name: string, kind: AnyField | undefined): string {
  return `--${kind?.flag ?? dashed(name)}`;
}

export function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export function isTyped(made: Command, name: string, kind: AnyField): boolean {
  return made.getOptionValueSource(keyOf(name, kind)) === "cli";
}

/** Commander keeps the value of `--dry-run` under `dryRun`. */
function keyOf(name: string, kind: AnyField): string {
  const flag = flagOf(name, kind).slice(2);
  return flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Reads what was typed. Every value is checked here, before the database is asked. @throws PawlError `invalid_option` */
export function readInputs(made: Command, { args, input }: Inputs): Record<string, unknown> {
  const options = made.opts<Record<string, Typed>>();
  const entries = Object.entries(input).map(([name, kind]) => {
    const at = args.indexOf(name);
    if (at >= 0)
      return [name, readTyped(kind, placed(made.args, at, kind), argPlace(kind))] as const;
    const flag = flagOf(name, kind);
    const typed = isTyped(made, name, kind) ? options[keyOf(name, kind)] : undefined;
    return [name, readTyped(kind, typed, { label: flag, option: flag })] as const;
  });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function placed(args: readonly string[], at: number, kind: AnyField): Typed | undefined {
  if (kind.kind !== "several") return args[at];
  const rest = args.slice(at);
  return rest.length === 0 ? undefined : rest;
}

function argPlace(kind: AnyField): Place {
  const label = `the ${kind.shape.replace(/s$/, "")}`;
  return { label, option: label };
}

function readTyped(kind: AnyField, typed: Typed | undefined, place: Place): unknown {
  return typed === undefined ? readOne(kind, undefined, place) : kind.readTyped(typed, place);
}

/**
 * Checks typed arguments and the text values of options: the database cannot store every text.
 *
 * @throws PawlError `invalid_option` naming the option
 */
export function refuseUnstorable(made: Command): void {
  const long = made.args.find((one) => one.length > ARGUMENT_CHARS_MAX);
  if (long !== undefined)
    throw wrong(ARGUMENT, `a text of at most ${ARGUMENT_CHARS_MAX} characters`, long);
  const options = Object.entries(made.opts<Record<string, unknown>>()).map(([name, value]) => {
    const flag = `--${dashed(name)}`;
    return [{ label: flag, option: flag }, value] as const;
  });
  for (const [place, value] of [[ARGUMENT, made.args] as const, ...options]) {
    const all: unknown[] = Array.isArray(value) ? value : [value];
    const bad = all.find((one) => typeof one === "string" && !isStorable(one));
    if (bad !== undefined)
      throw wrong(place, "a text that PostgreSQL can store (no \\u0000, no half of an emoji)", bad);
  }
}
