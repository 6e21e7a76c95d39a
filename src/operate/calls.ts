/** Makes the functions of `pawl.<noun>` from a noun's verbs. */

import { PawlError } from "../base/errors.ts";
import { isOptions, refuseOptions, refuseUnknownOptions } from "../base/options.ts";
import { type Fields, readOptions } from "../options/field.ts";
import type { Calling, Noun, Verb } from "./verb.ts";

/** What these calls are made with: `base` is asked for at each call, `by` stands in the audit unless a call says another. */
export interface Caller<B> {
  base: B;
  by: string;
}

export function callsOf<Calls, B>(noun: Noun<Calls, B>, caller: Caller<B>, above = ""): Calls {
  const under = noun.name === "" ? "" : `${above}${noun.name}.`;
  const verbs = Object.entries(noun.verbs) as [string, Verb<unknown, B> | Noun<object, B>][];
  return Object.fromEntries(
    verbs.map(([name, one]) => [
      name,
      isNoun(one)
        ? callsOf(one, caller, under)
        : callOf({ where: `${under}${name}`, action: `${under}${name}` }, one, caller),
    ]),
  ) as Calls;
}

/** A verb under a name of its own, which messages begin with: `cancel` for `tasks.cancel`. */
export function callAs<Calls, B, Name extends keyof Calls & string>(
  where: string,
  noun: Noun<Calls, B>,
  name: Name,
  caller: Caller<B>,
): Calls[Name] {
  const one = noun.verbs[name] as Verb<unknown, B>;
  return callOf({ where, action: `${noun.name}.${name}` }, one, caller) as Calls[Name];
}

export function isNoun<B>(one: Verb<unknown, B> | Noun<object, B>): one is Noun<object, B> {
  return "verbs" in one;
}

function callOf<B>(
  { where, action }: Pick<Calling, "where" | "action">,
  one: Verb<unknown, B>,
  { base, by }: Caller<B>,
) {
  return async (...given: readonly unknown[]): Promise<unknown> => {
    const input = readOptions(where, one.input, inputOf(where, one, given)) as Record<
      string,
      unknown
    >;
    const { by: acts = by, why, ...rest } = input as { by?: string; why?: string };
    const calling: Calling = {
      by: acts,
      ...(why !== undefined && { why }),
      action,
      where,
      label: (option) => `\`${option}\``,
    };
    const asked = one.changes ? rest : input;
    one.check(asked, calling);
    return one.run(base, asked, calling).catch((error: unknown) => {
      if (error instanceof PawlError && error.code === one.absent) return undefined;
      throw error;
    });
  };
}

/** The values that have a place, then those of the object of options; one that may be left out may be skipped. */
function inputOf(
  where: string,
  { args, input }: { args: readonly string[]; input: Fields },
  given: readonly unknown[],
): Record<string, unknown> {
  const placed: Record<string, unknown> = {};
  const rest = [...given];
  for (const name of args) {
    if (rest.length === 0) break;
    const isLeftOut =
      input[name]?.presence !== "required" && isOptions(rest[0]) && rest.length === 1;
    if (isLeftOut) break;
    placed[name] = rest.shift();
  }
  const named = Object.keys(input).filter((name) => !args.includes(name));
  if (named.length === 0) {
    refuseOptions(where, rest);
    return placed;
  }
  const [options = {}, ...more] = rest;
  if (more.length > 0) {
    const takes = [...args, "an object of options"].join(", ");
    throw new PawlError("invalid_option", `${where}: takes ${takes}; got ${more.length} more`);
  }
  return { ...optionsOf(where, options, { args, named }), ...placed };
}

/** Also those that an object has from its class or prototype. */
function optionsOf(
  where: string,
  options: unknown,
  { args, named }: { args: readonly string[]; named: readonly string[] },
): Record<string, unknown> {
  const twice = isOptions(options)
    ? Object.keys(options).find((name) => args.includes(name))
    : undefined;
  if (twice !== undefined) {
    throw new PawlError(
      "invalid_option",
      `${where}: \`${twice}\` is not an option; it goes before the options`,
      { data: { option: twice } },
    );
  }
  refuseUnknownOptions(where, options, named);
  const given = options as Record<string, unknown>;
  return Object.fromEntries(named.map((name) => [name, given[name]]));
}
