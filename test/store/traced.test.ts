/** What `-vvv` tells of statements. */

import { expect, test } from "vitest";
import { type Logger, silentLogger, type TracingLogger } from "../../src/base/log.ts";
import type { Traced } from "../../src/store/connection.ts";
import { openStore } from "../../src/store/store.ts";
import { pawl } from "../cli/cli.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase } from "../support/database.ts";

test("R56: each statement is told with its duration and its rows, without values, literals and answers", async () => {
  const { url } = await freshDatabase();
  const told: Traced[] = [];
  const log: TracingLogger = {
    ...silentLogger,
    trace: (data) => void told.push(data as Traced),
  };
  const store = openStore({ url, log: log as Logger });
  atEnd(() => store.close());
  await store.rows("select $1::text as a,\n  'it''s hidden' as b union all select $1, 'x'", [
    "hunter2",
  ]);
  await expect(store.rows("select nothing_$1", [])).rejects.toThrow();
  await store.transaction(async (tx) => {
    await tx.query("select 'the app''s own'");
  });
  const ours = told.filter(({ sql }) => /^select (?:\$1|nothing)/.test(sql));
  expect(ours).toEqual([
    {
      sql: "select $1::text as a, '…' as b union all select $1, '…'",
      durationMs: expect.any(Number),
      rows: 2,
    },
    { sql: "select nothing_$1", durationMs: expect.any(Number), rows: null },
  ]);
  expect(JSON.stringify(told)).not.toMatch(/hunter2|hidden|own/);
  expect(told.some(({ sql }) => sql.startsWith("commit"))).toBe(true);
});

test("R56: -vvv tells what -vv does not", async () => {
  const { url } = await freshDatabase();
  const levels = async (flag: string) => {
    const { stderr } = await pawl(["stats", flag], { url });
    const lines = stderr.split("\n").filter((line) => line.startsWith("{"));
    return new Set(lines.map((line) => JSON.parse(line).level));
  };
  expect(await levels("-vvv")).toContain("trace");
  expect(await levels("-vv")).not.toContain("trace");
});
