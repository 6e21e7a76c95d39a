// The loop that is written first: an insert and a commit for each event, and for each event again on its way to storage.
import pg from "pg";
import { eventPage } from "./event-pages.mjs";

export async function open({ url, page }) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(SCHEMA);
  let count = 0;
  const load = async ({ events }) => {
    const start = performance.now();
    count += events;
    for (;;) {
      const after = (await client.query("select last from cursor_of")).rows[0].last;
      const found = eventPage(after, page, count);
      if (found.length === 0) return performance.now() - start;
      for (const { id, name, payload } of found) {
        await client.query("begin");
        await client.query("insert into inbox (id, name, payload) values ($1, $2, $3)", [
          id,
          name,
          JSON.stringify(payload),
        ]);
        await client.query("update cursor_of set last = $1", [id]);
        await client.query("commit");
      }
    }
  };
  const store = async () => {
    const start = performance.now();
    for (;;) {
      await client.query("begin");
      const { rows } = await client.query(
        "select id, name, payload from inbox order by id limit 1 for update skip locked",
      );
      const [event] = rows;
      if (event !== undefined) {
        const { id, name, payload } = event;
        const values = [id, name, JSON.stringify(payload)];
        await client.query("insert into event (id, name, payload) values ($1, $2, $3)", values);
        await client.query("delete from inbox where id = $1", [id]);
      }
      await client.query("commit");
      if (event === undefined) return performance.now() - start;
    }
  };
  return {
    load,
    store,
    check: async () => {
      const { rows } = await client.query("select count(*)::int as n from event");
      if (rows[0].n !== count) throw new Error(`naive: ${rows[0].n} of ${count} stored`);
    },
    close: () => client.end(),
  };
}

const SCHEMA = `
  create table inbox (id bigint primary key, name text, payload jsonb);
  create table event (id bigint primary key, name text, payload jsonb);
  create table cursor_of (last bigint not null);
  insert into cursor_of values (0)`;
