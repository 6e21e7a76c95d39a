/** postgres.js: `sql.begin(async (sql) => …)`. Drizzle's driver of that name is in `drizzle.ts`. */

import { type Found, hasMethods } from "./library.ts";

const library = "postgres.js";

export interface PostgresJsTransaction {
  unsafe(text: string, values?: never[]): PromiseLike<unknown>;
  savepoint(...given: never[]): unknown;
}

export function postgresJs(given: unknown): Found {
  if (typeof given !== "function" || !hasMethods(given, "unsafe")) return undefined;
  if (hasMethods(given, "savepoint") || hasMethods(given, "release")) {
    const sql = given as unknown as { unsafe: (text: string, values: unknown[]) => unknown };
    return {
      library,
      isOneTransaction: hasMethods(given, "savepoint"),
      query: (text, values) => sql.unsafe(text, [...values]),
    };
  }
  if (!hasMethods(given, "begin")) return undefined;
  return { library, refusal: "it is the `sql` of the pool; pass the one that `sql.begin` gives" };
}
