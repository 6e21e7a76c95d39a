/** Errors of types and destinations that come from the app's config, which may have loaded a copy of the package of its own. */

import { ERROR_CODES, type ErrorCode } from "../../base/error-codes.ts";
import { PawlError } from "../../base/errors.ts";
import { isRecord } from "../../base/options.ts";
import { isA, isErrorLike, messageOf, read } from "../../base/thrown.ts";

/** Runs code of a type: what it throws is a PawlError of this copy, if it is one at all. */
export function ofType<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw ownError(error);
  }
}

export function ownError(thrown: unknown): unknown {
  if (isA(thrown, PawlError) || !isErrorLike(thrown)) return thrown;
  const [name, code, data] = ["name", "code", "data"].map((field) => read(thrown, field));
  if (name !== "PawlError" || typeof code !== "string" || !Object.hasOwn(ERROR_CODES, code))
    return thrown;
  return new PawlError(code as ErrorCode, messageOf(thrown), {
    cause: read(thrown, "cause"),
    data: isRecord(data) ? data : {},
  });
}
