import path from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { defineProcess } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { pawlWith } from "../support/runs.ts";
import { here, hereJson } from "./here.ts";

const CONFIG = path.join(import.meta.dirname, "fixture/processes/pawl.config.ts");
const BASE = { name: "order", input: z.object({ n: z.number() }) } as const;

test("R17: runs of an old version are moved from the command line: tried first, then done, and what is left is told", async () => {
  const { url } = await freshDatabase();
  const first = defineProcess({ ...BASE, version: 1, steps: (s) => s.wait("paid") });
  const pawl = await pawlWith([first], url);
  const runs = [await pawl.start(first, { n: 1 }), await pawl.start(first, { n: 2 })];
  const [id, other] = runs.map((run) => run.id);
  const cli = (...args: string[]) =>
    here(url, "processes", "migrate", "order", "--from", "1", ...args, "--config", CONFIG);

  await expect(cli()).rejects.toThrow("start a worker of this code first");
  const next = defineProcess({
    ...BASE,
    version: 2,
    older: [first],
    steps: (s) => s.wait("money"),
  });
  await pawlWith([next], url);

  await expect(here(url, "processes", "migrate", "order", "--from", "1")).rejects.toMatchObject({
    code: "config_not_found",
  });
  await expect(cli("--to", "3")).rejects.toThrow("--to: the app defines no version 3");
  const dry = await cli("--dry-run");
  expect(dry).toContain("order, version 1 to 2: 1 would be migrated, 1 left as they are");
  expect(dry).toMatch(/paid +planned +money/);
  expect(dry).toMatch(/paid +refused +- +not this one/);
  expect((await pawl.processes.show(id ?? ""))?.run.version).toBe(1);

  const done = await cli("--by", "ada", "--why", "version 1 is gone");
  expect(done).toContain("1 migrated, 1 left as they are");
  expect(done).not.toContain("planned");
  expect((await pawl.processes.show(id ?? ""))?.run).toMatchObject({ version: 2, step: "money" });
  expect((await pawl.processes.show(other ?? ""))?.run).toMatchObject({ version: 1, step: "paid" });
  expect(await here(url, "processes", "show", id ?? "")).toMatch(/money +migrated.* ada/);
  const json = await hereJson(
    url,
    "processes",
    "migrate",
    "order",
    "--from",
    "1",
    "--dry-run",
    "--config",
    CONFIG,
  );
  expect(json).toMatchObject({
    count: 0,
    isDryRun: true,
    runs: [{ id: other, outcome: "refused" }],
  });
});
