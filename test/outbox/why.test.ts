import { beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineJob,
  defineSource,
  nullDestination,
  on,
  type Pawl,
} from "../../src/index.ts";
import { switchOff, switchOn } from "../../src/kernel/operator/switches/sql.ts";
import { whyEvent, whyTaskOrDelivery } from "../../src/outbox/why.ts";
import { freshDatabase } from "../support/database.ts";
import { routeOnce } from "../support/delivery-catalogue.ts";
import { until } from "../support/until.ts";

const hello = defineJob({ name: "hello", input: z.object({}), run: () => undefined });
const app = defineApp({
  jobs: [hello],
  destinations: { audit: nullDestination(), erp: nullDestination() },
  routes: [on("order.*").to("audit", "erp")],
});
const ORDER = { aggregate: ["order", 7], payload: {} } as const;
let pawl: Pawl;

beforeEach(async () => {
  const { url } = await freshDatabase();
  pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  return () => pawl.close();
});

test("R111a: an event that is not routed yet says what is before it, and that no worker is there to route it", async () => {
  await pawl.record("order.placed", ORDER);
  const { id } = await pawl.record("order.placed", ORDER);
  const told = await whyEvent(pawl.store, id);
  expect(told).toMatchObject({ id, name: "order.placed", status: "pending", deliveries: [] });
  expect(told?.line).toMatch(
    /^recorded [\dms. ]+ ago and not routed yet, 1 before it: no live worker routes it; start `pawl work`$/,
  );
});

test("R111a: a worker that only loads and stores is none that routes", async () => {
  const source = defineSource({ name: "orders", fetch: async () => [] });
  const loading = await connect(defineApp({ name: "loading", sources: [source] }), {
    databaseUrl: pawl.store.url,
    log: silentLogger,
  });
  const worker = await loading.work({ roles: ["loader", "mover"] });
  const { id } = await pawl.record("order.placed", ORDER);
  expect((await whyEvent(pawl.store, id))?.line).toMatch(/no live worker routes it/);
  await worker.stop();
  await loading.close();
});

test("R111a: an event that no route took says so, and which route would", async () => {
  const { id } = await pawl.record("invoice.sent", ORDER);
  await routeOnce(pawl.store);
  const told = await whyEvent(pawl.store, id);
  expect(told).toMatchObject({ status: "unrouted", deliveries: [] });
  expect(told?.line).toMatch(
    /^unrouted: .* no route matched "invoice\.sent"; add `on\("invoice\.sent"\)/,
  );
});

test("R111a: each delivery of an event says why it does not move, and moves when that is gone", async () => {
  const { id } = await pawl.record("order.placed", ORDER);
  await routeOnce(pawl.store);
  await switchOff(pawl.store, { scope: "queue:destination:erp", by: "ada", why: "erp down" });
  await pawl.work();
  const told = await until("audit has its delivery", async () => {
    const why = await whyEvent(pawl.store, id);
    return why?.line.includes("audit published") && why.status !== "processing" && why;
  });
  expect(told.status).toBe("pending");
  expect(told.line).toMatch(/^routed [\dms. ]+ ago: audit published, erp pending$/);
  const [audit, erp] = told.deliveries;
  expect(audit?.line).toMatch(/^ended as done .* ago with attempt 1$/);
  expect(erp?.line).toMatch(
    /^ready, held: destination:erp has been off .* by ada \("erp down"\); `pawl on destination:erp`$/,
  );
  expect(await whyTaskOrDelivery(pawl.store, erp?.id ?? "")).toMatchObject({
    reasons: [{ reason: "off" }, { reason: "queued" }],
    delivery: { destination: "erp", status: "pending", event: id, eventName: "order.placed" },
  });

  await switchOn(pawl.store, { scope: "queue:destination:erp", by: "ada" });
  await until(
    "the event is published",
    async () => (await whyEvent(pawl.store, id))?.status === "published",
  );
});

test("R111a: what is not there is unknown, and a task that delivers nothing is told alone", async () => {
  expect(await whyEvent(pawl.store, "019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21")).toBeUndefined();
  expect(await whyTaskOrDelivery(pawl.store, "999999")).toBeUndefined();
  const { id } = await pawl.enqueue(hello, {});
  const told = await whyTaskOrDelivery(pawl.store, id);
  expect(told?.line).toContain("no live worker knows kind hello in queue normal");
  expect(told).not.toHaveProperty("delivery");
});
