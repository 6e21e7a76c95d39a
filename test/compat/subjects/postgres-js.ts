import postgres from "postgres";
import { FAILS, INSERT, type Own, type Subject } from "../subject.ts";

export async function subject(url: string): Promise<Subject> {
  const sql = postgres(url, { max: 2, transform: postgres.camel, onnotice: () => undefined });
  const own = (tx: postgres.TransactionSql): Own => ({
    insert: (n) => tx.unsafe(`${INSERT} ($1)`, [n]),
    fail: () => tx.unsafe(FAILS),
    savepoint: (inner) => tx.savepoint((nested) => inner(nested)),
  });
  return {
    library: "postgres.js",
    roots: [sql],
    close: () => sql.end(),
    transaction: async (work) => {
      await sql.begin((tx) => work(tx, own(tx)));
    },
  };
}
