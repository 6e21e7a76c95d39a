import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { connect, defineApp, defineJob, defineProcess, flow, on } from "../../src/index.ts";
import { type TestKit, testKit } from "../../src/testing/index.ts";
import { freshDatabase, rawClient } from "../support/database.ts";

const ran: number[] = [];
const order = z.object({ n: z.number() });
const count = defineJob({
  name: "count",
  input: order,
  retry: { attempts: 5, delays: ["1h"] },
  run: async ({ n }, { tx }) => {
    if (n < 0) throw new TypeError("below zero");
    await tx.query("insert into counted values ($1)", [n]);
    ran.push(n);
    return { twice: 2 * n };
  },
});
const approval = defineProcess({
  name: "approval",
  version: 1,
  input: order,
  steps: (s) => s.wait("approved"),
});
const app = defineApp({
  name: "kit",
  jobs: [count],
  processes: [approval],
  destinations: {
    stock: flow(async ({ payload }) => {
      ran.push((payload as { n: number }).n);
    }),
  },
  routes: [on("order.*").to("stock")],
});
/** Nothing is sent anywhere. */
const FAR = new Date(Date.now() + 300 * 86_400_000);
const event = (n: number) => ({ aggregate: ["order", n] as const, payload: { n } });
let url: string;
let kit: TestKit;

beforeAll(async () => {
  ({ url } = await freshDatabase({ longLeases: true }));
  await (await rawClient(url)).query("create table public.counted (n int)");
  kit = await testKit(app, { databaseUrl: url });
});
beforeEach(async () => {
  await kit.runUntilIdle();
  ran.length = 0;
  await kit.forget();
});
afterAll(() => kit.close());

test("R75: what is enqueued, recorded, sent, started and requested is captured, whoever wrote it, once it has committed", async () => {
  const other = await connect(app, { databaseUrl: url });
  await other.enqueue(count, { n: 1 }, { meta: { by: "other" } });
  await other.close();
  const { pawl } = kit;
  await pawl.record("order.placed", event(2));
  await pawl.sendTo("flow", "stock", "order.moved", event(3));
  await pawl.start(approval, { n: 4 });
  await pawl.request({ method: "POST", url: "https://example.com/", body: "5", runAt: FAR });
  const rolledBack = pawl.transaction(async (tx) => {
    await pawl.enqueue(count, { n: 6 }, { tx });
    throw new Error("no");
  });
  await expect(rolledBack).rejects.toThrow("no");
  expect(await kit.enqueued()).toMatchObject([{ name: "count", input: { n: 1 }, state: "ready" }]);
  expect(await kit.recorded()).toMatchObject([{ name: "order.placed", aggregate: ["order", "2"] }]);
  expect(await kit.sent()).toMatchObject([{ name: "order.moved", destination: "stock" }]);
  expect(await kit.started()).toMatchObject([{ name: "approval", input: { n: 4 } }]);
  expect(await kit.requested()).toMatchObject([{ request: { url: "https://example.com/" } }]);
  await kit.assertEnqueued(count, { input: { n: 1 }, meta: { by: "other" } });
  await kit.refuteEnqueued(count, { input: { n: 6 } });
  await kit.assertRecorded("order.placed", { payload: { n: 2 } });
  await kit.refuteRecorded("order.moved");
  await kit.assertSent("order.moved", { destination: "stock" });
  await kit.assertStarted(approval, { input: { n: 4 } });
  await kit.forget();
  expect(await kit.enqueued()).toEqual([]);
  await pawl.tasks.list({}); // the client is whole
});

test("R75: an assertion that fails says what there is instead", async () => {
  await kit.pawl.enqueue(count, { n: 7 });
  await expect(kit.assertEnqueued(count, { input: { n: 8 } })).rejects.toThrow(
    /expected a task like \{ input: \{ n: 8 \}, name: 'count' \}; there are \[\n?[\s\S]*n: 7/,
  );
  await expect(kit.refuteEnqueued(count)).rejects.toThrow(/expected no task like .*there is/s);
  await expect(kit.assertRecorded("order.gone")).rejects.toThrow(/there is none/);
});

test("R75: runUntilIdle runs what is due, deliveries too, and leaves what is due later", async () => {
  const { pawl } = kit;
  await pawl.enqueue(count, { n: 10 });
  await pawl.record("order.placed", event(11));
  await pawl.enqueue(
    count,
    { n: 12 },
    { runAt: new Date((await kit.clock.now()).getTime() + 7_200_000) },
  );
  await kit.runUntilIdle();
  expect(ran.toSorted((a, b) => a - b)).toEqual([10, 11]);
  await kit.clock.advance("3h");
  await kit.runUntilIdle();
  expect(ran.toSorted((a, b) => a - b)).toEqual([10, 11, 12]);
});

test("R75: a retry comes when the clock has moved, and the clock goes only forward", async () => {
  await kit.pawl.enqueue(count, { n: -1 });
  await kit.runUntilIdle();
  const [failed] = await kit.enqueued();
  expect(failed).toMatchObject({ state: "scheduled" });
  await kit.clock.moveTo(new Date((await kit.clock.now()).getTime() + 3 * 3_600_000));
  await kit.runUntilIdle();
  expect((await kit.pawl.task(failed?.id ?? ""))?.attempt).toBe(2);
  await expect(kit.clock.moveTo(new Date(0))).rejects.toMatchObject({ code: "invalid_option" });
});

test("R75: perform makes one attempt here, and gives what the job returned or threw", async () => {
  expect(await kit.perform(count, { n: 20 })).toEqual({ twice: 40 });
  expect(ran).toEqual([20]);
  await expect(kit.perform(count, { n: -2 })).rejects.toThrow(TypeError);
  await expect(kit.perform(count, { n: "x" } as never)).rejects.toMatchObject({
    code: "invalid_payload",
  });
});

test("R75: in production it refuses, and after its close the database has its own clock", async () => {
  const { url: own } = await freshDatabase();
  const client = await rawClient(own);
  const source = async () =>
    (await client.query("select pg_get_functiondef('pawl.now()'::regprocedure) as text")).rows[0];
  const before = await source();
  const first = await testKit(app, { databaseUrl: own });
  await first.clock.advance("10d");
  await first.close();
  expect(await source()).toEqual(before);
  process.env.NODE_ENV = "production";
  try {
    await expect(testKit(app, { databaseUrl: own })).rejects.toMatchObject({
      code: "invalid_option",
    });
  } finally {
    process.env.NODE_ENV = "test";
  }
});
