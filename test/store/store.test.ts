import { describe, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob } from "../../src/index.ts";
import { openStore, withoutPassword } from "../../src/store/store.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, freshStore, isLockAwaited, rawClient } from "../support/database.ts";
import { count, executorOn } from "../support/kernel.ts";
import { until } from "../support/until.ts";

const WAITING = `select l.pid from pg_locks l join pg_database d on d.oid = l.database
  where d.datname = current_database() and not l.granted`;
const TERMINATE_OTHERS = `select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid()`;

describe("the pool", () => {
  test("a transaction whose connection is ended fails, and the pool gives a fresh one", async () => {
    const store = await freshStore({ max: 1 });
    const killer = await rawClient(store.url);
    const broken = store.transaction(async (tx) => {
      await tx.query("create table public.half (n int)");
      await killer.query(TERMINATE_OTHERS);
      await tx.query("select 1");
    });
    await expect(broken).rejects.toThrow();
    expect(await store.rows("select to_regclass('public.half') as half")).toEqual([{ half: null }]);
  });

  test("R98: a statement of its own that is the victim of a deadlock is made again", async () => {
    const store = await freshStore({ max: 1 });
    const other = await rawClient(store.url);
    await other.query(`create function public.both() returns int language plpgsql as
      'begin perform pg_advisory_xact_lock(1); perform pg_advisory_xact_lock(3);
             perform pg_advisory_xact_lock(2); return 7; end'`);
    await other.query("set deadlock_timeout to '10min'"); // so that it is not the victim
    await other.query("begin; select pg_advisory_xact_lock(2)");
    const gate = await rawClient(store.url);
    await gate.query("select pg_advisory_lock(3)");
    const both = store.rows("select public.both()");
    await until("the statement waits at the gate", () => isLockAwaited(gate));
    const first = other.query("select pg_advisory_xact_lock(1)");
    await until("the other waits for the first lock", async () => {
      const { rows } = await gate.query<{ pid: number }>(WAITING);
      return rows.length === 2;
    });
    // a deadlock is looked for once in a wait: the one that closes the circle is the last to begin
    await gate.query("select pg_advisory_unlock(3)");
    await first;
    await other.query("commit");
    expect(await both).toEqual([{ both: 7 }]);
  });

  test("survives the end of all its connections, idle and busy ones", async () => {
    const { url } = await freshDatabase();
    const warned: string[] = [];
    const heard = (_: object, message: string) => void warned.push(message);
    const log = { ...silentLogger, warn: heard, debug: heard };
    const store = openStore({ url, max: 3, log });
    const killer = await rawClient(url);
    const opened = await Promise.all([1, 2, 3].map(() => store.begin()));
    for (const one of opened) await one.rollback();
    await killer.query(TERMINATE_OTHERS);
    await until("the lost connections were heard of", () => warned.length >= 3);
    expect(await store.rows("select 2 as n")).toEqual([{ n: 2 }]);

    const busy = store.rows("select pg_sleep(30)").catch((error: unknown) => error);
    await until("the statement runs", async () => {
      const { rows } = await killer.query(
        "select 1 from pg_stat_activity where datname = current_database() and query like 'select pg_sleep%' and state = 'active'",
      );
      return rows.length === 1;
    });
    await killer.query(TERMINATE_OTHERS);
    expect(await busy).toMatchObject({ code: "database_unreachable" });
    expect(await store.prepared("select 3 as n", [])).toEqual([{ n: 3 }]);
    await store.close();
  });

  test("what it sends is never compiled (jit), whatever the database says; connections of others are as they were", async () => {
    const { url } = await freshDatabase();
    const other = await rawClient(url);
    const { rows } = await other.query<{ name: string }>("select current_database() as name");
    await other.query(`alter database ${rows[0]?.name} set jit = on`);
    const store = openStore({ url });
    atEnd(() => store.close());
    expect(await store.rows("show jit")).toEqual([{ jit: "off" }]);
    expect(await store.prepared("select current_setting('jit') as jit", [])).toEqual([
      { jit: "off" },
    ]);
    const inTransaction = await store.transaction((tx) => tx.query("show jit"));
    expect(inTransaction.rows).toEqual([{ jit: "off" }]);
    const later = await rawClient(url);
    expect((await later.query("show jit")).rows).toEqual([{ jit: "on" }]);
  });

  test("R98: a worker goes on after all its connections were ended under it", async () => {
    const { url } = await freshDatabase();
    const job = defineJob({ name: "job", input: z.unknown(), run: () => undefined });
    const pawl = await connect(defineApp({ jobs: [job] }), {
      databaseUrl: url,
      log: silentLogger,
    });
    await pawl.work();
    const killer = await rawClient(url);
    let total = 0;
    for (let round = 1; round <= 5; round += 1) {
      await killer.query("select pawl.enqueue($1)", [
        JSON.stringify(Array.from({ length: 200 }, () => ({ kind: "job" }))),
      ]);
      total += 200;
      const half = total - 100;
      await until("the worker is in the middle of them", async () => {
        const { rows } = await killer.query<{ n: string }>(
          "select count(*) as n from pawl.finished",
        );
        return Number(rows[0]?.n) >= Math.min(half, total - 199);
      });
      await killer.query(TERMINATE_OTHERS);
    }
    await until("all are done", async () => {
      const { rows } = await killer.query("select 1 from pawl.task limit 1");
      return rows.length === 0;
    });
    // not by the pool, which may not know yet that its connections are ending
    expect(await count(executorOn(killer), "finished")).toBe(total);
    const twice = await killer.query(
      "select id from pawl.finished group by id having count(*) > 1",
    );
    expect(twice.rows).toEqual([]);
    await pawl.close();
  });
});

describe("what cannot be is said", () => {
  test("a URL that is none is refused without showing its password", () => {
    for (const url of ["", "localhost", "mysql://root:hunter2@h/db", "postgresql://a b"]) {
      expect(() => openStore({ url })).toThrow(
        expect.objectContaining({
          code: "invalid_url",
          message: expect.not.stringContaining("hunter2"),
        }),
      );
    }
    expect(withoutPassword("postgresql://me:hunter2@db:5432/app")).toBe(
      "postgresql://me:***@db:5432/app",
    );
  });

  test("a server that is not there is unreachable, with what to check", async () => {
    const store = openStore({ url: "postgresql://nobody@127.0.0.1:1/none" });
    await expect(store.rows("select 1")).rejects.toMatchObject({
      code: "database_unreachable",
      message: expect.stringContaining("DATABASE_URL"),
    });
    await expect(store.transaction(async () => undefined)).rejects.toMatchObject({
      code: "database_unreachable",
    });
    await store.close();
  });

  test("a schema's name that would need quoting is refused", () => {
    for (const schema of ["Pawl", "a-b", "a.b", "", "x".repeat(60), 'a"; drop table b; --']) {
      expect(() => openStore({ url: "postgresql://h/d", schema })).toThrow(
        expect.objectContaining({ code: "invalid_option" }),
      );
    }
  });
});
