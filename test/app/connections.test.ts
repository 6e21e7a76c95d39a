import pg from "pg";
import { expect, test, vi } from "vitest";
import { openStore } from "../../src/store/store.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";
import { wholeLife } from "../support/whole-life.ts";

/** Answers the most of our connections that were open at once. One that was told to end is over, though its backend may linger. */
function mostAtOnce(): () => number {
  const open = new Set<pg.Client>();
  let most = 0;
  const connect = Reflect.get(pg.Client.prototype, "connect");
  const end = Reflect.get(pg.Client.prototype, "end");
  vi.spyOn(pg.Client.prototype, "connect").mockImplementation(function (
    this: pg.Client,
    ...given: unknown[]
  ) {
    const { application_name: name } = Reflect.get(this, "connectionParameters");
    if (name === "pawl" || name === "pawl listen") open.add(this);
    most = Math.max(most, open.size);
    this.once("end", () => open.delete(this));
    return Reflect.apply(connect, this, given);
  });
  vi.spyOn(pg.Client.prototype, "end").mockImplementation(function (
    this: pg.Client,
    ...given: unknown[]
  ) {
    open.delete(this);
    return Reflect.apply(end, this, given);
  });
  return () => most;
}

test("a worker of everything lives with three connections", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const foreign = await rawClient(url);
  const most = mostAtOnce();
  const life = await wholeLife(url, foreign, { connections: 1, transactions: 1 });
  expect(new Set(life.ran.map(({ n }) => n))).toEqual(new Set([-1, 1, 2, 3, 4, 5]));
  expect(life.delivered).toHaveLength(3);
  expect(life.stored).toHaveLength(1);
  expect(most()).toBe(3);
  await until("the server has none of them left", async () => {
    const { rows } = await foreign.query(
      "select from pg_stat_activity where datname = current_database() and application_name in ('pawl', 'pawl listen')",
    );
    return rows.length === 0;
  });
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
