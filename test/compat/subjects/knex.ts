import knex, { type Knex } from "knex";
import { FAILS, type Own, type Subject } from "../subject.ts";

const own = (trx: Knex.Transaction): Own => ({
  insert: async (n) => trx("invoice").insert({ n }),
  fail: async () => trx.raw(FAILS),
  savepoint: (inner) => trx.transaction((nested) => inner(nested)),
});

export async function subject(url: string): Promise<Subject> {
  const db = knex.knex({ client: "pg", connection: url, pool: { min: 0, max: 2 } });
  return {
    library: "Knex",
    roots: [db],
    close: () => db.destroy(),
    transaction: (work) => db.transaction((trx) => work(trx, own(trx))),
  };
}
