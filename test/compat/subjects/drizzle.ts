import { sql } from "drizzle-orm";
import { drizzle as drizzlePg } from "drizzle-orm/node-postgres";
import { drizzle as drizzlePostgresJs } from "drizzle-orm/postgres-js";
import type { ForeignTransaction } from "pawl";
import pg from "pg";
import postgres from "postgres";
import { FAILS, INSERT, type Own, type Subject } from "../subject.ts";

interface Tx {
  execute(query: string | ReturnType<typeof sql>): PromiseLike<unknown>;
  transaction(work: (tx: Tx & ForeignTransaction) => Promise<void>): Promise<void>;
}

const own = (tx: Tx): Own => ({
  insert: async (n) => tx.execute(sql`${sql.raw(INSERT)} (${n})`),
  fail: async () => tx.execute(FAILS),
  savepoint: (inner) => tx.transaction((nested) => inner(nested)),
});

export async function onPg(url: string): Promise<Subject> {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  const db = drizzlePg(pool);
  return {
    library: "Drizzle",
    roots: [db],
    close: () => pool.end(),
    transaction: (work) => db.transaction((tx) => work(tx, own(tx))),
  };
}

export async function onPostgresJs(url: string): Promise<Subject> {
  const client = postgres(url, { max: 2, onnotice: () => undefined });
  const db = drizzlePostgresJs(client);
  return {
    library: "Drizzle",
    roots: [db],
    close: () => client.end(),
    transaction: (work) => db.transaction((tx) => work(tx, own(tx))),
  };
}
