import { expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, env, httpSource, postgresTableSource } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { inboxApp } from "../support/inbox-app.ts";
import { feed } from "../support/inbox-feed.ts";
import { fetchContext, windowOf } from "./sources/reading.ts";

const KEY = "PAWL_TEST_SOURCE_KEY";

function setKey(value: string): void {
  process.env[KEY] = value;
  onTestFinished(() => {
    delete process.env[KEY];
  });
}

test("R112: a worker that would load a source whose variable is missing does not start; one that only stores does", async () => {
  const headers = { authorization: env(KEY) };
  const orders = httpSource({ name: "orders", url: "https://erp.example/f", page: "id", headers });
  const { url } = await freshDatabase();
  const pawl = await connect(defineApp({ sources: [orders] }), {
    databaseUrl: url,
    log: silentLogger,
  });
  onTestFinished(() => pawl.close());
  await expect(pawl.work()).rejects.toMatchObject({
    code: "invalid_environment",
    message: expect.stringContaining(`source "orders"`),
    data: { variable: KEY },
  });
  const mover = await pawl.work({ roles: ["mover"] });
  await mover.stop();
});

test("R43: a variable that goes missing while a source is loaded is unsent, and loading goes on by itself when it is back", async () => {
  setKey("k");
  const served = await feed(3);
  onTestFinished(() => served.close());
  const orders = httpSource({
    name: "orders",
    url: `${served.url}/orders`,
    page: "id",
    gap: 0,
    idle: "20ms",
    retry: { delay: "20ms", max: "20ms" },
    headers: { authorization: env(KEY) },
  });
  const app = await inboxApp([orders], { http: { allow: ["127.0.0.1"] } });
  await app.becomes("orders", { storedCount: 3 });
  delete process.env[KEY];
  const failing = await app.becomes("orders", { status: "retrying" });
  expect(failing.error).toContain(KEY);
  served.release(5);
  setKey("k");
  await app.becomes("orders", { status: "waiting", storedCount: 5 });
});

test("R43: so is that of another database", async () => {
  setKey((await freshDatabase()).url);
  const table = postgresTableSource({
    name: "table",
    databaseUrl: env(KEY),
    table: "orders",
    id: "id",
  });
  delete process.env[KEY];
  await expect(table.request(windowOf(table), fetchContext())).rejects.toMatchObject({
    name: "SourceUnavailable",
    sent: "no",
  });
});
