import { describe, expect, test } from "vitest";
import { type Delivery, on, Unrecoverable } from "../../src/index.ts";
import { dead } from "../../src/kernel/operator/dead/sql.ts";
import { deliveriesOf } from "../../src/outbox/sql.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import {
  collecting,
  ended,
  FAST,
  orders,
  pawlOf,
  pawlWith,
  routedAll,
  settledAll,
} from "./replay-support.ts";

describe("what a replay delivers", () => {
  test("R92: one event goes again to where it went, with its id, and the replay is marked", async () => {
    const erp = collecting();
    const audit = collecting();
    const pawl = await pawlWith({ erp, audit }, [on("order.*").to("erp", "audit")]);
    const [first = "", second = ""] = await orders(pawl, 2);
    await pawl.work({ concurrency: 1 });
    await settledAll(pawl, [first, second]);
    const replay = await ended(pawl, await pawl.replay({ event: first, ...FAST }));
    expect(replay).toMatchObject({ state: "done", made: 2, leftAlone: 0 });
    await settledAll(pawl, [first]);
    for (const { seen } of [erp, audit]) {
      expect(seen.map((one) => one.event.id)).toEqual([first, second, first]);
      expect(seen.map((one) => one.replay)).toEqual([0, 0, 1]);
      expect(seen[2]?.deliveryId).not.toBe(seen[0]?.deliveryId);
      expect(seen[2]?.event.occurredAt).toBe(seen[0]?.event.occurredAt);
    }
    await ended(pawl, await pawl.replay({ event: first, destinations: ["erp"], ...FAST }));
    await settledAll(pawl, [first]);
    expect(erp.seen.map((one) => one.replay)).toEqual([0, 0, 1, 2]);
    expect(audit.seen).toHaveLength(3);
  });

  test("R92: by name and time range, the oldest first, to one destination of two", async () => {
    const erp = collecting();
    const audit = collecting();
    const pawl = await pawlWith({ erp, audit }, [on("*").to("erp", "audit")]);
    const ids = await orders(pawl, 12);
    const other = (await pawl.record("invoice.sent", { aggregate: ["invoice", 1], payload: {} }))
      .id;
    await pawl.store.rows(
      "update pawl.event set occurred_at = '2030-01-01T00:00:00Z'::timestamptz + number * interval '1 minute'",
    );
    const worker = await pawl.work({ concurrency: 1 });
    await settledAll(pawl, [...ids, other]);
    const before = audit.seen.length;
    erp.seen.length = 0;
    const [{ occurred_at: from } = { occurred_at: new Date() }] = await pawl.store.rows<{
      occurred_at: Date;
    }>("select occurred_at from pawl.event where id = $1", [ids[3]]);
    const selection = {
      name: "order.*",
      from,
      to: new Date(from.getTime() + 5 * 60_000),
      destinations: ["erp"],
      ...FAST,
    };
    expect(await pawl.planReplay(selection)).toMatchObject([
      { destination: "erp", made: 5, retried: 0, leftAlone: 0, firstAt: from },
    ]);
    await ended(pawl, await pawl.replay(selection));
    await settledAll(pawl, ids);
    expect(erp.seen.map((one) => one.event.id)).toEqual(ids.slice(3, 8));
    expect(audit.seen).toHaveLength(before);
    await worker.stop();
  });

  test("R92: dead only: the dead letter goes back marked, the oldest first, and nothing else moves", async () => {
    let isDown = true;
    const seen: Delivery[] = [];
    const pawl = await pawlWith(
      {
        erp: collecting((delivery) => {
          const n = (delivery.event.payload as { n: number }).n;
          if (isDown && n % 2 === 0) throw new Unrecoverable("no such order");
          seen.push(delivery);
        }),
      },
      [on("order.*").to("erp")],
    );
    const ids = await orders(pawl, 6);
    await pawl.work({ concurrency: 1 });
    await settledAll(pawl, ids);
    expect((await dead(pawl.store, { limit: 10 })).rows).toHaveLength(3);
    isDown = false;
    seen.length = 0;
    expect(await pawl.planReplay({ dead: true })).toMatchObject([
      { destination: "erp", made: 0, retried: 3 },
    ]);
    await ended(pawl, await pawl.replay({ dead: true, ...FAST }));
    await settledAll(pawl, ids);
    expect(seen.map((one) => one.event.id)).toEqual([ids[0], ids[2], ids[4]]);
    expect(seen.map((one) => one.replay)).toEqual([1, 1, 1]);
    expect((await dead(pawl.store, { limit: 10 })).rows).toEqual([]);
    const [delivery, ...more] = await deliveriesOf(pawl.store, ids[0] ?? "");
    expect(delivery).toMatchObject({ status: "published" });
    expect(more).toEqual([]);
  });

  test("R92: without `dead` too, a dead letter goes back instead of a second delivery beside it", async () => {
    let isDown = true;
    const pawl = await pawlWith(
      {
        erp: collecting(() => {
          if (isDown) throw new Unrecoverable("down");
        }),
      },
      [on("order.*").to("erp")],
    );
    const [id = ""] = await orders(pawl, 1);
    await pawl.work();
    await settledAll(pawl, [id]);
    isDown = false;
    await ended(pawl, await pawl.replay({ event: id, ...FAST }));
    await settledAll(pawl, [id]);
    expect((await pawl.event(id))?.status).toBe("published");
    expect(await deliveriesOf(pawl.store, id)).toHaveLength(1);
  });

  test("R92: a pair that has died twice goes back twice, each with a number of its own", async () => {
    let isDown = false;
    const erp = collecting(() => {
      if (isDown) throw new Unrecoverable("down");
    });
    const pawl = await pawlWith({ erp }, [on("order.*").to("erp")]);
    const [id = ""] = await orders(pawl, 1);
    isDown = true;
    await pawl.work();
    await settledAll(pawl, [id]);
    await pawl.store.rows(
      "select pawl.make_replays(array[$1::uuid], array(select id from pawl.destination))",
      [id],
    );
    await until(
      "both are dead",
      async () => (await dead(pawl.store, { limit: 9 })).rows.length === 2,
    );
    isDown = false;
    await ended(pawl, await pawl.replay({ dead: true, ...FAST }));
    await settledAll(pawl, [id]);
    const rows = await pawl.store.rows("select replay from pawl.delivery order by task_id");
    expect(rows).toEqual([{ replay: 2 }, { replay: 3 }]);
  });

  test("R92: what has not ended yet is left alone, not sent twice", async () => {
    const erp = collecting();
    const pawl = await pawlWith({ erp }, [on("order.*").to("erp")]);
    const [id = "", other = ""] = await orders(pawl, 2);
    await pawl.off("queue:destination:erp");
    await pawl.work();
    await routedAll(pawl, [id, other]);
    await expect(pawl.replay({ event: id })).rejects.toMatchObject({
      code: "invalid_option",
      message: expect.stringContaining("has not ended yet"),
    });
    const replay = await ended(pawl, await pawl.replay({ name: "order.*", ...FAST }));
    expect(replay).toMatchObject({ state: "done", made: 0, leftAlone: 2 });
    await pawl.on("queue:destination:erp");
    await settledAll(pawl, [id, other]);
    expect(erp.seen).toHaveLength(2);
  });

  test("R92: `routed` sends old events to a destination that is new, those without a route among them", async () => {
    const { url } = await freshDatabase({ longLeases: true });
    const erp = collecting();
    const before = await pawlWith({ erp }, [on("order.*").to("erp")], url);
    const ids = await orders(before, 3);
    const lost = (await before.record("invoice.sent", { aggregate: ["invoice", 1], payload: {} }))
      .id;
    const worker = await before.work();
    await settledAll(before, [...ids, lost]);
    await worker.stop();
    const crm = collecting();
    const pawl = await pawlWith({ erp, crm }, [on("*").to("crm"), on("order.*").to("erp")], url);
    await expect(pawl.replay({ event: lost })).rejects.toMatchObject({
      message: expect.stringContaining("was not delivered before"),
    });
    const selection = { all: true, routed: true, destinations: ["crm"], ...FAST };
    expect(await pawl.planReplay(selection)).toMatchObject([{ destination: "crm", made: 4 }]);
    await pawl.work({ concurrency: 1 });
    await ended(pawl, await pawl.replay(selection));
    await settledAll(pawl, [...ids, lost]);
    expect(crm.seen.map((one) => one.event.id)).toEqual([...ids, lost]);
    expect(crm.seen.map((one) => one.replay)).toEqual([1, 1, 1, 1]);
    expect(erp.seen).toHaveLength(3);
    expect(await pawl.event(lost)).toMatchObject({ status: "published", deliveries: 1 });
  });

  test("R92, R96: in lanes the replayed deliveries of one aggregate keep the order of its events", async () => {
    const erp = { ...collecting(), order: "aggregate" as const };
    const pawl = await pawlWith({ erp }, [on("order.*").to("erp")]);
    const ids = await orders(pawl, 30, (n) => n % 3);
    await pawl.work({ concurrency: 10 });
    await settledAll(pawl, ids);
    erp.seen.length = 0;
    await ended(pawl, await pawl.replay({ name: "order.*", ...FAST }));
    await settledAll(pawl, ids);
    expect(erp.seen).toHaveLength(30);
    for (const aggregate of ["0", "1", "2"]) {
      const seen = erp.seen.filter((one) => one.event.aggregateId === aggregate);
      const numbers = seen.map((one) => (one.event.payload as { n: number }).n);
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    }
  });

  test("R92: in a schema of another name, to a destination that an operator made", async () => {
    const databaseUrl = (await freshDatabase({ migrated: false })).url;
    const pawl = await pawlOf({ schema: "jobs" }, { databaseUrl, migrate: true });
    await pawl.store.rows("select pawl.put_destination_v1($1, true, null, 'test', null)", [
      JSON.stringify({ name: "sink", type: "null", config: {}, queue: {}, ordering: "aggregate" }),
    ]);
    await pawl.store.rows("select pawl.put_route_v1(null, $1, 'test', null)", [
      JSON.stringify({ pattern: "*", destination: "sink" }),
    ]);
    await pawl.work();
    const ids = await orders(pawl, 5, () => 1);
    await settledAll(pawl, ids);
    expect(await ended(pawl, await pawl.replay({ all: true, ...FAST }))).toMatchObject({ made: 5 });
    await settledAll(pawl, ids);
    const rows = await Promise.all(ids.map((id) => deliveriesOf(pawl.store, id)));
    expect(rows.flat().map((one) => one.status)).toEqual(Array(10).fill("published"));
  });
});
