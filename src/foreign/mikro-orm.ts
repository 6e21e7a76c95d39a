/** MikroORM: `em.transactional(async (em) => …)` and `em.begin()`. Its transaction is one of Knex, or from version 7 of Kysely. */

import { type Adapted, type Found, hasMethods } from "./library.ts";

const library = "MikroORM";

export interface MikroOrmTransaction {
  isInTransaction(): boolean;
  getTransactionContext(): unknown;
}

/** `inner` finds what the transaction is made of. */
export function mikroOrm(given: unknown, inner: (context: unknown) => Found): Found {
  if (!hasMethods(given, "isInTransaction", "getTransactionContext")) return undefined;
  const em = given as MikroOrmTransaction;
  if (!em.isInTransaction()) {
    return {
      library,
      refusal:
        "no transaction is open in this EntityManager; pass the one that `em.transactional` gives",
    };
  }
  const found = inner(em.getTransactionContext());
  if (found === undefined)
    return { library, refusal: "its transaction is of a driver that Pawl does not know" };
  if ("refusal" in found) return { library, refusal: found.refusal };
  // an EntityManager may begin another one
  return { library, isOneTransaction: false, query: found.query } satisfies Adapted;
}
