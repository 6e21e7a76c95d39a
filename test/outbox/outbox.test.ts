import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  type Delivery,
  type DestinationDefinition,
  defineApp,
  nullDestination,
  on,
  type Pawl,
  Unrecoverable,
  webhook,
} from "../../src/index.ts";
import { retryDead } from "../../src/kernel/operator/dead/sql.ts";
import { deliveries, deliveriesOf, events, outboxStats } from "../../src/outbox/sql.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";

const FAST_RETRY = { attempts: 3, delay: "20ms", factor: 1 };

/** A destination whose deliveries the test decides. */
function scripted(deliver: (delivery: Delivery) => Promise<void> | void): DestinationDefinition {
  return {
    type: "scripted",
    config: {},
    retry: FAST_RETRY,
    timeoutMs: 120_000,
    deliver: async (delivery) => {
      await deliver(delivery);
      return {};
    },
  };
}

async function pawlWith(
  destinations: Record<string, DestinationDefinition>,
  routes = [on("order.*").to(...Object.keys(destinations))],
  url?: string,
): Promise<Pawl> {
  const databaseUrl = url ?? (await freshDatabase({ longLeases: true })).url;
  const pawl = await connect(defineApp({ destinations, routes, http: { allow: ["127.0.0.1"] } }), {
    databaseUrl,
    log: silentLogger,
  });
  atEnd(() => pawl.close());
  return pawl;
}

const ORDER = { aggregate: ["order", 7], payload: { total: 9 } } as const;

async function settled(pawl: Pawl, id: string) {
  return until(`event ${id} is settled`, async () => {
    const event = await pawl.event(id);
    return event !== undefined && ["published", "dead", "unrouted"].includes(event.status) && event;
  });
}

describe("recording", () => {
  test("R78: event and business row commit together, and a rollback leaves neither, nor anything in the next transaction", async () => {
    const pawl = await pawlWith({ audit: nullDestination() });
    await pawl.store.rows("create table business (n int)");
    await expect(
      pawl.transaction(async (tx) => {
        await tx.query("insert into business values (1)");
        await pawl.record("order.placed", ORDER, { tx });
        throw new Error("changed my mind");
      }),
    ).rejects.toThrow("changed my mind");
    await pawl.transaction((tx) => tx.query("insert into business values (2)"));
    expect(await pawl.store.rows("select n from business")).toEqual([{ n: 2 }]);
    expect(await events(pawl.store, { limit: 10 })).toEqual([]);

    const { id } = await pawl.transaction(async (tx) => {
      await tx.query("insert into business values (3)");
      return pawl.record("order.placed", ORDER, { tx });
    });
    expect((await pawl.event(id))?.name).toBe("order.placed");
  });

  test("R78: recording is one statement in a foreign transaction too", async () => {
    const { url } = await freshDatabase({ longLeases: true });
    const pawl = await pawlWith({ audit: nullDestination() }, undefined, url);
    const client = await rawClient(url);
    await client.query("begin");
    const { id } = await pawl.record("order.placed", ORDER, { tx: client });
    expect(await pawl.event(id)).toBeUndefined();
    await client.query("commit");
    expect((await pawl.event(id))?.id).toBe(id);
  });

  test("recording through a pool in place of a transaction is refused, and nothing is written", async () => {
    const pawl = await pawlWith({ audit: nullDestination() });
    const pool = { query: (text: string, values?: unknown[]) => pawl.store.rows(text, values) };
    await expect(pawl.record("order.placed", ORDER, { tx: pool })).rejects.toMatchObject({
      code: "not_a_transaction",
    });
    expect(await events(pawl.store, { limit: 10 })).toEqual([]);
  });

  test("R79: id and time of an event stay the same over all tries", async () => {
    const seen: Delivery[] = [];
    const pawl = await pawlWith({
      erp: scripted((delivery) => {
        seen.push(delivery);
        if (delivery.attempt < 3) throw new Error("not yet");
      }),
    });
    const { id } = await pawl.record("order.placed", { ...ORDER, meta: { trace: "t-1" } });
    await pawl.work();
    await settled(pawl, id);
    expect(seen.map((one) => one.attempt)).toEqual([1, 2, 3]);
    expect(new Set(seen.map((one) => one.event.id))).toEqual(new Set([id]));
    expect(new Set(seen.map((one) => one.event.occurredAt)).size).toBe(1);
    expect(new Set(seen.map((one) => one.deliveryId)).size).toBe(1);
    expect(seen[0]?.event).toMatchObject({
      aggregateType: "order",
      aggregateId: "7",
      payload: { total: 9 },
      meta: { trace: "t-1" },
    });
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  });
});

describe("routing", () => {
  test("R80: an event that no route matches is unrouted and counted, never published", async () => {
    const pawl = await pawlWith({ erp: nullDestination() });
    const { id } = await pawl.record("invoice.sent", ORDER);
    await pawl.work();
    expect((await settled(pawl, id)).status).toBe("unrouted");
    expect(await outboxStats(pawl.store)).toMatchObject({ toRoute: 0, unrouted: 1 });
  });

  test("a pattern's star stands for any run of characters, and nothing else in it is special", async () => {
    const pawl = await pawlWith(
      { a: nullDestination(), b: nullDestination(), c: nullDestination() },
      [on("order.*").to("a"), on("*.v1").to("b"), on("order_placed").to("c")],
    );
    const names = ["order.placed.v1", "orderXplaced", "order.x", "order_placed"];
    const ids = await Promise.all(names.map((name) => pawl.record(name, ORDER)));
    await pawl.work();
    const targets = await Promise.all(
      ids.map(async ({ id }) => {
        await settled(pawl, id);
        return (await deliveriesOf(pawl.store, id)).map((one) => one.destination).sort();
      }),
    );
    expect(targets).toEqual([["a", "b"], [], ["a"], ["c"]]);
  });

  test("R81: two routes to one destination make one delivery", async () => {
    const pawl = await pawlWith({ erp: nullDestination() }, [
      on("order.*").to("erp"),
      on("*").to("erp"),
    ]);
    const { id } = await pawl.record("order.placed", ORDER);
    await pawl.work();
    await settled(pawl, id);
    expect(await deliveriesOf(pawl.store, id)).toHaveLength(1);
  });

  test("two routers at once make each delivery once", async () => {
    const { url } = await freshDatabase({ longLeases: true });
    const pawl = await pawlWith({ erp: nullDestination() }, undefined, url);
    for (let i = 0; i < 50; i++) await pawl.record("order.placed", ORDER);
    const client = await rawClient(url);
    await client.query("begin");
    expect((await client.query("select pawl.route_v1(30) as n")).rows).toEqual([{ n: 30 }]);
    expect(await pawl.store.rows("select pawl.route_v1(500) as n")).toEqual([{ n: null }]);
    await client.query("commit");
    expect(await pawl.store.rows("select pawl.route_v1(500) as n")).toEqual([{ n: 20 }]);
    expect(await deliveries(pawl.store, { limit: 100 })).toHaveLength(50);
  });
});

describe("delivering", () => {
  test("R81: an event's status aggregates its deliveries, from pending over failed to published", async () => {
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const pawl = await pawlWith({
      slow: scripted(() => gate),
      broken: scripted(() => {
        throw new Unrecoverable("closed for good");
      }),
    });
    const { id } = await pawl.record("order.placed", ORDER);
    expect((await pawl.event(id))?.status).toBe("pending");
    await pawl.work();
    await until("one is processing, the other dead", async () => {
      const states = (await deliveriesOf(pawl.store, id))
        .map((one) => `${one.destination} ${one.status}`)
        .sort();
      return states.join() === "broken dead,slow processing";
    });
    expect((await pawl.event(id))?.status).toBe("processing");
    release();
    await until("the slow one is published", async () => (await pawl.event(id))?.status === "dead");
    const dead = (await deliveriesOf(pawl.store, id)).find((one) => one.status === "dead");
    expect(dead?.error?.message).toBe("closed for good");
    expect(await retryDead(pawl.store, [dead?.id ?? ""], { by: "ada" })).toEqual([
      { id: dead?.id, outcome: "retried" },
    ]);
    await until("it is dead again", async () =>
      (await deliveriesOf(pawl.store, id)).some((one) => one.status === "dead"),
    );
  });

  test("R85: two workers never deliver the same delivery at the same time", async () => {
    const { url } = await freshDatabase({ longLeases: true });
    const running = new Set<string>();
    const seen: string[] = [];
    let overlaps = 0;
    const erp = scripted(async ({ deliveryId }) => {
      if (running.has(deliveryId)) overlaps += 1;
      running.add(deliveryId);
      await new Promise((resolve) => setImmediate(resolve));
      running.delete(deliveryId);
      seen.push(deliveryId);
    });
    const [one, two] = await Promise.all([
      pawlWith({ erp }, undefined, url),
      pawlWith({ erp }, undefined, url),
    ]);
    const ids = await Promise.all(
      Array.from({ length: 300 }, () => one.record("order.placed", ORDER)),
    );
    await Promise.all([one.work({ concurrency: 20 }), two.work({ concurrency: 20 })]);
    await Promise.all(ids.map(({ id }) => settled(one, id)));
    expect(overlaps).toBe(0);
    expect(seen).toHaveLength(300);
    expect(new Set(seen).size).toBe(300);
  });

  test("R86: a failure waits 60 s × 2^(n−1), spread by a tenth, and after 10 attempts the delivery is dead; then none comes", async () => {
    const server = createServer((request, response) => {
      request.resume().once("end", () => response.writeHead(500).end());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    atEnd(() => server.close());
    const { port } = server.address() as AddressInfo;
    const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const url = `http://127.0.0.1:${port}/hooks`;
    const pawl = await pawlWith({ erp: webhook({ url, secret, breaker: false }) });
    const { id } = await pawl.record("order.placed", ORDER);
    await pawl.work();
    for (let attempt = 1; attempt <= 9; attempt += 1) {
      const failed = await until(`attempt ${attempt} has failed`, async () => {
        const [row] = await deliveriesOf(pawl.store, id);
        return row?.attempt === attempt && row.status === "failed" && row;
      });
      const [{ wait_s: waitS } = { wait_s: 0 }] = await pawl.store.rows<{ wait_s: number }>(
        `select extract(epoch from t.run_at - a.ended_at)::float8 as wait_s
           from pawl.task t join pawl.attempt a on a.task_id = t.id and a.attempt = $1`,
        [attempt],
      );
      const middleS = 60 * 2 ** (attempt - 1);
      expect(Math.abs(waitS - middleS)).toBeLessThanOrEqual(middleS * 0.1 + 0.001);
      await pawl.reschedule(failed.id, { delay: 0 });
    }
    expect((await settled(pawl, id)).status).toBe("dead");
    const [dead] = await deliveriesOf(pawl.store, id);
    expect(dead).toMatchObject({ status: "dead", attempt: 10 });
    expect(dead?.error?.message).toContain("answered 500");
  });

  test("R87a: a signed webhook goes out through the outbox, its id the event's", async () => {
    const requests: { headers: Record<string, unknown>; body: string }[] = [];
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => {
        body += chunk;
      });
      request.on("end", () => {
        requests.push({ headers: request.headers, body });
        response.writeHead(requests.length === 1 ? 503 : 204).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    atEnd(() => server.close());
    const { port } = server.address() as AddressInfo;
    const hook = webhook({
      url: `http://127.0.0.1:${port}/hooks`,
      secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
      timeout: "10m",
      retry: FAST_RETRY,
    });
    const pawl = await pawlWith({ erp: hook });
    const { id } = await pawl.record("order.placed", ORDER);
    await pawl.work();
    expect((await settled(pawl, id)).status).toBe("published");
    expect(requests).toHaveLength(2);
    for (const { headers, body } of requests) {
      expect(headers["webhook-id"]).toBe(id);
      expect(headers["x-outbox-destination-key"]).toBe("erp");
      expect(JSON.parse(body)).toMatchObject({
        eventId: id,
        eventName: "order.placed",
        payload: { total: 9 },
      });
    }
    const [shown] = await pawl.store.rows<{ config: unknown }>(
      "select config from pawl.destination",
    );
    expect(JSON.stringify(shown)).not.toContain("MfKQ9r8");
  });
});
