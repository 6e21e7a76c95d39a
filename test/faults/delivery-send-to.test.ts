import { describe, expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  type Delivery,
  type DestinationDefinition,
  defineApp,
  nullDestination,
  on,
  type Pawl,
  webhook,
} from "../../src/index.ts";
import { bodyOf, httpServer } from "../sender/local-servers.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { routeOnce, targetsOf } from "../support/delivery-catalogue.ts";
import { count } from "../support/kernel.ts";
import { until } from "../support/until.ts";

const ORDER = { aggregate: ["order", "7"] } as const;

async function connected(destinations: readonly string[], taken: readonly string[]): Promise<Pawl> {
  const app = defineApp({
    destinations: Object.fromEntries(destinations.map((name) => [name, nullDestination()])),
    routes: [on("*").to(...taken)],
  });
  const { url } = await freshDatabase();
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger, connections: 3 });
  onTestFinished(() => pawl.close());
  return pawl;
}

describe("sending to one destination", () => {
  const PLACED = { ...ORDER, payload: { total: 9 } };

  test("R84: it goes there and nowhere else, whatever the routes say", async () => {
    const pawl = await connected(["a", "b", "c"], ["a", "b"]);
    const { id } = await pawl.sendTo("null", "c", "order.placed", PLACED);
    await routeOnce(pawl.store);
    expect(await targetsOf(pawl.store, id)).toEqual(["c"]);
  });

  test.each([
    ["null", "nowhere", "unknown_destination"],
    ["webhook", "a", "unknown_destination"],
    ["", "", "invalid_option"],
  ])(
    "R84: to type %j and name %j, which are not there: refused, and nothing is recorded",
    async (type, name, code) => {
      const pawl = await connected(["a", "b"], ["a"]);
      await expect(pawl.sendTo(type, name, "order.placed", PLACED)).rejects.toMatchObject({ code });
      expect(await count(pawl.store, "event")).toBe(0);
    },
  );

  test("R84: in a transaction that rolls back it leaves nothing; ours and a foreign one", async () => {
    const pawl = await connected(["a", "b"], ["a"]);
    await expect(
      pawl.transaction(async (tx) => {
        await pawl.sendTo("null", "a", "order.placed", PLACED, { tx });
        throw new Error("changed my mind");
      }),
    ).rejects.toThrow("changed my mind");
    const client = await rawClient(pawl.store.url);
    await client.query("begin");
    await pawl.sendTo("null", "a", "order.placed", PLACED, { tx: client });
    await client.query("rollback");
    expect(await count(pawl.store, "event")).toBe(0);
  });

  test("R84: from SQL, in the transaction of whoever calls it", async () => {
    const pawl = await connected(["a", "b"], ["a"]);
    const client = await rawClient(pawl.store.url);
    const send = (destination: string) =>
      client.query("select pawl.send_to('null', $1, 'order.placed', 'order', '7', '{}') as id", [
        destination,
      ]);
    await client.query("begin");
    await send("b");
    await client.query("rollback");
    const { rows } = await send("b");
    await routeOnce(pawl.store);
    expect(await count(pawl.store, "event")).toBe(1);
    expect(await targetsOf(pawl.store, rows[0]?.id)).toEqual(["b"]);
    await expect(send("nowhere")).rejects.toMatchObject({ code: "PW018" });
    expect(await count(pawl.store, "event")).toBe(1);
  });
});

/** Says what it was given. */
function messenger(given: Delivery[]): DestinationDefinition {
  return {
    type: "messenger",
    config: {},
    timeoutMs: 5_000,
    deliver: (delivery) => {
      given.push(delivery);
      return Promise.resolve({});
    },
  };
}

describe("R84: the document's flows", () => {
  async function shop() {
    const requests: { headers: Record<string, unknown>; body: string }[] = [];
    const server = await httpServer(async (request, response) => {
      requests.push({ headers: request.headers, body: await bodyOf(request) });
      response.writeHead(204).end();
    });
    onTestFinished(() => server.close());
    const given: Delivery[] = [];
    const app = defineApp({
      destinations: {
        "erp-order-webhook": webhook({
          url: server.url,
          secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        }),
        "crm-events": messenger(given),
      },
      http: { allow: ["127.0.0.1"] },
    });
    const { url } = await freshDatabase();
    const pawl = await connect(app, { databaseUrl: url, log: silentLogger, connections: 6 });
    onTestFinished(() => pawl.close());
    return { pawl, requests, given };
  }

  const published = (pawl: Pawl, id: string) =>
    until("it is published", async () => (await pawl.event(id))?.status === "published");

  test("R84: order placed → webhook erp-order-webhook; customer registered → messenger crm-events", async () => {
    const { pawl, requests, given } = await shop();
    const order = await pawl.sendTo("webhook", "erp-order-webhook", "order.placed", {
      aggregate: ["order", "10001"],
      payload: { total: 9 },
    });
    const customer = await pawl.sendTo("messenger", "crm-events", "customer.registered", {
      aggregate: ["customer", "c-1"],
      payload: { email: "a@example.com" },
    });
    expect(requests).toEqual([]); // it only writes to the outbox
    await pawl.work();
    await published(pawl, order.id);
    await published(pawl, customer.id);
    expect(requests).toHaveLength(1);
    expect(requests[0]?.headers).toMatchObject({
      "x-outbox-destination-key": "erp-order-webhook",
      "webhook-id": order.id,
    });
    expect(given.map((one) => one.event)).toMatchObject([
      { id: customer.id, name: "customer.registered", payload: { email: "a@example.com" } },
    ]);
  });

  test("R84: stock changed in a transaction: committed, both the stock and the event are there; rolled back, neither", async () => {
    const { pawl, given } = await shop();
    await pawl.store.rows("create table product (id text primary key, stock int)");
    await pawl.store.rows("insert into product values ('p-1', 10)");
    const change = (stock: number, isWanted: boolean) =>
      pawl.transaction(async (tx) => {
        await tx.query("update product set stock = $1 where id = 'p-1'", [stock]);
        const { id } = await pawl.sendTo(
          "messenger",
          "crm-events",
          "catalog.product.stock_changed.v1",
          { aggregate: ["product", "p-1"], payload: { stock }, meta: { correlationId: "c-7" } },
          { tx },
        );
        if (!isWanted) throw new Error("the write failed");
        return id;
      });
    await expect(change(8, false)).rejects.toThrow("the write failed");
    const id = await change(9, true);
    await pawl.work();
    await published(pawl, id);
    expect(await pawl.store.rows("select stock from product")).toEqual([{ stock: 9 }]);
    expect(given.map((one) => [one.event.payload, one.event.meta])).toEqual([
      [{ stock: 9 }, { correlationId: "c-7" }],
    ]);
    expect(await count(pawl.store, "event")).toBe(1);
  });
});
