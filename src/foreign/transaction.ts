/**
 * Transactions of other libraries: recognised by what their documentation names, never by their internals. What would
 * commit outside the caller's transaction (a pool, a root client) is refused by name.
 */

import { PawlError } from "../base/errors.ts";
import { read } from "../base/thrown.ts";
import { type DrizzleTransaction, drizzle } from "./drizzle.ts";
import { type KnexTransaction, knex } from "./knex.ts";
import { type KyselyTransaction, kysely } from "./kysely.ts";
import { type Adapted, type Found, hasMethods } from "./library.ts";
import { type MikroOrmTransaction, mikroOrm } from "./mikro-orm.ts";
import { type PostgresJsTransaction, postgresJs } from "./postgres-js.ts";
import { type PrismaTransaction, prisma } from "./prisma.ts";
import { type SequelizeTransaction, sequelize } from "./sequelize.ts";
import { typeOrm } from "./type-orm.ts";

/** A client of pg, an EntityManager or QueryRunner of TypeORM, or any object with the same method. */
export interface QueryTransaction {
  /** Placeholders are `$1`, `$2` …, values are strings or null. Returns the rows, or `{ rows }`. */
  query(text: string, values?: unknown[]): Promise<unknown>;
}

/**
 * What you pass as `{ tx }`: the transaction of pg, postgres.js, Drizzle, Prisma, Kysely, Knex, TypeORM, MikroORM or
 * Sequelize as it is, or any object with `query(text, values)`.
 */
export type ForeignTransaction =
  | QueryTransaction
  | PostgresJsTransaction
  | DrizzleTransaction
  | PrismaTransaction
  | KyselyTransaction
  | KnexTransaction
  | MikroOrmTransaction
  | SequelizeTransaction;

/** The plain `query` last: some of the others have a method of that name that takes something else. */
const LIBRARIES: readonly ((given: unknown) => Found)[] = [
  postgresJs,
  knex,
  prisma,
  kysely,
  (given) => mikroOrm(given, (context) => knex(context) ?? kysely(context)),
  typeOrm,
  sequelize,
  drizzle,
  anyQuery,
];

/** @throws PawlError `not_a_transaction` */
export function adapted(tx: unknown): Adapted {
  if (tx === undefined || tx === null)
    throw notATransaction(`it is ${String(tx)}; leave \`tx\` out to commit alone`);
  if (hasMethods(tx, "then")) throw notATransaction("it is a promise; await it first");
  for (const find of LIBRARIES) {
    const found = find(tx);
    if (found === undefined) continue;
    if ("query" in found) return found;
    throw notATransaction(`of ${found.library}: ${found.refusal} (docs/orm/README.md)`);
  }
  throw notATransaction(
    `${described(tx)} is of no library that Pawl knows, and has no method \`query(text, values)\`; docs/orm/README.md lists what can be passed`,
  );
}

function anyQuery(given: unknown): Found {
  if (!hasMethods(given, "query")) return undefined;
  const library = "pg";
  if (hasMethods(given, "connect") && typeof read(given, "totalCount") === "number") {
    return {
      library,
      refusal:
        "it is a pool, which gives each statement a connection of its own; pass the client on which you sent BEGIN",
    };
  }
  const client = given as QueryTransaction;
  return {
    library,
    isOneTransaction: false,
    query: (text, values) => client.query(text, [...values]),
  };
}

function described(tx: unknown): string {
  if (typeof tx !== "object" && typeof tx !== "function") return `a ${typeof tx}`;
  const name = read(read(tx, "constructor"), "name");
  return typeof name === "string" && name !== "" && name !== "Object" && name !== "Function"
    ? `an instance of \`${name.slice(0, 60)}\``
    : `a plain ${typeof tx}`;
}

/** @throws PawlError `not_a_transaction` */
export function rowsOf(answer: unknown): unknown[] {
  if (Array.isArray(answer)) return answer;
  const rows = read(answer, "rows");
  if (Array.isArray(rows)) return rows;
  throw notATransaction("its `query` answered neither an array of rows nor `{ rows }`");
}

export function notATransaction(why: string, cause?: unknown): PawlError {
  return new PawlError("not_a_transaction", `tx: this is no open transaction: ${why}`, { cause });
}
