/** Sequelize: `sequelize.transaction(async (transaction) => …)`. */

import { read } from "../base/thrown.ts";
import { type Found, hasMethods } from "./library.ts";

const library = "Sequelize";

export interface SequelizeTransaction {
  commit(): PromiseLike<unknown>;
  rollback(): PromiseLike<unknown>;
  afterCommit(work: never): unknown;
}

export function sequelize(given: unknown): Found {
  if (hasMethods(given, "define", "transaction", "query", "authenticate")) {
    return {
      library,
      refusal:
        "it is the root `sequelize`; pass the `transaction` that `sequelize.transaction` gives",
    };
  }
  if (!hasMethods(given, "commit", "rollback", "afterCommit")) return undefined;
  const root = read(given, "sequelize");
  if (!hasMethods(root, "query"))
    return { library, refusal: "it does not say which `sequelize` it belongs to" };
  const sender = root as { query: (text: string, options: object) => unknown };
  return {
    library,
    isOneTransaction: true,
    query: (text, values) =>
      sender.query(text, { bind: [...values], transaction: given, type: "SELECT", raw: true }),
  };
}
