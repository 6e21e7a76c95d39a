/** Options of public calls: a name that is not known is a mistake, and is said at once. */

import { PawlError, shown } from "./errors.ts";
import { didYouMean } from "./suggest.ts";

/** True for an object of options. A list, a map, a set or a time has none, and would be taken for an empty one. */
export function isOptions(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return !(value instanceof Map || value instanceof Set || value instanceof Date);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @throws PawlError `invalid_option` naming the call, the option and the nearest known one */
export function refuseUnknownOptions(
  where: string,
  options: unknown,
  known: readonly string[],
): void {
  if (!isOptions(options)) {
    throw new PawlError(
      "invalid_option",
      // a text in their place may be a secret
      `${where}: expected an object of options, got ${typeof options === "string" ? "a text" : shown(options)}`,
    );
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    throw new PawlError(
      "invalid_option",
      `${where}: no option \`${name}\`; ${known.length === 0 ? "it takes none" : didYouMean(name, known)}`,
      { data: { option: name } },
    );
  }
}

/**
 * Refuses options that are given to a call which takes none; `more` are the arguments behind its own. A number or a list is what
 * `map` gives beside a value.
 *
 * @throws PawlError `invalid_option`
 */
export function refuseOptions(where: string, [options]: readonly unknown[]): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) return;
  refuseUnknownOptions(where, options, []);
}

/** An option that is not as it must be; `where` says whose it is. */
export function badOption(
  where: string,
  option: string,
  expected: string,
  value: unknown,
): PawlError {
  return new PawlError(
    "invalid_option",
    `${where}: expected \`${option}\` to be ${expected}, got ${shown(value)}`,
    { data: { option } },
  );
}
