/** The commands that change many runs of processes at once. */

import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineProcess, type Pawl } from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase } from "../support/database.ts";
import { untilStatus } from "../support/runs.ts";
import { here, hereJson } from "./here.ts";

const broken = defineProcess({
  name: "broken",
  version: 1,
  input: z.object({ isBroken: z.boolean() }),
  retry: { attempts: 1 },
  steps: (s) =>
    s
      .call("pay", ({ input: { isBroken } }) => {
        if (isBroken) throw new Error("503");
      })
      .wait("word"),
});

let url = "";
let pawl: Pawl;
beforeAll(async () => {
  url = (await freshDatabase({ longLeases: true })).url;
  pawl = await connect(defineApp({ processes: [broken] }), { databaseUrl: url, log: silentLogger });
  atEnd(() => pawl.close());
  await pawl.work();
});

const WHO = ["--by", "ada", "--why", "the bank is down"] as const;
const OF = ["--process", "broken"] as const;
const cli = (...args: string[]) => here(url, "processes", ...args);

async function runs(isBroken: boolean): Promise<[string, string]> {
  const one = await pawl.start(broken, { isBroken });
  const two = await pawl.start(broken, { isBroken });
  for (const { id } of [one, two]) await untilStatus(pawl, id, isBroken ? "error" : "waiting");
  return [one.id, two.id];
}

test("R24: skip-all, restart-all and abandon-all say first what they would do, and then do it to each run that the filters find", async () => {
  const ids = await runs(true);
  expect(await cli("restart-all", ...OF, "--at", "word", ...WHO)).toBe("restarted 0 runs");
  expect(await cli("restart-all", ...OF, "--limit", "1", "--dry-run")).toBe("would restart 1 run");
  expect(await cli("restart-all", ...OF, ...WHO)).toBe("restarted 2 runs");
  for (const id of ids) await untilStatus(pawl, id, "error");
  await expect(cli("skip-all", ...WHO)).rejects.toThrow("--at");
  await expect(cli("skip-all", "--at", "pay", "--process", "brokn")).rejects.toMatchObject({
    code: "unknown_kind",
  });
  const dry = await hereJson(url, "processes", "skip-all", ...OF, "--at", "pay", "--dry-run");
  expect(dry).toMatchObject({ action: "skip", dryRun: true, count: 2, ids, left: [] });
  expect(await cli("skip-all", ...OF, "--at", "pay", ...WHO)).toBe("skipped 2 runs");
  for (const id of ids) await untilStatus(pawl, id, "waiting");
  expect(await cli("show", ids[0])).toMatch(/pay +skipped .*the bank is down.* ada/);

  const others = await runs(true);
  await expect(cli("abandon-all", ...OF, ...WHO)).rejects.toThrow("would end 2 runs; add --yes");
  expect(await cli("abandon-all", ...OF, "--dry-run")).toBe("would abandon 2 runs");
  expect(await cli("abandon-all", ...OF, ...WHO, "--yes")).toBe("abandoned 2 runs");
  for (const id of others) await untilStatus(pawl, id, "abandoned");
  await cli("abandon-all", "--status", "waiting", ...WHO, "--yes");
  for (const id of ids) await untilStatus(pawl, id, "abandoned");
});

test("hold-all holds live runs of every status, hold one; release-all and release let them go on", async () => {
  const ids = await runs(false);
  const [failed] = await runs(true);
  const later = await pawl.start(
    broken,
    { isBroken: false },
    { runAt: new Date("2100-01-01T00:00:00Z") },
  );
  expect(await cli("hold-all", ...OF, "--status", "waiting", "--dry-run")).toBe(
    "would hold 2 runs",
  );
  expect(await cli("hold", ids[0], ...WHO)).toBe(`run ${ids[0]}: held`);
  expect(await cli("hold-all", ...OF, ...WHO)).toBe("held 2 runs");
  for (const id of [...ids, later.id]) await untilStatus(pawl, id, "held");
  expect((await pawl.processes.show(failed))?.run.status).toBe("error");
  expect(await cli("list", "--status", "held")).toContain("the bank is down");
  expect(await here(url, "why", ids[1])).toContain(`held at step word ("the bank is down")`);
  await expect(cli("hold", ids[1])).rejects.toThrow("it is held");
  expect(await cli("release", ids[0], ...WHO)).toBe(`run ${ids[0]} goes on`);
  await untilStatus(pawl, ids[0], "waiting");
  expect(await cli("release-all", ...OF, "--at", "word", "--dry-run")).toBe("would release 1 run");
  const done = await hereJson(url, "processes", "release-all", ...OF, ...WHO);
  expect(done).toMatchObject({ action: "release", count: 2, ids: [ids[1], later.id] });
  await untilStatus(pawl, ids[1], "waiting");
  await untilStatus(pawl, later.id, "waiting");
});
