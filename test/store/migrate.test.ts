import { describe, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob } from "../../src/index.ts";
import { ownFunctions } from "../../src/store/functions.ts";
import { migrate, migrations, planMigrations, requireSchema } from "../../src/store/migrate.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { freshDatabase } from "../support/database.ts";
import { LONG_LEASE } from "../support/kernel.ts";
import { until } from "../support/until.ts";

async function emptyStore(schema = "pawl"): Promise<Store & AsyncDisposable> {
  const database = await freshDatabase({ migrated: false });
  const store = openStore({ url: database.url, schema, max: 4 });
  return {
    ...store,
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await database.drop();
    },
  };
}

const numbers = migrations().map((one) => one.number);
const own = ownFunctions();
const NOTHING = { migrations: [], functions: [] };

describe("R108: migrations", () => {
  test("the files are numbered from 1 without a gap", () => {
    expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  });

  test("two migrators at once apply each migration once", async () => {
    await using store = await emptyStore();
    const applied = await Promise.all([migrate(store), migrate(store), migrate(store)]);
    const each = applied.flatMap((one) => one.migrations.map(({ number }) => number));
    expect(each.toSorted((a, b) => a - b)).toEqual(numbers);
    expect(applied.flatMap((one) => one.functions)).toHaveLength(own.files.length);
    expect(await migrate(store)).toEqual(NOTHING);
    await requireSchema(store);
  });

  test("one that fails half-way leaves nothing, and the next run makes all", async () => {
    await using store = await emptyStore();
    // 0007 makes this function: with it there already, its file fails in the middle
    await store.rows("create schema pawl");
    await store.rows(
      "create function pawl.uuid_v7() returns uuid language sql as 'select null::uuid'",
    );
    await expect(migrate(store)).rejects.toThrow("already exists");
    expect((await planMigrations(store)).applied).toEqual([]);
    const [made] = await store.rows("select to_regclass('pawl.task') as made");
    expect(made).toEqual({ made: null }); // 0004 makes it
    await expect(requireSchema(store)).rejects.toMatchObject({ code: "schema_missing" });
    await store.rows("drop function pawl.uuid_v7");
    expect((await migrate(store)).migrations.map((one) => one.number)).toEqual(numbers);
  });

  test("R108: a schema in which a later migration is missing is outdated, and is brought up to it", async () => {
    await using store = await emptyStore();
    await migrate(store);
    const last = migrations().find((one) => one.name === "registry")?.number;
    await store.rows("delete from pawl.migration where number = $1", [last]);
    await store.rows("drop table pawl.application");
    await expect(requireSchema(store)).rejects.toMatchObject({
      code: "schema_outdated",
      message: expect.stringContaining(`000${last}`),
    });
    expect((await migrate(store)).migrations.map((one) => one.number)).toEqual([last]);
    await requireSchema(store);
  });

  test("a database without the schema is told from an outdated one; a plan changes nothing", async () => {
    await using store = await emptyStore();
    expect((await planMigrations(store)).pending).toHaveLength(numbers.length);
    await expect(requireSchema(store)).rejects.toMatchObject({ code: "schema_missing" });
    expect(await store.rows("select 1 from pg_namespace where nspname = 'pawl'")).toEqual([]);
  });

  test("a file that was changed after it was applied is refused", async () => {
    await using store = await emptyStore();
    await migrate(store);
    await store.rows("update pawl.migration set checksum = 'other' where number = 2");
    const refused = { code: "migration_changed", data: { number: 2 } };
    await expect(migrate(store)).rejects.toMatchObject(refused);
    await expect(requireSchema(store)).rejects.toMatchObject(refused);
  });

  test("R108: a newer schema than this version knows does not stop it", async () => {
    await using store = await emptyStore();
    await migrate(store);
    await store.rows("insert into pawl.migration values (9001, 'later', 'x')");
    expect(await planMigrations(store)).toMatchObject({ pending: [], newer: [9001] });
    await requireSchema(store);
  });

  test("a server before PostgreSQL 14 is refused before anything is written", async () => {
    await using store = await emptyStore();
    const old: Store = {
      ...store,
      rows: async <Row>(text: string, values?: readonly unknown[]) =>
        text.includes("server_version_num")
          ? ([{ version: "130000", name: "13.0" }] as Row[])
          : store.rows<Row>(text, values),
    };
    await expect(migrate(old)).rejects.toMatchObject({
      code: "database_too_old",
      message: expect.stringContaining("13.0"),
    });
    expect(await store.rows("select 1 from pg_namespace where nspname = 'pawl'")).toEqual([]);
  });
});

describe("a schema of another name", () => {
  test("holds everything: a task is enqueued, fails, is retried and ends there, beside a schema `pawl`", async () => {
    await using first = await emptyStore();
    await migrate(first);
    const job = defineJob({
      name: "job",
      input: z.object({}),
      retry: { attempts: 2, delays: ["1ms"] },
      run: (_, { attempt }) => {
        if (attempt === 1) throw new Error("once");
        return "from the other schema";
      },
    });
    const pawl = await connect(defineApp({ schema: "other", jobs: [job] }), {
      databaseUrl: first.url,
      migrate: true,
      log: silentLogger,
    });
    await pawl.store.rows(LONG_LEASE);
    await pawl.work();
    const { id } = await pawl.transaction((tx) => pawl.enqueue(job, {}, { tx }));
    const task = await until("the task is done", async () => {
      const found = await pawl.task(id);
      return found?.state === "done" && found;
    });
    expect(task).toMatchObject({ attempt: 2, result: "from the other schema" });
    expect((await pawl.stats()).queues.map((row) => row.queue)).toEqual(
      ["high", "low", "normal"].sort(),
    );
    await pawl.close();
    const [here] = await first.rows("select count(*)::int as n from pawl.worker");
    expect(here).toEqual({ n: 0 });
    const strays = await first.rows(
      `select routine_name from information_schema.routines
        where routine_schema = 'other' and routine_definition ~ '\\mpawl\\.'`,
    );
    expect(strays).toEqual([]);
  });
});
