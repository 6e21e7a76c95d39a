/** Errors of types and destinations that come from the app's config, which may have loaded a copy of the package of its own. */

import { ERROR_CODES, type ErrorCode } from "../../base/error-codes.ts";
import { PawlError } from "../../base/errors.ts";
import { isRecord } from "../destinations/field-values.ts";

/** Runs code of a type: what it throws is a PawlError of this copy, if it is one at all. */
export function ofType<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw ownError(error);
  }
}

export function ownError(thrown: unknown): unknown {
  if (thrown instanceof PawlError || !(thrown instanceof Error)) return thrown;
  const { name, message, code, data } = thrown as Error & { code?: unknown; data?: unknown };
  if (name !== "PawlError" || typeof code !== "string" || !Object.hasOwn(ERROR_CODES, code))
    return thrown;
  return new PawlError(code as ErrorCode, message, {
    cause: thrown.cause,
    data: isRecord(data) ? data : {},
  });
}
