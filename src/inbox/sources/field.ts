/** Where a value is in an answer of a source: a path such as `data.items`, or a function. */

import { field, type Field as OptionField } from "../../options/field.ts";

/**
 * `"data.items"`: property by property, a number for the place in an array; `""` is the value itself. Or a function of
 * the value, and of the headers of the answer where there are some.
 */
export type Field = string | ((value: unknown, info: FieldInfo) => unknown);

export interface FieldInfo {
  /** Headers of the answer, names in lower case, without cookies; empty if it did not come by HTTP. */
  readonly headers: Readonly<Record<string, string>>;
}

export const NO_INFO: FieldInfo = { headers: {} };

/** Returns `undefined` if nothing is there. Throws what a function throws. */
export function readField(at: Field, value: unknown, info: FieldInfo = NO_INFO): unknown {
  if (typeof at === "function") return at(value, info);
  let found = value;
  for (const name of pathOf(at)) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, name)) {
      return undefined;
    }
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}

export function pathOf(path: string): string[] {
  return path === "" ? [] : path.split(".");
}

/** Finds the place of `wanted` itself, not of an equal value, inside `value`. Without recursion. */
export function pathTo(value: unknown, wanted: object): string[] | undefined {
  const open: { value: unknown; path: Path }[] = [{ value, path: undefined }];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (at.value === wanted) return namesOf(at.path);
    if (typeof at.value !== "object" || at.value === null) continue;
    for (const [name, inner] of Object.entries(at.value)) {
      if (typeof inner === "object") open.push({ value: inner, path: { name, above: at.path } });
    }
  }
  return undefined;
}

type Path = { readonly name: string; readonly above: Path } | undefined;

function namesOf(path: Path): string[] {
  const names: string[] = [];
  for (let at = path; at !== undefined; at = at.above) names.push(at.name);
  return names.reverse();
}

export const FIELD: OptionField<Field> = field<Field>({
  kind: "field",
  help: "where the value stands",
  shape: "path",
  expected: 'a path such as "data.id" or a function',
  read: (given) => {
    const isPath = typeof given === "string" && !/^\.|\.\.|\.$/.test(given);
    return isPath || typeof given === "function" ? (given as Field) : undefined;
  },
});

/** How a field is shown to operators: its path, or that it is a function. */
export function describeField(at: Field): string {
  return typeof at === "string" ? at : "(function)";
}
