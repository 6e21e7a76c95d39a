import { writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { migrations } from "../../src/store/migrate.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { type ErrorDocument, newFolder, PAWL, pawl, pawlJson } from "./cli.ts";

const ALL = migrations().length;

test("R108: migrate --plan prints the SQL that migrate then applies, in the app's schema, and changes nothing", async () => {
  const { url } = await freshDatabase({ migrated: false });
  const client = await rawClient(url);
  const folder = newFolder();
  writeFileSync(
    path.join(folder, "pawl.config.ts"),
    `import { defineApp } from ${JSON.stringify(PAWL)};\nexport default defineApp({ schema: "shop_work" });\n`,
  );
  const options = { url, cwd: folder };
  const schemas = "select nspname from pg_namespace where nspname in ('pawl', 'shop_work')";

  const planned = await pawl(["migrate", "--plan"], options);
  expect(planned).toMatchObject({ code: 0, stderr: "" });
  expect(planned.stdout).toContain("-- 0003_kernel_catalogue");
  expect(planned.stdout).toContain("create table shop_work.task (");
  expect(planned.stdout).toContain("-- kernel/turn");
  expect(planned.stdout).toContain("create or replace function shop_work.turn_v1(");
  expect(planned.stdout).not.toMatch(/\bpawl\./);
  expect((await client.query(schemas)).rows).toEqual([]);

  const stats = await pawlJson<ErrorDocument>(["stats"], options);
  expect(stats.code).toBe(4);
  expect(stats.json.error).toMatchObject({
    code: "schema_missing",
    message: expect.stringContaining("run `pawl migrate`"),
  });

  const { code, json } = await pawlJson<{
    schema: string;
    applied: unknown[];
    functions: unknown[];
  }>(["migrate"], options);
  expect(code).toBe(0);
  expect(json.schema).toBe("shop_work");
  expect(json.applied).toHaveLength(ALL);
  expect(json.functions).toContain("outbox/router");
  expect((await client.query(schemas)).rows).toEqual([{ nspname: "shop_work" }]);

  const [again, nothing] = await Promise.all([
    pawl(["migrate"], options),
    pawl(["migrate", "--plan"], options),
  ]);
  expect(again.stdout).toBe('schema "shop_work": up to date\n');
  expect(nothing.stdout).toBe('-- schema "shop_work": nothing is pending\n');

  await client.query(
    "update shop_work.function_file set checksum = 'older' where name = 'outbox/router'",
  );
  const word = await pawl(["migrate", "--plan"], options);
  expect(word.stdout).toMatch(/^-- outbox\/router\n/);
  expect(word.stdout).not.toContain("-- kernel/turn");
  const mended = await pawl(["migrate"], options);
  expect(mended.stdout).toBe(
    'applied functions of outbox/router\nschema "shop_work": up to date\n',
  );
});
