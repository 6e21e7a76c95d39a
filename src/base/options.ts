/** Options of public calls: a name that is not known is a mistake, and is said at once. */

import { PawlError, shown } from "./errors.ts";
import { didYouMean } from "./suggest.ts";

/** @throws PawlError `invalid_option` naming the call, the option and the nearest known one */
export function refuseUnknownOptions(
  where: string,
  options: unknown,
  known: readonly string[],
): void {
  if (typeof options !== "object" || options === null) {
    throw new PawlError(
      "invalid_option",
      `${where}: expected an object of options, got ${shown(options)}`,
    );
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    throw new PawlError(
      "invalid_option",
      `${where}: no option \`${name}\`; ${didYouMean(name, known)}`,
      {
        data: { option: name },
      },
    );
  }
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
