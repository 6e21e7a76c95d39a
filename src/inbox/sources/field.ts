/** Where a value stands in what a source answered: a path such as `data.items`, or a function. */

import { badOption } from "../../base/options.ts";

/**
 * `"data.items"`: property by property, a number for the place in an array; `""` is the value itself. Or a function of
 * the value, and of the headers of the answer where there are some.
 */
export type Field = string | ((value: unknown, info: FieldInfo) => unknown);

export interface FieldInfo {
  /** Of the answer, names in lower case, without cookies; empty for what is no HTTP. */
  readonly headers: Readonly<Record<string, string>>;
}

export const NO_INFO: FieldInfo = { headers: {} };

/** `undefined` when nothing stands there. What a function throws is thrown. */
export function readField(field: Field, value: unknown, info: FieldInfo = NO_INFO): unknown {
  if (typeof field === "function") return field(value, info);
  if (field === "") return value;
  let found = value;
  for (const name of field.split(".")) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, name)) {
      return undefined;
    }
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}

/** @throws PawlError `invalid_option` for what is neither a path nor a function */
export function checkFields(where: string, fields: Record<string, unknown>): void {
  for (const [option, field] of Object.entries(fields)) {
    if (field === undefined || typeof field === "function") continue;
    if (typeof field === "string" && !/^\.|\.\.|\.$/.test(field)) continue;
    throw badOption(where, option, `a path such as "data.${option}" or a function`, field);
  }
}

/** How a field is shown to operators: its path, or that it is a function. */
export function describeField(field: Field): string {
  return typeof field === "string" ? field : "(function)";
}
