import {
  CamelCasePlugin,
  type ControlledTransaction,
  Kysely,
  PostgresDialect,
  sql,
  type Transaction,
} from "kysely";
import pg from "pg";
import { FAILS, INSERT, type Own, type Subject } from "../subject.ts";

type Tables = { invoice: { n: number } };

const own = (trx: Transaction<Tables>): Own => ({
  insert: (n) => trx.insertInto("invoice").values({ n }).execute(),
  fail: () => sql.raw(FAILS).execute(trx),
  savepoint: async (inner) => {
    await sql.raw("savepoint inner_one").execute(trx);
    try {
      await inner(trx);
      await sql.raw("release savepoint inner_one").execute(trx);
    } catch (error) {
      await sql.raw("rollback to savepoint inner_one").execute(trx);
      throw error;
    }
  },
});

export async function subject(url: string): Promise<Subject> {
  const db = connect(url);
  return {
    library: "Kysely",
    roots: [db],
    close: () => db.destroy(),
    transaction: (work) => db.transaction().execute((trx) => work(trx, own(trx))),
  };
}

/** The transactions that the app ends itself, with savepoints. */
export async function controlled(url: string): Promise<Subject> {
  const db = connect(url);
  return {
    library: "Kysely",
    roots: [db],
    close: () => db.destroy(),
    transaction: async (work) => {
      const trx = await db.startTransaction().execute();
      try {
        await work(trx, controlledOwn(trx));
        await trx.commit().execute();
      } catch (error) {
        if (!trx.isRolledBack) await trx.rollback().execute();
        throw error;
      }
    },
  };
}

const controlledOwn = (trx: ControlledTransaction<Tables>): Own => ({
  insert: (n) => trx.executeQuery({ ...sql.raw(`${INSERT} (${n})`).compile(trx) }),
  fail: () => sql.raw(FAILS).execute(trx),
  savepoint: async (inner) => {
    const nested = await trx.savepoint("inner_one").execute();
    try {
      await inner(nested);
      await nested.releaseSavepoint("inner_one").execute();
    } catch (error) {
      await nested.rollbackToSavepoint("inner_one").execute();
      throw error;
    }
  },
});

function connect(url: string): Kysely<Tables> {
  const dialect = new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max: 2 }) });
  return new Kysely<Tables>({ dialect, plugins: [new CamelCasePlugin()] });
}
