import { describe, expect, test } from "vitest";
import { freshStore } from "../support/database.ts";
import { defineDestinations, recordEvents, routeOnce } from "../support/delivery-catalogue.ts";
import { count, newWorker, sendTurn } from "../support/kernel.ts";

describe("one pass of the router", () => {
  const NAMES = Array.from({ length: 12 }, (_, n) => `d${n}`);

  test("R80: events that match nothing, in the middle, at the end and beyond the cut, are unrouted and the others delivered once", async () => {
    const store = await freshStore();
    await defineDestinations(store, {
      destinations: NAMES.map((name) => ({ name })),
      routes: NAMES.map((destination) => ({ pattern: "order.*", destination })),
    });
    const shape = "-o-oo--o-ooo---o--".split("");
    const ids = await recordEvents(
      store,
      shape.map((one) => ({ name: one === "o" ? "order.placed" : "nobody.cares" })),
    );
    const passes: (number | null)[] = [];
    for (let routed: number | null = 1; routed !== 0; passes.push(routed))
      routed = await routeOnce(store, 7, 25); // two of 12 deliveries fit
    expect(passes.reduce<number>((sum, one) => sum + (one ?? 0), 0)).toBe(shape.length);
    const rows = await store.rows<{ deliveries: number; made: number }>(
      `select e.deliveries, (select count(*)::int from pawl.delivery v where v.event_id = e.id) as made
         from pawl.event e where e.routed_at is not null order by e.number`,
    );
    expect(rows.map((row) => row.deliveries)).toEqual(shape.map((one) => (one === "o" ? 12 : 0)));
    expect(rows.every((row) => row.deliveries === row.made)).toBe(true);
    expect(ids).toHaveLength(shape.length);
  });

  test("R80: one event with more deliveries than a pass takes is routed alone, and the router goes on", async () => {
    const store = await freshStore();
    await defineDestinations(store, {
      destinations: NAMES.map((name) => ({ name })),
      routes: NAMES.map((destination) => ({ pattern: "order.*", destination })),
    });
    await recordEvents(store, [{ name: "order.a" }, { name: "none" }, { name: "order.b" }]);
    expect(await routeOnce(store, 500, 5)).toBe(1);
    expect(await routeOnce(store, 500, 5)).toBe(1);
    expect(await routeOnce(store, 500, 5)).toBe(1);
    expect(await routeOnce(store, 500, 5)).toBe(0);
    expect(await count(store, "delivery")).toBe(24);
  });

  test("R96: deliveries of one aggregate are in the order of the events for each destination, whatever their priorities and however a pass is cut", async () => {
    const store = await freshStore();
    await defineDestinations(store, {
      destinations: NAMES.map((name, n) => ({ name, ordering: n % 3 === 0 ? "all" : "aggregate" })),
      routes: NAMES.flatMap((destination, n) => [
        { pattern: "order.*", destination, priority: n % 4 },
        { pattern: "order.urgent", destination, priority: 0 },
      ]),
    });
    await recordEvents(
      store,
      Array.from({ length: 60 }, (_, n) => ({
        name: n % 5 === 0 ? "order.urgent" : n % 7 === 0 ? "nobody.cares" : "order.changed",
        aggregate: String(n % 4),
      })),
    );
    for (let routed: number | null = 1; routed !== 0; ) routed = await routeOnce(store, 23, 100);
    const rows = await store.rows<{ inverted: number; made: number }>(
      `select count(*) filter (where o.number < o.before)::int as inverted, count(*)::int as made from (
         select e.number, lag(e.number) over (partition by t.queue_id, t.lane order by t.id) as before
           from pawl.task t join pawl.delivery v on v.task_id = t.id join pawl.event e on e.id = v.event_id) o`,
    );
    const [unrouted] = await store.rows<{ n: number }>(
      "select count(*)::int as n from pawl.event where deliveries = 0",
    );
    expect(rows).toEqual([{ inverted: 0, made: (60 - (unrouted?.n ?? 0)) * NAMES.length }]);
    // the heads: what a worker is given first is the first of its lane
    const worker = await newWorker(store);
    const claimed = await sendTurn(store, { worker, claim: 1, limit: 1_000 });
    const [first] = await store.rows<{ n: number }>(
      `select count(*)::int as n from pawl.task t where t.id = any ($1)
          and not exists (select 1 from pawl.task o where o.queue_id = t.queue_id and o.lane = t.lane and o.id < t.id)`,
      [claimed.map((row) => row.id)],
    );
    expect(claimed.length).toBeGreaterThan(0);
    expect(first?.n).toBe(claimed.length);
  });

  test.each([3_000, 20_000])(
    "R80: an aggregate whose id has %d characters does not stop the router",
    async (length) => {
      const store = await freshStore();
      await defineDestinations(store, {
        destinations: [{ name: "erp", ordering: "aggregate" }],
        routes: [{ pattern: "order.*", destination: "erp" }],
      });
      const id = Array.from({ length }, () => Math.random().toString(36).charAt(2)).join("");
      const event = { name: "order.placed", aggregate: id };
      const isRecorded = await recordEvents(store, [event]).then(
        () => true,
        () => false, // refused at once is as good
      );
      await recordEvents(store, [{ name: "order.placed" }]);
      expect(await routeOnce(store)).toBe(isRecorded ? 2 : 1);
    },
  );
});
