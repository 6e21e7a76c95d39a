import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, nullDestination, on, type Pawl } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const once = defineJob({ name: "once", input: z.null(), run: async () => undefined });

async function client(): Promise<Pawl> {
  const { url } = await freshDatabase();
  const app = defineApp({
    jobs: [once],
    destinations: { erp: nullDestination(), crm: nullDestination() },
    routes: [on("*").to("crm")],
  });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  return pawl;
}

test("R61: a worker stops by itself at its limit, and when an operator stops all; `stopped` says so", async () => {
  const pawl = await client();
  const limited = await pawl.work({ limit: 1 });
  await pawl.enqueue(once, null);
  expect(await limited.stopped).toEqual({ givenBack: 0 });
  const asked = await pawl.work();
  await pawl.workers.stop();
  expect(await asked.stopped).toEqual({ givenBack: 0 });
  expect(await pawl.workers.list()).toEqual([]);
});

test("`stopped` resolves with what `stop` answers, and when the client closes", async () => {
  const pawl = await client();
  const one = await pawl.work();
  const [stopped, answered] = await Promise.all([one.stopped, one.stop()]);
  expect(stopped).toEqual(answered);
  const other = await pawl.work();
  await pawl.close();
  expect(await other.stopped).toEqual({ givenBack: 0 });
});

test("R82: an event with `to` goes to that destination only, of whatever type; one that is not there is refused", async () => {
  const pawl = await client();
  const event = { aggregate: ["order", 1], payload: {} } as const;
  const { id } = await pawl.record("order.placed", { ...event, to: "erp" });
  await pawl.work();
  await until("it is delivered", async () => (await pawl.event(id))?.status === "published");
  expect((await pawl.deliveries.list()).map((row) => row.destination)).toEqual(["erp"]);
  await expect(pawl.record("order.placed", { ...event, to: "epr" })).rejects.toMatchObject({
    code: "unknown_destination",
    message: expect.stringContaining('no destination "epr"; known: null crm, null erp'),
  });
  await expect(pawl.record("order.placed", { ...event, to: 7 as never })).rejects.toThrow("`to`");
});
