/** Drizzle: `db.transaction(async (tx) => …)`, with any of its drivers for PostgreSQL. */

import { PawlError } from "../base/errors.ts";
import { type Found, hasMethods } from "./library.ts";

const library = "Drizzle";

export interface DrizzleTransaction {
  execute(query: never): PromiseLike<unknown>;
  rollback(): never;
  transaction(...given: never[]): PromiseLike<unknown>;
}

export function drizzle(given: unknown): Found {
  if (!hasMethods(given, "execute", "transaction", "select", "insert")) return undefined;
  if (!hasMethods(given, "rollback"))
    return { library, refusal: "it is the root `db`; pass the `tx` that `db.transaction` gives" };
  const tx = given as { execute: (query: object) => unknown };
  return {
    library,
    isOneTransaction: true,
    query: async (text, values) => tx.execute(await statement(text, values)),
  };
}

/** `execute` takes parameters only inside a value of Drizzle's own `sql`. */
async function statement(text: string, values: readonly unknown[]): Promise<object> {
  const { sql } = await load();
  return sql(text.split(/\$\d+/) as unknown as TemplateStringsArray, ...values);
}

type Drizzle = { sql: (texts: TemplateStringsArray, ...values: unknown[]) => object };

/** From a variable: its types are not installed. */
const PACKAGE: string = "drizzle-orm";

async function load(): Promise<Drizzle> {
  try {
    return (await import(PACKAGE)) as Drizzle;
  } catch (cause) {
    throw new PawlError(
      "not_a_transaction",
      "tx: this is a transaction of Drizzle, but Pawl cannot load `drizzle-orm`; install it beside pawl, or see docs/orm/drizzle.md",
      { cause },
    );
  }
}
