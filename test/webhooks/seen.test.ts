import pg from "pg";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import {
  isFirst,
  pruneSeen,
  SEEN_TABLE,
  type SqlClient,
  seenTable,
} from "../../src/webhooks/index.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";

let url: string;
let client: pg.Client;
beforeAll(async () => {
  ({ url } = await freshDatabase({ migrated: false }));
  client = await rawClient(url);
  await client.query(SEEN_TABLE);
  await client.query("create table effect (id text not null)");
});

async function inTransaction<T>(on: pg.Client, work: () => Promise<T>): Promise<T> {
  await on.query("begin");
  try {
    const result = await work();
    await on.query("commit");
    return result;
  } catch (error) {
    await on.query("rollback");
    throw error;
  }
}

async function receive(on: pg.Client, id: string): Promise<boolean> {
  return inTransaction(on, async () => {
    if (!(await isFirst(on, id))) return false;
    await on.query("insert into effect values ($1)", [id]);
    return true;
  });
}

async function effects(id: string): Promise<number> {
  const { rows } = await client.query("select count(*)::int as n from effect where id = $1", [id]);
  return rows[0].n;
}

/** Until the other connection waits for a lock. */
async function untilWaiting(waiter: pg.Client): Promise<void> {
  const { processID } = waiter as unknown as { processID: number };
  await until("the second waits for the first", async () => {
    const { rows } = await client.query(
      "select 1 from pg_stat_activity where pid = $1 and wait_event_type = 'Lock'",
      [processID],
    );
    return rows.length > 0;
  });
}

test("R90: a message that is delivered again has its effect once", async () => {
  expect(await receive(client, "again")).toBe(true);
  expect(await receive(client, "again")).toBe(false);
  expect(await effects("again")).toBe(1);
});

test("R90: an effect that fails takes the id back with it, so that the next delivery has its effect", async () => {
  const failing = inTransaction(client, async () => {
    expect(await isFirst(client, "failed")).toBe(true);
    await client.query("insert into no_such_table values (1)");
  });
  await expect(failing).rejects.toThrow("no_such_table");
  expect(await receive(client, "failed")).toBe(true);
  expect(await effects("failed")).toBe(1);
});

test("R90: of two deliveries at once the second waits, and has no effect once the first committed", async () => {
  const [first, second] = [await rawClient(url), await rawClient(url)];
  await first.query("begin");
  expect(await isFirst(first, "at-once")).toBe(true);
  const later = receive(second, "at-once");
  await untilWaiting(second);
  await first.query("insert into effect values ('at-once')");
  await first.query("commit");
  expect(await later).toBe(false);
  expect(await effects("at-once")).toBe(1);
});

test("R90: of two deliveries at once the second has its effect when the first rolled back", async () => {
  const [first, second] = [await rawClient(url), await rawClient(url)];
  await first.query("begin");
  expect(await isFirst(first, "undone")).toBe(true);
  const later = receive(second, "undone");
  await untilWaiting(second);
  await first.query("rollback");
  expect(await later).toBe(true);
  expect(await effects("undone")).toBe(1);
});

test("R90: under REPEATABLE READ a race ends in a serialization failure, never in two effects", async () => {
  const [first, second] = [await rawClient(url), await rawClient(url)];
  await first.query("begin isolation level repeatable read");
  await second.query("begin isolation level repeatable read");
  await second.query("select 1");
  expect(await isFirst(first, "repeatable")).toBe(true);
  await first.query("commit");
  await expect(isFirst(second, "repeatable")).rejects.toMatchObject({ code: "40001" });
  await second.query("rollback");
});

test("R90: a pool, or a client outside of a transaction, is refused and nothing is kept", async () => {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  onTestFinished(() => pool.end());
  for (const tx of [pool, client]) {
    await expect(isFirst(tx, "alone")).rejects.toMatchObject({ code: "not_a_transaction" });
  }
  expect(await receive(client, "alone")).toBe(true);
});

test("R90: a client that answers the rows alone works as well", async () => {
  const rowsOnly: SqlClient = {
    query: async (text, values) => (await client.query(text, values)).rows,
  };
  await inTransaction(client, async () => {
    expect(await isFirst(rowsOnly, "rows")).toBe(true);
    expect(await isFirst(rowsOnly, "rows")).toBe(false);
  });
});

test("R90: scopes keep the ids of several senders apart, and a table of one's own is used", async () => {
  await client.query("create schema shop");
  await client.query(seenTable("shop.incoming"));
  await client.query(seenTable("shop.incoming"));
  await inTransaction(client, async () => {
    const table = "shop.incoming";
    expect(await isFirst(client, "x", { table, scope: "erp" })).toBe(true);
    expect(await isFirst(client, "x", { table, scope: "crm" })).toBe(true);
    expect(await isFirst(client, "x", { table, scope: "crm" })).toBe(false);
    expect(await isFirst(client, "x")).toBe(true);
  });
  const { rows } = await client.query("select count(*)::int as n from shop.incoming");
  expect(rows[0].n).toBe(2);
});

test("R90: pruning removes what is older, in batches, and leaves the rest", async () => {
  await client.query(seenTable("aged"));
  await client.query(
    "insert into aged select '', n::text, now() - interval '40 days' from generate_series(1, 12001) n",
  );
  await client.query("insert into aged values ('', 'young', now() - interval '1 day')");
  expect(await pruneSeen(client, { olderThan: "30d", table: "aged" })).toBe(12_001);
  expect(await pruneSeen(client, { olderThan: "30d", table: "aged" })).toBe(0);
  const { rows } = await client.query("select id from aged");
  expect(rows).toEqual([{ id: "young" }]);
});

test.each([
  "seen; drop table effect",
  'seen"',
  "a.b.c",
  "Seen",
  "",
  "1seen",
  "s".repeat(55),
  "../seen",
  "seen --",
  5 as unknown as string,
])("R90: the table %j is refused before any SQL is made of it", async (table) => {
  expect(() => seenTable(table)).toThrow(PawlError);
  await expect(isFirst(client, "x", { table })).rejects.toMatchObject({ code: "invalid_option" });
  await expect(pruneSeen(client, { olderThan: "1d", table })).rejects.toMatchObject({
    code: "invalid_option",
  });
});

test.each(["", "a\0b", "x".repeat(1_001), null as unknown as string])(
  "R90: the id %j is refused",
  async (id) => {
    await expect(isFirst(client, id)).rejects.toMatchObject({ code: "invalid_option" });
  },
);
