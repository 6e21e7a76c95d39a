import { hostname } from "node:os";
import { expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, type Pawl } from "../../src/index.ts";
import type { AuditRow } from "../../src/operate/sql.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase } from "../support/database.ts";
import { here, hereJson } from "./here.ts";

const BY = { by: "ada", why: "a release" };
const BY_FLAGS = ["--by", "ada", "--why", "a release"];

async function shop(): Promise<{ url: string; pawl: Pawl }> {
  const { url } = await freshDatabase();
  const pawl = await connect(defineApp({ name: "shop" }), { databaseUrl: url, log: silentLogger });
  atEnd(() => pawl.close());
  return { url, pawl };
}

/** Everything that the audit holds, the first first; neither number nor time. */
async function audited(url: string): Promise<object[]> {
  const { audit } = await hereJson<{ audit: AuditRow[] }>(url, "audit");
  return audit
    .map(({ by, why, action, target, detail }) => ({ by, why, action, target, detail }))
    .reverse();
}

test("R61: stopping workers is audited once, alike from the command line and from code", async () => {
  const { url, pawl } = await shop();
  expect(await here(url, "stop-workers", ...BY_FLAGS)).toBe("workers: 0 asked to stop");
  expect(await pawl.stopWorkers(BY)).toBe(0);
  expect(await pawl.stopWorkers()).toBe(0);
  const stopped = { ...BY, action: "workers.stop", target: "workers", detail: { asked: 0 } };
  const unsigned = { ...stopped, by: `shop@${hostname()}`, why: null };
  expect(await audited(url)).toEqual([stopped, stopped, unsigned]);
  await expect(pawl.stopWorkers({ who: "ada" } as object)).rejects.toThrow(/no option `who`/);
});

test("R49: pruning the log of sources is audited once, alike from the command line and from code, and a dry run is not", async () => {
  const { url, pawl } = await shop();
  const days = ["--done-days", "1", "--failed-days", "2", "--seen-days", "3"];
  const options = { done: "1d", failed: "2d", seen: "3d" };
  await here(url, "sources", "prune-log", ...days, ...BY_FLAGS, "--dry-run");
  await here(url, "sources", "prune-log", ...days, ...BY_FLAGS);
  await pawl.sources.pruneLog({ ...options, ...BY, dryRun: true });
  await pawl.sources.pruneLog({ ...options, ...BY });
  await pawl.sources.pruneLog();
  const act = { ...BY, action: "sources.pruneLog", target: "sources" };
  const detail = { doneDays: 1, failedDays: 2, seenDays: 3, archive: false };
  expect(await audited(url)).toEqual([
    { ...act, detail },
    { ...act, detail },
    {
      ...act,
      by: `shop@${hostname()}`,
      why: null,
      detail: { doneDays: 7, failedDays: 30, archive: false },
    },
  ]);
});

test("R116: recording an event and testing a destination are audited, alike from the command line and from code", async () => {
  const { url, pawl } = await shop();
  await pawl.destinations.add({ name: "nowhere", type: "null" });
  const recorded = [
    await here(url, "events", "record", "a.b", "--aggregate", "order:1", ...BY_FLAGS),
    (await pawl.events.record("a.b", { aggregate: ["order", 1], payload: {} }, BY)).id,
  ];
  await here(url, "destinations", "test", "nowhere", ...BY_FLAGS);
  await pawl.destinations.test("nowhere", BY);
  const tested = { ...BY, action: "destinations.test", target: "destination:nowhere" };
  expect((await audited(url)).slice(1)).toMatchObject([
    ...recorded.map((id) => ({ ...BY, action: "events.record", target: `event:${id}` })),
    tested,
    tested,
  ]);
});
