import { describe, expect, test } from "vitest";
import { checksumOf, type FunctionSet, ownFunctions } from "../../src/store/functions.ts";
import { migrate, planMigrations, requireSchema } from "../../src/store/migrate.ts";
import type { Store } from "../../src/store/store.ts";
import { freshStore } from "../support/database.ts";

const own = ownFunctions();
const FILE = "kernel/failures";

/** The functions of a later version, in whose file `from` reads `to`. */
function later(from: string, to: string, set: FunctionSet = own, name = FILE): FunctionSet {
  const files = set.files.map((file) => {
    if (file.name !== name) return file;
    const sql = file.sql.replace(from, to);
    expect(sql).not.toBe(file.sql);
    return { ...file, sql, checksum: checksumOf(sql) };
  });
  return { revision: set.revision + 1, files };
}

const names = (files: readonly { name: string }[]) => files.map((file) => file.name);

async function attempts(store: Store): Promise<string | undefined> {
  const [row] = await store.rows<{ attempts: string }>(
    "select pawl.default_retry() ->> 'attempts' as attempts",
  );
  return row?.attempts;
}

const five = later('"attempts": 4', '"attempts": 5');

describe("R108: functions", () => {
  test("a word that was mended is applied to a database that is there, from its file alone; entries stay as safe as before", async () => {
    const store = await freshStore();
    await expect(requireSchema(store, five)).rejects.toMatchObject({
      code: "schema_outdated",
      message: expect.stringContaining(FILE),
    });
    expect(names((await planMigrations(store, five)).functions)).toEqual([FILE]);
    expect(await attempts(store)).toBe("4"); // a plan changes nothing
    const applied = await migrate(store, five);
    expect([applied.migrations, names(applied.functions)]).toEqual([[], [FILE]]);
    expect(await attempts(store)).toBe("5");
    await requireSchema(store, five);
    const [entry] = await store.rows(
      `select prosecdef as definer, 'search_path=pg_catalog, pg_temp' = any (proconfig) as "hasPath",
              has_function_privilege('public', oid, 'execute') as "isPublic"
         from pg_proc where oid = 'pawl.fail_v1'::regproc`,
    );
    expect(entry).toEqual({ definer: true, hasPath: true, isPublic: false });
  });

  test("an older Pawl neither puts its own back nor calls the newer ones outdated", async () => {
    const store = await freshStore();
    await migrate(store, five);
    expect(await migrate(store)).toEqual({ migrations: [], functions: [] });
    await requireSchema(store);
    expect(await attempts(store)).toBe("5");
    const six = later('"attempts": 5', '"attempts": 6', five);
    expect(names((await migrate(store, six)).functions)).toEqual([FILE]);
    expect(await attempts(store)).toBe("6");
  });

  test("of migrators at once one applies them", async () => {
    const store = await freshStore();
    const applied = await Promise.all([1, 2, 3].map(() => migrate(store, five)));
    expect(names(applied.flatMap((one) => one.functions))).toEqual([FILE]);
  });

  test("what no file makes any more stays for the workers that call it", async () => {
    const store = await freshStore();
    const files = own.files.filter((file) => file.name !== FILE);
    const changed = await migrate(store, { revision: own.revision + 1, files });
    expect(changed.functions).toEqual([]);
    expect(await attempts(store)).toBe("4");
  });

  test.each([
    [
      "another result",
      [
        ["() returns jsonb", "() returns json"],
        ["}'::jsonb;", "}'::json;"],
      ] as const,
    ],
    ["other parameters", [["default_retry()", "default_retry(p_n int default 1)"]] as const],
  ])(
    "a function of the same name with %s is refused with what to do, and nothing is changed",
    async (_, edits) => {
      const store = await freshStore();
      const other = edits.reduce((set, [from, to]) => later(from, to, set), own);
      await expect(migrate(store, other)).rejects.toMatchObject({
        code: "function_changed",
        message: expect.stringContaining("_v2"),
      });
      expect(await migrate(store)).toEqual({ migrations: [], functions: [] });
      expect(await attempts(store)).toBe("4");
    },
  );

  test("a view whose column would go is refused with what to do; one more column is not", async () => {
    const store = await freshStore();
    const views = "kernel/task-views";
    const less = later("t.id, case when c.no", "case when c.no", own, views);
    await expect(migrate(store, less)).rejects.toMatchObject({
      code: "function_changed",
      message: expect.stringContaining("_v2"),
    });
    const more = later("t.last_error as error", "t.last_error as error, t.losses", own, views);
    expect(names((await migrate(store, more)).functions)).toEqual([views]);
    expect(await store.rows("select losses from pawl.task_now_v1")).toEqual([]);
  });

  test("a body that names what is not there is refused before anybody calls it", async () => {
    const store = await freshStore();
    const broken = later(
      "create or replace function pawl.fail_v1(",
      "create or replace function pawl.lost() returns int language sql as 'select id from pawl.no_such_table';\ncreate or replace function pawl.fail_v1(",
    );
    await expect(migrate(store, broken)).rejects.toThrow("no_such_table");
    const [row] = await store.rows("select to_regproc('pawl.lost') as made");
    expect(row).toEqual({ made: null });
  });
});
