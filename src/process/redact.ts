/** Takes values out of what a step has sent outside, by their paths, before it is stored. */

import { MASK } from "../base/mask.ts";
import { type Field, field } from "../options/field.ts";

const PATHS_MAX = 100;
const ANY = "*";

/** A path by its names: `card.number`, `*.password`, `items.0.iban`. */
export type Path = readonly string[];

export const redactPaths: Field<readonly string[], readonly Path[]> = field({
  kind: "paths",
  help: "what is taken out of payloads that steps send outside",
  shape: "paths",
  expected: `up to ${PATHS_MAX} paths such as "card.number" or "*.password", where * is any name or place`,
  read: (given) => {
    if (!Array.isArray(given) || given.length > PATHS_MAX) return undefined;
    const paths = given.map((path: unknown) => (typeof path === "string" ? path.split(".") : []));
    const isGood = paths.every((path) => path.length > 0 && path.every((name) => name !== ""));
    return isGood ? paths : undefined;
  },
});

/** The same JSON text if no path leads anywhere in it. */
export function redactJson(json: string, paths: readonly Path[]): string {
  return paths.length === 0 ? json : JSON.stringify(redacted(JSON.parse(json), paths));
}

function redacted(value: unknown, paths: readonly Path[]): unknown {
  if (paths.length === 0) return value;
  if (paths.some((path) => path.length === 0)) return MASK;
  if (typeof value !== "object" || value === null) return value;
  const below = (name: string) =>
    paths.filter(([first]) => first === ANY || first === name).map(([, ...rest]) => rest);
  if (Array.isArray(value)) return value.map((one, i) => redacted(one, below(String(i))));
  // entry by entry: a field may be called __proto__
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, redacted(one, below(name))]),
  );
}
