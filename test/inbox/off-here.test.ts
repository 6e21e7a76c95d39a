import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { defineSource } from "../../src/index.ts";
import { pawlJson } from "../cli/cli.ts";
import { freshDatabase } from "../support/database.ts";
import { events, inboxApp, upTo } from "../support/inbox-app.ts";
import { until } from "../support/until.ts";

const CONFIG = path.join(import.meta.dirname, "fixture/pawl.config.ts");

/** The folder that workers of this process look at from now on; answers the file that holds all. */
function switchFile(): string {
  const locks = mkdtempSync(path.join(os.tmpdir(), "pawl-locks-"));
  process.env.PAWL_LOCKS_DIR = locks;
  onTestFinished(() => {
    delete process.env.PAWL_LOCKS_DIR;
    rmSync(locks, { recursive: true, force: true });
  });
  return path.join(locks, "all.disabled");
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
    `holds everything on ${os.hostname()}, and no worker elsewhere loads it; take it away there, or start \`pawl work\` on another host; asked last at`,
  );
  const before = asked;
  await app.becomes("orders", { status: "waiting", loaders: 1, loaders_off_here: 1 });
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
  await app.becomes("stream", { stored_count: 5 });
  writeFileSync(file, "");
  await until("it is closed", () => seen.open === 0);
  await app.becomes("stream", { status: "waiting", failures: 0, loaders_off_here: 1 });
  rmSync(file);
  await until("it is open again", () => seen.open === 1);
});

test("R38: `work --once` on a host where everything is off asks for nothing and ends", async () => {
  const { url } = await freshDatabase();
  const args = ["work", "--roles", "loader,mover", "--once", "--time-limit", "30s"];
  const { code, json } = await pawlJson<{ endedBy: string }>([...args, "--config", CONFIG], {
    url,
    env: { PAWL_OFF: "all" },
  });
  expect({ code, endedBy: json.endedBy }).toEqual({ code: 0, endedBy: "idle" });
});
