import pg from "pg";
import { FAILS, INSERT, type Subject } from "../subject.ts";

export async function subject(url: string): Promise<Subject> {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  return {
    library: "pg",
    roots: [pool],
    close: () => pool.end(),
    transaction: async (work) => {
      const client = await pool.connect();
      try {
        await client.query("begin");
        await work(client, {
          insert: (n) => client.query(`${INSERT} ($1)`, [n]),
          fail: () => client.query(FAILS),
          savepoint: async (inner) => {
            await client.query("savepoint inner_one");
            try {
              await inner(client);
              await client.query("release savepoint inner_one");
            } catch (error) {
              await client.query("rollback to savepoint inner_one");
              throw error;
            }
          },
        });
        await client.query("commit");
      } catch (error) {
        await client.query("rollback");
        throw error;
      } finally {
        client.release();
      }
    },
  };
}
