import { expect, test } from "vitest";
import { on, Unrecoverable } from "../../src/index.ts";
import { prune } from "../../src/outbox/prune.ts";
import { until } from "../support/until.ts";
import { collecting, orders, pawlWith, settledAll } from "./replay-support.ts";

test("R105: old events go with their deliveries; what is young, dead or on its way stays", async () => {
  const erp = collecting(({ event }) => {
    if ((event.payload as { n: number }).n === 1) throw new Unrecoverable("never");
  });
  const pawl = await pawlWith({ erp }, [on("order.*").to("erp")]);
  const old = await orders(pawl, 3);
  const unrouted = await pawl.record("invoice.sent", { aggregate: ["invoice", 1], payload: {} });
  const worker = await pawl.work();
  await settledAll(pawl, [...old, unrouted.id]);
  await worker.stop();
  await pawl.store.rows("update pawl.event set routed_at = routed_at - interval '40 days'");
  const young = await orders(pawl, 1);
  const waiting = await pawl.store.rows<{ id: string }>(
    "select id from pawl.event where routed_at is null",
  );
  expect(waiting.map((one) => one.id)).toEqual(young);

  const options = { beforeMs: 30 * 86_400_000 };
  const gone = { events: 3, deliveries: 2 };
  expect(await prune(pawl.store, { ...options, isDryRun: true })).toEqual(gone);
  expect(await prune(pawl.store, options)).toEqual(gone);
  expect(await prune(pawl.store, options)).toEqual({ events: 0, deliveries: 0 });
  const left = await pawl.store.rows<{ id: string }>("select id from pawl.event order by number");
  expect(left.map((one) => one.id)).toEqual([old[1], ...young]);
  expect(await pawl.store.rows("select count(*)::int as count from pawl.delivery")).toEqual([
    { count: 1 },
  ]);
});

test("R105 R92: what a running replay has still to look at stays, whatever its age", async () => {
  const erp = collecting();
  const pawl = await pawlWith({ erp }, [on("order.*").to("erp")]);
  const ids = await orders(pawl, 5);
  let worker = await pawl.work();
  await settledAll(pawl, ids);
  await worker.stop();
  await pawl.store.rows("update pawl.event set routed_at = routed_at - interval '40 days'");
  const replay = await pawl.replay({ name: "order.*", rate: "1/h" });
  worker = await pawl.work();
  await until("its first delivery", async () => erp.seen.length > 5);
  await worker.stop();
  expect(await prune(pawl.store, { beforeMs: 0 })).toEqual({ events: 0, deliveries: 0 });
  await pawl.stopReplay(replay.id);
  expect(await prune(pawl.store, { beforeMs: 0 })).toEqual({ events: 5, deliveries: 6 });
});

test("R105: an event that is being sent to be routed again is left", async () => {
  const erp = collecting();
  const pawl = await pawlWith({ erp }, [on("order.*").to("erp")]);
  const { id } = await pawl.record("invoice.sent", { aggregate: ["invoice", 1], payload: {} });
  await pawl.store.rows("select pawl.route_v1(10)");
  const open = await pawl.store.begin();
  await open.tx.query("update pawl.event set routed_at = null where id = $1", [id]);
  expect(await prune(pawl.store, { beforeMs: 0 })).toEqual({ events: 0, deliveries: 0 });
  await open.commit();
  expect(await pawl.event(id)).toMatchObject({ status: "pending" });
});
