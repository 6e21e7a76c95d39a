/** What operators do, by noun, of all parts: for `pawl.<noun>` and for the command line. */

import { type Caller, callsOf } from "../operate/calls.ts";
import type { Noun } from "../operate/verb.ts";
import { type App, type AppPart, type Calls, type Nouns, type Operating, PARTS } from "./parts.ts";
import { type Root, rootNoun } from "./root.ts";

/** In the order in which the command line lists them; the first has the verbs that stand without a noun. */
export function nounsOf(parts: readonly AppPart[] = PARTS): readonly Noun<object, Operating>[] {
  return [rootNoun(parts), ...parts.flatMap((part) => part.nouns ?? [])];
}

export function nounCalls(
  caller: Caller<Operating>,
  parts: readonly AppPart[] = PARTS,
): Nouns & Root {
  const calls = nounsOf(parts).map((noun): object => {
    const all = callsOf(noun, caller);
    return noun.name === "" ? all : { [noun.name]: all };
  });
  return Object.assign({}, ...calls) as Nouns & Root;
}

/** Calls without a noun, of all parts. */
export function partCalls(
  app: App,
  caller: Caller<Operating>,
  parts: readonly AppPart[] = PARTS,
): Calls {
  return Object.assign({}, ...parts.map((part) => part.calls?.({ app, caller }))) as Calls;
}
