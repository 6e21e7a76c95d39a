/** Kysely: `db.transaction().execute(async (trx) => …)`, and `db.startTransaction()`. */

import { read } from "../base/thrown.ts";
import { type Found, hasMethods } from "./library.ts";

const library = "Kysely";

export interface KyselyTransaction {
  readonly isTransaction: true;
  executeQuery(query: never): PromiseLike<unknown>;
}

export function kysely(given: unknown): Found {
  const isTransaction = read(given, "isTransaction");
  if (!hasMethods(given, "executeQuery") || typeof isTransaction !== "boolean") return undefined;
  if (!isTransaction) {
    return {
      library,
      refusal: "it is the root `db`; pass the `trx` that `db.transaction()` gives",
    };
  }
  const trx = given as { executeQuery: (query: object) => unknown };
  return {
    library,
    isOneTransaction: true,
    query: (text, values) => trx.executeQuery(compiledQuery(text, values)),
  };
}

/** A `CompiledQuery` as Kysely's `CompiledQuery.raw` returns it. */
function compiledQuery(sql: string, parameters: readonly unknown[]): object {
  return {
    sql,
    parameters,
    query: { kind: "RawNode", sqlFragments: [sql], parameters: [] },
    queryId: { queryId: "pawl" },
  };
}
