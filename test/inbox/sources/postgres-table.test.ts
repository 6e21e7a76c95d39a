import net from "node:net";
import type pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  isBad,
  type Page,
  SourceAnswered,
  SourceUnavailable,
  type Window,
} from "../../../src/inbox/source.ts";
import {
  type PostgresTableOptions,
  postgresTableSource,
} from "../../../src/inbox/sources/postgres-table.ts";
import { serverOf, urlThrough } from "../../support/commit-proxy.ts";
import { freshDatabase, rawClient } from "../../support/database.ts";
import { until } from "../../support/until.ts";
import { readAll, readOne, windowOf } from "./reading.ts";

const { url } = await freshDatabase({ migrated: false });
const admin = await rawClient(url);

let tables = 0;
/** A table of its own for each test. */
async function tableWith(columns: string): Promise<string> {
  tables += 1;
  const name = `event_${tables}`;
  await admin.query(`create table ${name} (${columns})`);
  return name;
}

const PLAIN = "id bigint generated always as identity primary key, n int";
const sourceOf = (table: string, more: Partial<PostgresTableOptions> = {}) =>
  postgresTableSource({ name: "shop", databaseUrl: url, table, ...more });
const idsOf = (pages: readonly Page[]) => pages.flatMap(({ events }) => events.map(({ id }) => id));

async function openTransaction(statement: string): Promise<pg.Client> {
  const client = await rawClient(url);
  await client.query("begin");
  await client.query(statement);
  return client;
}

/**
 * A row on its way: it has its number, and waits in a trigger. The 31 numbers after one that was logged are not logged
 * and need no xid, unless a checkpoint came between: then it is tried again.
 */
async function drawnWithoutXid(
  table: string,
): Promise<{ drawn: number; inserted: Promise<unknown> }> {
  for (;;) {
    const { rows } = await admin.query<{ last: string }>(
      `select nextval(pg_get_serial_sequence('${table}', 'id')) as last`,
    );
    const stuck = await rawClient(url);
    const inserted = stuck.query(`insert into ${table} (n) values (0)`).catch((e: unknown) => e);
    const waiting = await until("the insert waits in its trigger", async () => {
      const found = await admin.query<{ pid: number; backend_xid: string | null }>(
        "select pid, backend_xid from pg_stat_activity where datname = current_database() and wait_event = 'advisory'",
      );
      return found.rows[0];
    });
    if (waiting.backend_xid === null) return { drawn: Number(rows[0]?.last) + 1, inserted };
    await admin.query("select pg_cancel_backend($1)", [waiting.pid]);
    await inserted;
  }
}

describe("R45: rows of another database are loaded by their id,", () => {
  test("a row whose lower id is committed late is not lost, and nothing is read before it", async () => {
    const table = await tableWith(PLAIN);
    const insert = `insert into ${table} (n) values (1)`;
    const late = await openTransaction(insert);
    await admin.query(insert);
    const source = sourceOf(table);
    const first = await readOne(source, windowOf(source));
    expect(first.page.events).toEqual([]);
    await late.query("commit");
    const { pages } = await readAll(source, first.window);
    expect(idsOf(pages)).toEqual(["1", "2"]);
  });

  test("a number drawn by a transaction that has no xid yet is waited for as well", async () => {
    const table = await tableWith(PLAIN);
    await admin.query(`
      create function wait_${table}() returns trigger language plpgsql as
        $$ begin perform pg_advisory_xact_lock(4711); return new; end $$;
      create trigger wait before insert on ${table} for each row when (new.n = 0)
        execute function wait_${table}()`);
    const holder = await openTransaction("select pg_advisory_xact_lock(4711)");
    const { drawn, inserted } = await drawnWithoutXid(table);
    await admin.query(`insert into ${table} (n) values (1)`);
    const source = sourceOf(table);
    const first = await readOne(source, windowOf(source));
    expect(first.page.events).toEqual([]);
    await holder.query("commit");
    await inserted;
    expect(idsOf((await readAll(source, first.window)).pages)).toEqual([
      String(drawn),
      String(drawn + 1),
    ]);
  });

  test("a table whose numbers began again says so; one whose old rows were deleted is only empty", async () => {
    const table = await tableWith(PLAIN);
    await admin.query(`insert into ${table} (n) select generate_series(1, 5)`);
    const source = sourceOf(table);
    const { window } = await readAll(source);
    await admin.query(`delete from ${table} where id > 2`);
    expect(idsOf((await readAll(source, window)).pages)).toEqual([]);
    await admin.query(`delete from ${table}`);
    expect(idsOf((await readAll(source, window)).pages)).toEqual([]);
    await admin.query(`truncate ${table} restart identity`);
    await admin.query(`insert into ${table} (n) values (1)`);
    await expect(readAll(source, window)).rejects.toThrow(
      /its ids end at 1, before the cursor 5: its numbers began again/,
    );
    expect(idsOf((await readAll(source, windowOf(source))).pages)).toEqual(["1"]);
  });

  test("what rolled back leaves a gap, and holds up nothing", async () => {
    const table = await tableWith(PLAIN);
    const insert = `insert into ${table} (n) values (1)`;
    const failing = await openTransaction(insert);
    await admin.query(insert);
    await failing.query("rollback");
    expect(idsOf((await readAll(sourceOf(table))).pages)).toEqual(["2"]);
  });

  test("a transaction that writes elsewhere, or begins after the mark, holds up nothing for ever", async () => {
    const [table, other] = [await tableWith(PLAIN), await tableWith(PLAIN)];
    const elsewhere = await openTransaction(`insert into ${other} (n) values (1)`);
    const early = await openTransaction(`insert into ${table} (n) values (1)`);
    await admin.query(`insert into ${table} (n) values (2)`);
    const source = sourceOf(table);
    const { window } = await readOne(source, windowOf(source));
    const later = await openTransaction(`insert into ${table} (n) values (3)`);
    await early.query("commit");
    expect(idsOf((await readAll(source, window)).pages)).toEqual(["1", "2"]);
    await Promise.all([elsewhere.query("rollback"), later.query("rollback")]);
  });

  test("writers to a partition, and through its parent, are waited for", async () => {
    const table = "parted";
    await admin.query(`
      create sequence parted_seq;
      create table ${table} (id bigint default nextval('parted_seq'), n int) partition by list (n);
      create table ${table}_0 partition of ${table} for values in (0);
      create table ${table}_1 partition of ${table} for values in (1)`);
    for (const [loaded, written] of [
      [table, `${table}_1`],
      [`${table}_1`, table],
    ] as const) {
      const source = sourceOf(loaded);
      const { window } = await readAll(source);
      const late = await openTransaction(`insert into ${written} (n) values (1)`);
      await admin.query(`insert into ${table} (n) values (1)`);
      const held = await readOne(source, window);
      expect(held.page.events).toEqual([]);
      await late.query("commit");
      expect(idsOf((await readAll(source, held.window)).pages)).toHaveLength(2);
    }
  });

  test("beside writers that commit late and roll back, every committed row is read once, in order", async () => {
    const table = await tableWith(PLAIN);
    const committed: string[] = [];
    let isOver = false;
    const write = async (seed: number) => {
      const client = await rawClient(url);
      for (let i = 0; i < 60; i += 1) {
        const isSlow = (i * 7 + seed) % 5 === 0;
        await client.query("begin");
        const { rows } = await client.query(
          `insert into ${table} (n) select generate_series(1, 3) returning id::text`,
        );
        if (isSlow) await client.query("select pg_sleep(0.05)");
        const isKept = (i + seed) % 6 !== 0;
        await client.query(isKept ? "commit" : "rollback");
        if (isKept) committed.push(...rows.map((row: { id: string }) => row.id));
      }
    };
    const source = sourceOf(table, { limit: 50 });
    const read: string[] = [];
    let window: Window = windowOf(source);
    const reading = (async () => {
      for (let last = false; !last; ) {
        // with the mark of an earlier round it would read only up to that
        const { mark } = (window.state ?? { mark: null }) as { mark: unknown };
        last = isOver && mark === null;
        const round = await readAll(source, window);
        window = round.window;
        read.push(...idsOf(round.pages));
      }
    })();
    await Promise.all([1, 2, 3, 4].map(write));
    isOver = true;
    await reading;
    expect(read).toEqual([...committed].sort((a, b) => Number(a) - Number(b)));
  });

  test("rows too young for `settle` wait, for numbers that were drawn before their insert", async () => {
    const table = await tableWith(PLAIN);
    await admin.query(`insert into ${table} (n) values (1)`);
    const source = sourceOf(table, { settle: "1h" });
    const { page, window } = await readOne(source, windowOf(source));
    expect(page.events).toEqual([]);
    expect(window.state).toMatchObject({ mark: { upTo: "1", writers: [] } });
    const aged = { ...window, state: { mark: { upTo: "1", atMs: 0, writers: [] } } };
    expect(idsOf((await readAll(source, aged)).pages)).toEqual(["1"]);
  });
});

describe("R46: each row becomes an event:", () => {
  test("the whole row, wide numbers as text, names quoted", async () => {
    const table = await tableWith(
      `"Id ""x""" bigint generated always as identity, big bigint, exact numeric, "select" text, at timestamp, zoned timestamptz`,
    );
    await admin.query(
      `insert into ${table} (big, exact, "select", at, zoned) values (9007199254740993, 0.1000000000000000055, 'a', '2030-01-02 03:04:05', '2030-01-02 03:04:05+01')`,
    );
    const fields = { id: 'Id "x"', eventName: "select" };
    const [event] =
      (await readAll(sourceOf(table, { ...fields, occurredAt: "at" }))).pages[0]?.events ?? [];
    expect(event).toMatchObject({
      id: "1",
      name: "a",
      occurredAt: "2030-01-02T03:04:05.000Z",
      payload: { 'Id "x"': "1", big: "9007199254740993", exact: "0.1000000000000000055" },
    });
    const zoned = await readAll(
      sourceOf(table, { ...fields, occurredAt: "zoned", columns: ["big"] }),
    );
    expect(zoned.pages[0]?.events[0]).toMatchObject({
      occurredAt: "2030-01-02T02:04:05.000Z",
      payload: { big: "9007199254740993" },
    });
  });

  test("one column as payload; text that is no JSON is set aside with its bytes", async () => {
    const table = await tableWith("id serial, body text");
    await admin.query(`insert into ${table} (body) values ('{"a":1}'), ('{broken'), (null)`);
    const { pages } = await readAll(sourceOf(table, { payload: "body" }));
    const [good, bad, none] = pages[0]?.events ?? [];
    expect(good).toMatchObject({ id: "1", payload: { a: 1 } });
    expect(bad !== undefined && isBad(bad) && Buffer.from(bad.raw).toString()).toBe("{broken");
    expect(none).toMatchObject({ id: "3", payload: null });
  });
});

describe("R43: what cannot be loaded safely is an error of the source:", () => {
  test("a sequence with a cache, since its numbers do not come in order", async () => {
    const table = await tableWith("id bigint generated always as identity (cache 20), n int");
    await expect(readAll(sourceOf(table))).rejects.toThrow(/20 numbers at once/);
    await admin.query("create sequence lent cache 5");
    const borrowed = await tableWith("id bigint default nextval('lent'), n int");
    await expect(readAll(sourceOf(borrowed))).rejects.toThrow(SourceAnswered);
  });

  test.each<[string, string, Partial<PostgresTableOptions>, RegExp]>([
    ["no such table", "nowhere", {}, /does not exist/],
    ["a view", "a_view", {}, /not a table/],
    ["a column that is not there", "a_table", { payload: "pay_load" }, /did you mean "payload"/],
    ["an id that is no whole number", "a_table", { id: "payload" }, /whole number/],
    ["a name that is an injection", 'a_table"; drop table a_table; --', {}, /does not exist/],
  ])("%s", async (_, table, options, message) => {
    await admin.query(`
      create table if not exists a_table (id bigint, payload jsonb);
      create or replace view a_view as select * from a_table`);
    const loading = readAll(sourceOf(table, options));
    await expect(loading).rejects.toThrow(SourceAnswered);
    await expect(readAll(sourceOf(table, options))).rejects.toThrow(message);
  });

  test("a server that is not reached is unsent, one that ends the connection is not held", async () => {
    const dead = postgresTableSource({
      name: "shop",
      databaseUrl: "postgresql://someone:pa55word@127.0.0.1:1/shop",
      table: "t",
    });
    expect(JSON.stringify(dead.config)).not.toContain("pa55word");
    expect(dead.onFault).toEqual({
      unsent: "retry",
      answered: "hold",
      busy: "hold",
      unknown: "retry",
    });
    await expect(readAll(dead)).rejects.toMatchObject({ name: "SourceUnavailable", sent: "no" });
    const table = await tableWith(PLAIN);
    const late = await openTransaction(`insert into ${table} (n) values (1)`);
    await admin.query(`insert into ${table} (n) values (1)`);
    const source = sourceOf(table);
    let fault: unknown;
    const loading = (async () => {
      for (;;) await readOne(source, windowOf(source));
    })().catch((error: unknown) => {
      fault = error;
    });
    await until("a connection is ended while it is used", async () => {
      await admin.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'pawl source'",
      );
      return fault !== undefined;
    });
    await loading;
    expect(fault).toBeInstanceOf(SourceUnavailable);
    await late.query("rollback");
  });

  test("a connection that is lost in the moment in which it is there fails the request, not the process", async () => {
    const table = await tableWith(PLAIN);
    await admin.query(`insert into ${table} (n) values (1)`);
    const fatal = Buffer.from(
      "SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0",
    );
    const lastWords = Buffer.concat([Buffer.from([0x45, 0, 0, 0, fatal.length + 4]), fatal]);
    let connections = 0;
    const listener = net.createServer((client) => {
      const isFirst = ++connections === 1;
      const upstream = net.connect(serverOf(url));
      client.on("error", () => undefined).on("close", () => upstream.destroy());
      upstream.on("error", () => undefined).on("close", () => client.destroy());
      client.pipe(upstream);
      upstream.on("data", (chunk) => {
        // that it is ready, and its end, arrive together
        if (isFirst && chunk.at(-6) === 0x5a) client.end(Buffer.concat([chunk, lastWords]));
        else client.write(chunk);
      });
    });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void listener.close());
    const { port } = listener.address() as net.AddressInfo;
    const source = sourceOf(table, { databaseUrl: urlThrough(url, port) });
    await expect(readAll(source)).rejects.toBeInstanceOf(SourceUnavailable);
    expect(idsOf((await readAll(source)).pages)).toEqual(["1"]);
  });

  test.each<[string, object]>([
    ["no URL", { databaseUrl: "shop" }],
    ["a table in three parts", { table: "a.b.c" }],
    ["columns beside a payload", { payload: "p", columns: ["a"] }],
    ["no columns", { columns: [] }],
    ["an unknown option", { tabel: "t" }],
  ])("%s is refused when the source is defined", (_, options) => {
    const given = { name: "shop", databaseUrl: url, table: "t", ...options };
    expect(() => postgresTableSource(given as PostgresTableOptions)).toThrow(
      expect.objectContaining({ code: "invalid_option" }),
    );
  });
});
