import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import type { Pawl } from "../../src/index.ts";
import { until } from "../support/until.ts";
import { receiver, SECRET, shop, withMasterKey } from "./operators-support.ts";

withMasterKey();

async function erpShop(url: string): Promise<Pawl> {
  const { pawl } = await shop({ destinations: {}, routes: [] });
  const config = {
    url,
    secret: SECRET,
    timeout: "10m", // what arrives is counted, and a slow machine may answer late
    breaker: "off",
    retry: { delays: ["200ms"], attempts: 1000 },
  };
  await pawl.destinations.add({ name: "erp", type: "webhook", config });
  await pawl.routes.add({ pattern: "order.*", to: "erp" });
  return pawl;
}

async function record(pawl: Pawl, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await pawl.record("order.placed", { aggregate: ["order", n], payload: { n } });
  }
}

const waiting = async (pawl: Pawl) => (await pawl.destinations.show("erp"))?.waiting;

test("R95: deliveries that wait and fail go to the new URL once it is changed, without a restart", async () => {
  const broken = await receiver(500);
  const good = await receiver();
  const pawl = await erpShop(broken.url);
  await record(pawl, 5);
  const worker = await pawl.work();
  await until("the old receiver has refused all", () => broken.received.length >= 5);
  expect(good.received).toEqual([]);
  // Another port is another place: its secret is asked for again.
  await pawl.destinations.edit("erp", { url: good.url, secret: SECRET });
  await until("all have arrived at the new one", () => good.received.length === 5);
  await worker.stop();
  expect(await waiting(pawl)).toBe(0);
  for (const { body, headers } of good.received) {
    expect(() => new Webhook(SECRET).verify(body, headers)).not.toThrow();
  }
});

test("R94: a running worker signs with both secrets after a rotation", async () => {
  const at = await receiver();
  const pawl = await erpShop(at.url);
  const worker = await pawl.work();
  await record(pawl, 1);
  await until("one has arrived", () => at.received.length === 1);
  const { secret } = await pawl.destinations.rotate("erp");
  await until("a delivery is signed twice", async () => {
    await record(pawl, 1);
    return at.received.some((one) => one.headers["webhook-signature"]?.includes(" "));
  });
  await worker.stop();
  const twice = at.received.find((one) => one.headers["webhook-signature"]?.includes(" "));
  for (const key of [SECRET, secret ?? ""]) {
    expect(() => new Webhook(key).verify(twice?.body ?? "", twice?.headers ?? {})).not.toThrow();
  }
});

test("R95: a destination that is paused holds what comes, and sends it when it is resumed", async () => {
  const at = await receiver();
  const pawl = await erpShop(at.url);
  await pawl.destinations.pause("erp", { until: "1h", by: "ada", why: "erp down" });
  const worker = await pawl.work();
  await record(pawl, 3);
  await until("they wait", async () => (await waiting(pawl)) === 3);
  expect(at.received).toEqual([]);
  expect(await pawl.destinations.show("erp")).toMatchObject({
    state: "off",
    reason: "off by ada: erp down",
    until: expect.any(Date),
  });
  expect(await pawl.destinations.resume("erp")).toBe(true);
  await until("all have arrived", () => at.received.length === 3);
  await worker.stop();
});

test("R95: a destination that is paused with drop cancels what waits and keeps nothing of what comes", async () => {
  const at = await receiver();
  const pawl = await erpShop(at.url);
  await pawl.destinations.pause("erp");
  const worker = await pawl.work();
  await record(pawl, 3);
  await until("they wait", async () => (await waiting(pawl)) === 3);
  expect(await pawl.destinations.pause("erp", { drop: true })).toEqual({ cancelled: 3 });
  expect((await pawl.destinations.show("erp"))?.state).toBe("dropping");
  const { id } = await pawl.record("order.placed", { aggregate: ["order", 9], payload: {} });
  await until("it was routed", async () => (await pawl.event(id))?.status === "unrouted");
  await pawl.destinations.resume("erp");
  await record(pawl, 1);
  await until("only what came after it was resumed arrives", () => at.received.length === 1);
  await worker.stop();
  expect(JSON.parse(at.received[0]?.body ?? "{}").payload).toEqual({ n: 0 });
});

test("R95: what waits for a destination that is removed is cancelled, and its routes are gone", async () => {
  const at = await receiver();
  const pawl = await erpShop(at.url);
  await pawl.destinations.pause("erp");
  const worker = await pawl.work();
  await record(pawl, 2);
  await until("they wait", async () => (await waiting(pawl)) === 2);
  expect(await pawl.destinations.remove("erp")).toEqual({ cancelled: 2 });
  expect(await pawl.routes.list()).toEqual([]);
  await worker.stop();
  expect(at.received).toEqual([]);
});
