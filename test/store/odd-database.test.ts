import pg from "pg";
import { expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp } from "../../src/index.ts";
import { migrate } from "../../src/store/migrate.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { executorIn } from "../../src/store/transaction.ts";
import { OUR_TYPES, parseTime } from "../../src/store/types.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { wholeLife } from "../support/whole-life.ts";

/** What a DBA or a habit may have set for a whole database. */
const ODD_SETTINGS = {
  datestyle: "'German'",
  intervalstyle: "'iso_8601'",
  timezone: "'Asia/Kolkata'",
  bytea_output: "'escape'",
  extra_float_digits: "-15",
  standard_conforming_strings: "off",
  array_nulls: "off",
  default_transaction_isolation: "'serializable'",
  default_transaction_deferrable: "on",
  // also of the app's own transactions below, which a busy machine must not break
  statement_timeout: "'5min'",
  lock_timeout: "'5min'",
  idle_in_transaction_session_timeout: "'5min'",
  enable_indexscan: "off",
  enable_nestloop: "off",
  row_security: "off",
  client_min_messages: "'debug1'",
  search_path: "''",
};

async function oddDatabase(settings: Record<string, string>): Promise<string> {
  const { url } = await freshDatabase({ migrated: false });
  const admin = await rawClient(url);
  const { rows } = await admin.query("select current_database() as name");
  for (const [name, value] of Object.entries(settings)) {
    await admin.query(`alter database ${rows[0].name} set ${name} = ${value}`);
  }
  return url;
}

test("R113: whatever a database has set, everything is migrated, run, delivered, loaded and shown as ever", async () => {
  const url = await oddDatabase(ODD_SETTINGS);
  const foreign = await rawClient(url);
  await foreign.query("set default_transaction_isolation to 'read committed'"); // keys want it, and say so
  const life = await wholeLife(url, foreign);
  expect(new Set(life.ran.map(({ n }) => n))).toEqual(new Set([-1, 1, 2, 3, 4, 5]));
  for (const { createdAt } of life.ran) expect(createdAt.getFullYear()).toBeGreaterThan(2025);
  for (const { occurredAt } of life.delivered) {
    expect(Math.abs(Date.parse(occurredAt) - Date.now())).toBeLessThan(600_000);
  }
  expect(life.stored[0]?.occurredAt).toBe("2026-02-03T04:05:06.789Z");
  expect(life.shown.dead).toMatchObject({ diedAt: expect.any(Date), attempt: 1 });
  expect(life.shown.retried).toMatchObject([{ outcome: "retried" }]);
  expect(life.shown.why).toMatchObject({ id: expect.any(String) });
  await foreign.query("select pawl.make_missing_partitions_v1('kernel', 8)"); // in German, from a zone whose name means another one too
  await foreign.query("set datestyle to iso; set timezone to 'UTC'");
  const { rows } = await foreign.query(
    "select pg_get_expr(relpartbound, oid) as bound from pg_class where relname ~ '^finished_[0-9]+$'",
  );
  const midnight = /^FOR VALUES FROM \('[0-9-]+ 00:00:00\+00'\) TO \('[0-9-]+ 00:00:00\+00'\)$/;
  expect(rows.length).toBeGreaterThanOrEqual(9); // one more where a day has ended meanwhile
  for (const { bound } of rows) expect(bound).toMatch(midnight);
});

test("an app's own statements keep the time zone and the timeouts of its role", async () => {
  const url = await oddDatabase({ timezone: "'Asia/Kolkata'", statement_timeout: "'7s'" });
  const store = openStore({ url, max: 1 });
  atEnd(() => store.close());
  const asked =
    "select current_setting('timezone') as zone, current_setting('statement_timeout') as timeout";
  const theirs = { zone: "Asia/Kolkata", timeout: "7s" };
  expect(await store.transaction(async (tx) => (await tx.query(asked)).rows)).toEqual([theirs]);
  const ours = { zone: "UTC", timeout: "0" };
  expect(await store.rows(asked)).toEqual([ours]);
  expect(await store.ownTransaction(async (tx) => (await tx.query(asked)).rows)).toEqual([ours]);
});

test("R113: parsers that an app sets for its whole process change nothing of ours", async () => {
  const types = [
    16, 17, 20, 21, 23, 25, 26, 114, 199, 700, 701, 1007, 1009, 1016, 1082, 1114, 1184, 1185, 1700,
    2950, 2951, 3802, 3807,
  ];
  const before = types.map((oid) => pg.types.getTypeParser(oid, "text"));
  const { url } = await freshDatabase();
  const foreign = await rawClient(url);
  for (const oid of types) pg.types.setTypeParser(oid, (text) => ({ nonsense: text }));
  pg.types.setTypeParser(25, (text) => text);
  pg.types.setTypeParser(20, Number as never);
  try {
    const life = await wholeLife(url, foreign);
    expect(life.ids.every((id) => typeof id === "string")).toBe(true);
    expect(new Set(life.ran.map(({ n }) => n))).toEqual(new Set([-1, 1, 2, 3, 4, 5]));
    expect(life.delivered.map(({ payload }) => payload)).toEqual(Array(3).fill({ total: 9 }));
    expect(life.shown.cancelled).toBe("cancelled");
    expect(life.shown.dead).toMatchObject({ id: life.ids[1], diedAt: expect.any(Date) });
    expect(life.shown.source).toMatchObject({ stored: "1" });
  } finally {
    for (const [i, oid] of types.entries()) pg.types.setTypeParser(oid, before[i] as never);
  }
});

test("values are read as node-postgres reads them by default", async () => {
  const { url } = await freshDatabase({ migrated: false });
  const client = await rawClient(url);
  await client.query("set timezone to 'Africa/Monrovia'"); // its offset had seconds until 1972
  const text = `select true as b, '\\x00ff'::bytea as bytes, 1::int2 as s, 2::int4 as i, 9007199254740993::int8 as l, 1.5::float8 as f,
    12.50::numeric as n, '{"a":[1]}'::jsonb as j, array['a', null, 'b,"\\{}', ''] as t, array[1, null]::int4[] as ia,
    array[9007199254740993]::int8[] as la, '{}'::text[] as e, array[true, false] as ba, array['{"a": "}"}']::jsonb[] as ja,
    '2026-01-02 03:04:05.678901+00'::timestamptz as at, '0044-03-15 12:00:00+00 BC'::timestamptz as ides,
    '1900-01-01 00:00:00+00'::timestamptz as seconds, '20260-01-01 00:00:00+00'::timestamptz as far,
    array['2026-01-02 03:04:05+00']::timestamptz[] as ats, 'infinity'::timestamptz as never,
    '018f0000-0000-7000-8000-000000000000'::uuid as u, null::int4 as nothing`;
  const [theirs, ours] = await Promise.all([
    client.query({ text }),
    client.query({ text, types: OUR_TYPES }),
  ]);
  expect(ours.rows).toEqual(theirs.rows);
  expect(parseTime("nonsense")).toBeNaN();
});

test.each([
  ["LATIN1", "database_encoding"],
  ["SQL_ASCII", "database_encoding"],
])("R113: a database in %s is refused before the first statement", async (encoding, code) => {
  const server = await freshDatabase({ migrated: false });
  const admin = await rawClient(server.url);
  const { rows } = await admin.query("select current_database() as name");
  const odd = `${rows[0].name}_${encoding.toLowerCase()}`;
  await admin.query(
    `create database ${odd} template template0 encoding '${encoding}' lc_collate 'C' lc_ctype 'C'`,
  );
  atEnd(() => admin.query(`drop database ${odd} with (force)`));
  const url = server.url.replace(rows[0].name, odd);
  const store = openStore({ url, max: 1 });
  await expect(migrate(store)).rejects.toMatchObject({
    code,
    message: expect.stringContaining(encoding),
  });
  await expect(
    connect(defineApp({}), { databaseUrl: url, log: silentLogger }),
  ).rejects.toMatchObject({ code });
  expect(await store.rows("select from pg_namespace where nspname = 'pawl'")).toEqual([]);
  await store.close();
});

test("R113: a read-only database, a schema of somebody else and missing rights are refused before the first statement", async () => {
  const { url } = await freshDatabase({ migrated: false });
  const admin = await rawClient(url);
  const { rows } = await admin.query("select current_database() as name");
  const { name } = rows[0];
  const tried = async (schema = "pawl") => {
    const store = openStore({ url, max: 1, schema });
    try {
      return await migrate(store).then(
        () => "migrated",
        (error: unknown) => (error as { code: string }).code,
      );
    } finally {
      await store.close();
    }
  };
  await admin.query(`alter database ${name} set default_transaction_read_only = on`);
  expect(await tried()).toBe("database_read_only");
  await admin.query("set default_transaction_read_only = off");
  await admin.query(`alter database ${name} reset default_transaction_read_only`);

  await admin.query("create schema theirs; create table theirs.task (id int)");
  expect(await tried("theirs")).toBe("schema_taken");
  await admin.query("create table theirs.migration (version text)");
  expect(await tried("theirs")).toBe("schema_taken");
  const theirs = "select from pg_class where relnamespace = 'theirs'::regnamespace";
  expect((await admin.query(theirs)).rowCount).toBe(2);

  const role = `${name}_guest`;
  await admin.query(`create role ${role} login`);
  const store = openStore({ url, max: 1 });
  const asGuest: Store = {
    ...store,
    rows: (text, values) =>
      store.ownTransaction(async (tx) => {
        await tx.query(`set local role ${role}`);
        return executorIn(tx).rows(text, values);
      }),
  };
  await expect(migrate(asGuest)).rejects.toMatchObject({
    code: "database_permission",
    message: expect.stringContaining("grant it CREATE on the database"),
  });
  await migrate(store);
  await admin.query(
    `grant usage on schema pawl to ${role}; grant select on pawl.migration, pawl.function_file to ${role}`,
  );
  await expect(migrate(asGuest)).rejects.toMatchObject({
    code: "database_permission",
    message: expect.stringMatching(/may not change schema "pawl" of "\w+": migrate as/),
  });
  await store.close();
  await admin.query(`drop owned by ${role}; drop role ${role}`);
});
