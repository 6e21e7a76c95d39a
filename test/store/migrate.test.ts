import { describe, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob } from "../../src/index.ts";
import { migrate, migrations, planMigrations, requireSchema } from "../../src/store/migrate.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { freshDatabase } from "../support/database.ts";
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

describe("R108: migrations", () => {
  test("the files are numbered from 1 without a gap", () => {
    expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  });

  test("two migrators at once apply each migration once", async () => {
    await using store = await emptyStore();
    const applied = await Promise.all([migrate(store), migrate(store), migrate(store)]);
    const each = applied.flat().map((one) => one.number);
    expect(each.toSorted((a, b) => a - b)).toEqual(numbers);
    expect(await migrate(store)).toEqual([]);
    await requireSchema(store);
  });

  test("one that fails half-way leaves nothing of itself, and the next run goes on from there", async () => {
    await using store = await emptyStore();
    // 0003 makes this function: with it there already, its file fails in the middle
    await store.rows("create schema pawl");
    await store.rows(
      "create function pawl.stream_of(p_kind text, p_queue text, p_version int) returns int language sql as 'select 1'",
    );
    await expect(migrate(store)).rejects.toThrow("already exists");
    const plan = await planMigrations(store);
    expect(plan.applied.map((one) => one.number)).toEqual([1, 2]);
    expect(plan.pending.map((one) => one.number)).toEqual(numbers.slice(2));
    const [made] = await store.rows("select to_regproc('pawl.wake_v1') as made");
    expect(made).toEqual({ made: null }); // 0003 makes it before the function that was in its way
    await expect(requireSchema(store)).rejects.toMatchObject({
      code: "schema_outdated",
      message: expect.stringContaining("0003"),
    });
    await store.rows("drop function pawl.stream_of");
    expect((await migrate(store)).map((one) => one.number)).toEqual(numbers.slice(2));
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
    await pawl.work();
    const { id } = await pawl.transaction((tx) => pawl.enqueue(job, {}, { tx }));
    const task = await until("the task is done", async () => {
      const found = await pawl.task(id);
      return found?.state === "done" && found;
    });
    expect(task).toMatchObject({ attempt: 2, result: "from the other schema" });
    expect((await pawl.stats()).map((row) => row.queue)).toEqual(["high", "low", "normal"].sort());
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
