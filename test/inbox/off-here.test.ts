import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { defineSource } from "../../src/index.ts";
import { pawlProcess } from "../cli/cli.ts";
import { freshDatabase } from "../support/database.ts";
import { events, inboxApp, upTo } from "../support/inbox-app.ts";
import { until } from "../support/until.ts";

const CONFIG = path.join(import.meta.dirname, "fixture/pawl.config.ts");

/** The folder that workers of this process look at from now on; answers the file that holds all, or what it names. */
function switchFile(name = "all"): string {
  const locks = mkdtempSync(path.join(os.tmpdir(), "pawl-locks-"));
  process.env.PAWL_LOCKS_DIR = locks;
  onTestFinished(() => {
    delete process.env.PAWL_LOCKS_DIR;
    rmSync(locks, { recursive: true, force: true });
  });
  return path.join(locks, `${name}.disabled`);
}

test("R111a R38: a file of its host stops a source between two windows, why says where, and it goes on when the file is gone", async () => {
  const file = switchFile();
  let asked = 0;
  const endless = defineSource({
    name: "orders",
    gap: 0,
    limit: 2,
    fetch: async (after, limit) => {
      asked += 1;
      return upTo(1_000_000)(after, limit);
    },
  });
  const app = await inboxApp([endless]);
  await until("it is asked again and again", () => asked > 10);
  writeFileSync(file, "");
  const line = await until("the file holds it", async () => {
    const { line } = await app.pawl.sources.why("orders");
    return line.startsWith("a file or PAWL_OFF") && line;
  });
  expect(line).toContain(
    `holds it on ${os.hostname()}, and no worker elsewhere loads it; take it away there, or start \`pawl work\` on another host; asked last at`,
  );
  // a request that was about to be sent may still go out; after that nothing begins
  const off = { status: "waiting", loadingSince: null, loaders: 1, loadersOffHere: 1 } as const;
  const { lastFetchAt } = await app.becomes("orders", off);
  const before = asked;
  expect(await app.becomes("orders", off)).toMatchObject({ lastFetchAt });
  expect(asked).toBe(before);
  rmSync(file);
  await until("it goes on", () => asked > before);
});

test("R38 R45: a file of its host closes a source that delivers by itself, and opens it again when it is gone", async () => {
  const file = switchFile();
  const seen = { opened: 0, open: 0 };
  const stream = defineSource({
    name: "stream",
    open: async (cursor, { deliver, signal }) => {
      seen.opened += 1;
      seen.open += 1;
      if (cursor === "-1") await deliver({ events: events(0, 4) });
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      seen.open -= 1;
    },
  });
  const app = await inboxApp([stream]);
  await app.becomes("stream", { storedCount: 5 });
  writeFileSync(file, "");
  await until("it is closed", () => seen.open === 0);
  await app.becomes("stream", { status: "waiting", failures: 0, loadersOffHere: 1 });
  rmSync(file);
  await until("it is open again", () => seen.open === 1);
});

test("R38: `work --once` on a host where everything is off asks for nothing and ends", async () => {
  const { url } = await freshDatabase();
  const args = ["work", "--roles", "loader,mover", "--once", "--time-limit", "10m", "--json"];
  const { code, stdout } = await pawlProcess([...args, "--config", CONFIG], {
    url,
    env: { PAWL_OFF: "all" },
  });
  expect({ code, endedBy: JSON.parse(stdout).endedBy }).toEqual({ code: 0, endedBy: "idle" });
});

test("R28 R38: a file that names one source holds that one on its host; others are asked, and what it gave is stored", async () => {
  const file = switchFile("source-held");
  const asked = { held: 0, other: 0 };
  const source = (name: keyof typeof asked) =>
    defineSource({
      name,
      gap: 0,
      idle: "1ms",
      fetch: async (after, limit) => {
        asked[name] += 1;
        return upTo(1_000_000)(after, limit);
      },
    });
  const app = await inboxApp([source("held"), source("other")]);
  await until("both are asked", () => asked.held > 0 && asked.other > 0);
  writeFileSync(file, "");
  const { line } = await until("the file holds it", async () => {
    const why = await app.pawl.sources.why("held");
    return why.line.startsWith("a file or PAWL_OFF holds it on") && why;
  });
  expect(line).toContain(os.hostname());
  await app.becomes("held", { loadingSince: null, backlog: 0 });
  const before = { ...asked };
  await until("the other is asked", () => asked.other > before.other + 5);
  expect(asked.held).toBe(before.held);
  expect((await app.pawl.switches.list()).hosts).toMatchObject([{ scopes: ["source:held"] }]);
  rmSync(file);
  await until("it goes on", () => asked.held > before.held);
});
