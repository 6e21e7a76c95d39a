import { expect, test } from "vitest";
import { openStore } from "../../src/store/store.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { wholeLife } from "../support/whole-life.ts";

test("a worker of everything lives with three connections", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const foreign = await rawClient(url);
  const watcher = await rawClient(url);
  let most = 0;
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      const { rows } = await watcher.query(
        `select count(*)::int as n from pg_stat_activity
          where datname = current_database() and application_name in ('pawl', 'pawl listen')`,
      );
      most = Math.max(most, rows[0].n);
    }
  })();
  const life = await wholeLife(url, foreign, { connections: 1, transactions: 1 });
  isOver = true;
  await watching;
  expect(new Set(life.ran.map(({ n }) => n))).toEqual(new Set([-1, 1, 2, 3, 4, 5]));
  expect(life.delivered).toHaveLength(3);
  expect(life.stored).toHaveLength(1);
  expect(most).toBeLessThanOrEqual(3);
});

test("a server without room for another connection is told as that, with the size of the pool", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const admin = await rawClient(url);
  const role = `few_${Date.now()}`;
  await admin.query(`create role ${role} login connection limit 0`);
  const store = openStore({ url: url.replace(/\/\/[^@]*@/, `//${role}@`), max: 7 });
  atEnd(async () => {
    await store.close();
    await admin.query(`drop role ${role}`);
  });
  for (const tried of [() => store.rows("select 1"), () => store.transaction(async () => 1)]) {
    await expect(tried()).rejects.toMatchObject({
      code: "database_unreachable",
      message: expect.stringContaining("this pool has 7 connections at most: lower `connections`"),
    });
  }
});
