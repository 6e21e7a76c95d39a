/** What Node's system calls and the PostgreSQL driver throw, and how it becomes an error of ours. */

import { PawlError } from "../../base/errors.ts";
import { messageOf } from "../../base/thrown.ts";

/** `ENOENT`, `57P03`, or undefined. */
export function errorCodeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** What the system refuses (no space, no permission) becomes `embedded_failed`, with the cause kept. */
export async function asEmbeddedError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PawlError) throw error;
    throw new PawlError(
      "embedded_failed",
      `embedded PostgreSQL: ${messageOf(error)}; set PAWL_DIR to a folder on a local disk that you own, or DATABASE_URL to a server`,
      { cause: error },
    );
  }
}
