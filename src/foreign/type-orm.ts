/** TypeORM: `dataSource.transaction(async (manager) => …)`, and a QueryRunner that has started one. */

import { read } from "../base/thrown.ts";
import { type Found, hasMethods } from "./library.ts";

const library = "TypeORM";

/** An EntityManager or a QueryRunner: both have `query`. */
export function typeOrm(given: unknown): Found {
  if (hasMethods(given, "createQueryRunner", "getRepository", "initialize")) {
    return { library, refusal: `it is the DataSource; ${REMEDY}` };
  }
  const isRunner = hasMethods(given, "query", "startTransaction", "connect", "release");
  if (!isRunner && !hasMethods(given, "query", "getRepository", "transaction")) return undefined;
  const runner = isRunner ? given : read(given, "queryRunner");
  if (runner === undefined || runner === null)
    return { library, refusal: `it is the manager of the DataSource; ${REMEDY}` };
  if (read(runner, "isTransactionActive") !== true)
    return { library, refusal: "its QueryRunner has no open transaction" };
  const sender = given as { query: (text: string, values: unknown[]) => unknown };
  return {
    library,
    isOneTransaction: false, // a QueryRunner may start another one
    query: (text, values) => sender.query(text, [...values]),
  };
}

const REMEDY =
  "pass the `manager` that `dataSource.transaction` gives, or a QueryRunner that has started a transaction";
