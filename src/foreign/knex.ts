/** Knex: `knex.transaction(async (trx) => …)` and `await knex.transaction()`. */

import { type Found, hasMethods, withQuestionMarks } from "./library.ts";

const library = "Knex";

export interface KnexTransaction {
  raw(text: string, values?: never): PromiseLike<unknown>;
  isCompleted(): boolean;
}

export function knex(given: unknown): Found {
  if (typeof given !== "function" || !hasMethods(given, "raw", "transaction")) return undefined;
  if (!hasMethods(given, "isCompleted")) {
    return {
      library,
      refusal: "it is the root `knex`; pass the `trx` that `knex.transaction` gives",
    };
  }
  const trx = given as unknown as {
    raw: (text: string, values: unknown[]) => unknown;
    isCompleted: () => boolean;
  };
  if (trx.isCompleted()) return { library, refusal: "it has ended" };
  return {
    library,
    isOneTransaction: true,
    query: (text, values) => trx.raw(withQuestionMarks(text), [...values]),
  };
}
