/** The `code` of what Node's system calls and the PostgreSQL driver throw: `ENOENT`, `57P03`, or undefined. */

export function errorCodeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
