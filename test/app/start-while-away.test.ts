/** A worker that starts while the connection is lost. */

import { expect, test } from "vitest";
import { connect, defineApp } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { databaseProxy } from "../support/database-proxy.ts";
import { until } from "../support/until.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

test("a worker that loses the database while it starts tries again until it is back, and says so once", async () => {
  const proxy = await databaseProxy((await freshDatabase()).url);
  const warnings: string[] = [];
  const log = { ...silent, warn: (_: object, message: string) => void warnings.push(message) };
  const pawl = await connect(defineApp({}), { databaseUrl: proxy.url, log });
  proxy.goAway();
  const starting = pawl.work();
  await until("it was turned away twice", async () => proxy.turnedAway >= 2);
  proxy.comeBack();
  const worker = await starting;
  expect(warnings.filter((one) => one.includes("database is lost"))).toHaveLength(1);
  await worker.stop();
  await pawl.close();
});

test("a client that closes does not wait for a worker that cannot start", async () => {
  const proxy = await databaseProxy((await freshDatabase()).url);
  const pawl = await connect(defineApp({}), { databaseUrl: proxy.url, log: silent });
  proxy.goAway();
  const starting = pawl.work();
  const refused = expect(starting).rejects.toMatchObject({ code: "database_unreachable" });
  await until("it was turned away", async () => proxy.turnedAway >= 1);
  await pawl.close();
  await refused;
});
