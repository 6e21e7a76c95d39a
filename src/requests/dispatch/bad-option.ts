/** The error about a field of a request. */

import { PawlError, shown } from "../../base/errors.ts";

export function badOption(name: string, expected: string, value: unknown): PawlError {
  return new PawlError(
    "invalid_option",
    `send: expected \`${name}\` to be ${expected}, got ${shown(value)}`,
    { data: { option: name } },
  );
}
