/** That everything is off is told of once for each time, as an event that routes deliver. */

import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { type Logger, silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, nullDestination, on } from "../../src/index.ts";
import { newFolder } from "../cli/cli.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

let locks: string;
beforeEach(() => {
  locks = newFolder();
  process.env.PAWL_LOCKS_DIR = locks;
  return () => {
    delete process.env.PAWL_LOCKS_DIR;
  };
});

async function shop() {
  const { url } = await freshDatabase({ longLeases: true });
  const told: string[] = [];
  const log: Logger = { ...silentLogger, error: (_, message) => void told.push(message) };
  const app = defineApp({
    name: "shop",
    destinations: { alarm: nullDestination() },
    routes: [on("pawl.lockdown").to("alarm")],
  });
  const pawl = await connect(app, { databaseUrl: url, log });
  onTestFinished(() => pawl.close());
  const events = () =>
    pawl.store.rows<{ aggregate_id: string; payload: object }>(
      "select aggregate_id, payload from pawl.event where name = 'pawl.lockdown' order by number",
    );
  const seen = (count: number) =>
    until(`${count} are told`, async () => (await events()).length === count && events());
  const delivered = (count: number) =>
    until(`${count} are delivered`, async () => {
      const all = await pawl.deliveries.list();
      return all.filter(({ status }) => status === "published").length === count;
    });
  const over = () =>
    until("it is seen to be over", async () => {
      const rows = await pawl.store.rows("select 1 from pawl.lockdown");
      return rows.length === 0;
    });
  /** In the log: after the event has been committed. */
  const logged = (start: string, count: number) =>
    until(
      `${count} are logged`,
      () => told.filter((one) => one.startsWith(start)).length === count,
    );
  const reported = (workers: number) =>
    until(`${workers} workers say so`, async () => {
      const rows = await pawl.store.rows("select from pawl.worker where off_here = '{all}'");
      return rows.length === workers;
    });
  return { pawl, logged, events, seen, delivered, over, reported };
}

test("R31: that all is off is told once, whichever of three workers sees it, and again for the next time; it is delivered when all is on", async () => {
  const { pawl, logged, seen, events, delivered, over } = await shop();
  await Promise.all([pawl.work(), pawl.work(), pawl.work()]);
  await pawl.switches.off("all", { by: "ada", why: "a new disk" });
  const [first] = await seen(1);
  expect(first).toMatchObject({
    aggregate_id: "all",
    payload: { host: null, by: "ada", why: "a new disk", until: null },
  });
  await pawl.switches.off("all", { by: "bob", why: "it takes longer" }); // the same incident
  const looks = Array.from({ length: 8 }, () =>
    pawl.store.rows("select * from pawl.tell_lockdowns_v1()"),
  );
  expect((await Promise.all(looks)).flat()).toEqual([]);
  expect(await pawl.deliveries.list()).not.toContainEqual(
    expect.objectContaining({ status: "published" }),
  );
  await pawl.switches.on("all");
  await delivered(1);
  await over();
  await pawl.switches.off("all", { by: "ada" });
  expect(await seen(2)).toHaveLength(2);
  await logged("everything is off, by ada", 2);
  expect(await events()).toHaveLength(2);
});

test("R28 R31: that a file holds all on a host is told once for that host, and again when it comes back", async () => {
  const { pawl, seen, delivered, over, reported } = await shop();
  const file = path.join(locks, "all-commands.disabled");
  await Promise.all([pawl.work(), pawl.work()]);
  writeFileSync(file, "");
  const [first] = await seen(1);
  expect(first?.payload).toMatchObject({ host: first?.aggregate_id, by: null });
  const { hosts } = await pawl.switches.list();
  expect(hosts).toMatchObject([{ host: first?.aggregate_id, scopes: ["all"] }]);
  await reported(2); // or the file would be gone, and one of them would say for the first time that it is there
  rmSync(file);
  await over();
  await delivered(1);
  writeFileSync(file, "");
  expect(await seen(2)).toHaveLength(2);
});
