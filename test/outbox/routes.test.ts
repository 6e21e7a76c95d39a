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
  type Route,
  webhook,
} from "../../src/index.ts";
import { bodyOf, httpServer } from "../requests/local-servers.ts";
import { freshDatabase, freshStore, rawClient } from "../support/database.ts";
import {
  defineDestinations,
  recordEvents,
  routeOnce,
  targetsOf,
} from "../support/delivery-catalogue.ts";
import { count, newWorker, sendTurn } from "../support/kernel.ts";
import { until } from "../support/until.ts";

const ORDER = { aggregate: ["order", "7"] } as const;

async function connected(
  routes: readonly Route[],
  names: readonly string[] = ["a", "b"],
  url?: string,
): Promise<Pawl> {
  const destinations = Object.fromEntries(names.map((name) => [name, nullDestination()]));
  const databaseUrl = url ?? (await freshDatabase()).url;
  const pawl = await connect(defineApp({ destinations, routes }), {
    databaseUrl,
    log: silentLogger,
    connections: 3,
  });
  onTestFinished(() => pawl.close());
  return pawl;
}

/** Where an event of this name, payload and meta goes. */
async function goesTo(
  pawl: Pawl,
  name: string,
  payload: unknown = {},
  meta: Record<string, unknown> = {},
): Promise<string[]> {
  const { id } = await pawl.record(name, { ...ORDER, payload, meta });
  await routeOnce(pawl.store);
  return targetsOf(pawl.store, id);
}

describe("patterns", () => {
  test.each([
    ["order.*", "order.", true],
    ["order.*", "order.placed.v1", true],
    ["order.*", "order", false],
    ["*", "a", true],
    ["*.v1", "order.placed.v1", true],
    ["*.v1", "order.placed.v12", false],
    ["o*d", "od", true],
    ["o*d*", "ordered.twice", true],
    ["order.*.v1", "order.placed.v1", true],
    ["order.*.v1", "order.v1", false],
    ["**", "order", true],
    ["order.placed", "order.placed", true],
    ["order.placed", "Order.placed", false],
    ["order_placed", "orderXplaced", false],
    ["order_*", "order_placed", true],
    ["order:*", "order:placed", true],
    ["order.-*", "order.-x", true],
    ["order.placed", "order-placed", false],
  ])("R84: %s takes %s: %s", async (pattern, name, isTaken) => {
    const pawl = await connected([on(pattern).to("a")]);
    expect(await goesTo(pawl, name)).toEqual(isTaken ? ["a"] : []);
  });

  test.each(["order.%", "or der", "", "order.?", "ö", "a\\", "x".repeat(201), 7, null])(
    "R84: the pattern %j is refused at the definition",
    (pattern) => {
      expect(() => on(pattern as string)).toThrowError(
        expect.objectContaining({ code: "invalid_option" }),
      );
    },
  );

  test("R84: Pawl's own events are taken only by patterns that begin with pawl.", async () => {
    const pawl = await connected(
      [
        on("*").to("a"),
        on("*.dead").to("a"),
        on("pawl*").to("a"),
        on("pawl.delivery.*").to("b"),
        on("pawl.*").to("b"),
      ],
      ["a", "b"],
    );
    expect(await goesTo(pawl, "pawl.delivery.dead")).toEqual(["b"]);
    expect(await goesTo(pawl, "pawlish.dead")).toEqual(["a"]);
  });

  test("R84: many stars over a long name that does not fit are answered at once", async () => {
    const pawl = await connected([on(`${"*a".repeat(99)}b`).to("a")]);
    expect(await goesTo(pawl, "a".repeat(200))).toEqual([]);
  });
});

describe("conditions", () => {
  test.each([
    [{ payload: { country: "CZ" } }, { country: "CZ", total: 1 }, {}, true],
    [{ payload: { country: "CZ" } }, { country: "SK" }, {}, false],
    [{ payload: { country: "CZ" } }, {}, {}, false],
    [{ payload: { buyer: { vip: true } } }, { buyer: { vip: true, id: 1 } }, {}, true],
    [{ payload: { tags: ["a"] } }, { tags: ["b", "a"] }, {}, true],
    [{ payload: { gone: null } }, { gone: null }, {}, true],
    [{ payload: { gone: null } }, {}, {}, false],
    [{ meta: { tenant: "t1" } }, {}, { tenant: "t1", trace: "x" }, true],
    [{ meta: { tenant: "t1" } }, { tenant: "t1" }, {}, false],
    [{ payload: { n: 1 }, meta: { tenant: "t1" } }, { n: 1 }, { tenant: "t1" }, true],
    [{ payload: { n: 1 }, meta: { tenant: "t1" } }, { n: 1 }, {}, false],
    [{ payload: { n: 1 } }, null, {}, false],
    [{ payload: { n: 1 } }, [1, 2], {}, false],
    [{ payload: { n: 1.0 } }, { n: 1 }, {}, true],
    [{ payload: { "it's": "žluťoučký 😀" } }, { "it's": "žluťoučký 😀" }, {}, true],
    [{}, { any: "thing" }, {}, true],
  ])("R84: where %j, payload %j, meta %j: %s", async (where, payload, meta, isTaken) => {
    const pawl = await connected([on("order.*", { where }).to("a")]);
    expect(await goesTo(pawl, "order.placed", payload, meta)).toEqual(isTaken ? ["a"] : []);
  });

  test.each([
    ["$.payload.total > 100", { total: 101 }, true],
    ["$.payload.total > 100", { total: 100 }, false],
    ["$.payload.total > 100", {}, false],
    ["$.payload.total > 100", { total: "many" }, false],
    ["$.payload.total > 100", null, false],
    ['$.payload.total > 100 && $.payload.country == "CZ"', { total: 101, country: "CZ" }, true],
    ['$.name == "order.placed" && $.aggregateType == "order" && $.aggregateId == "7"', {}, true],
    ['$.meta.tenant == "t1"', {}, false],
    ["exists($.payload.lines[*] ? (@.price > 5))", { lines: [{ price: 1 }, { price: 6 }] }, true],
    ['$.payload.mail like_regex "@example[.]com$"', { mail: "a@example.com" }, true],
    ["$.payload.total / $.payload.count > 1", { total: 1, count: 0 }, false],
    ["$.payload.total", { total: 5 }, false],
    ["strict $.payload.nowhere.at == 1", {}, false],
  ])("R84: match %s, payload %j: %s", async (match, payload, isTaken) => {
    const pawl = await connected([on("order.*", { match }).to("a")]);
    expect(await goesTo(pawl, "order.placed", payload)).toEqual(isTaken ? ["a"] : []);
  });

  test("R84: where and match of one route must both hold", async () => {
    const condition = { where: { payload: { country: "CZ" } }, match: "$.payload.total > 100" };
    const pawl = await connected([on("order.*", condition).to("a")]);
    expect(await goesTo(pawl, "order.placed", { country: "CZ", total: 101 })).toEqual(["a"]);
    expect(await goesTo(pawl, "order.placed", { country: "CZ", total: 1 })).toEqual([]);
    expect(await goesTo(pawl, "order.placed", { country: "SK", total: 101 })).toEqual([]);
  });

  test.each(["$.payload.total >", "total > 100", "$.payload ? (", "$.a == '1'"])(
    "R84: the condition %j is refused at connect, and nothing is changed",
    async (match) => {
      const { url } = await freshDatabase();
      const pawl = await connected([on("order.*").to("a")], ["a"], url);
      const defined = () =>
        pawl.store.rows(
          `select (select json_agg(q order by q.id) from (select id, name, concurrency from pawl.queue) q)::text as queues,
                  (select json_agg(r order by r.id) from (select id, pattern, path from pawl.route) r)::text as routes,
                  (select json_agg(d order by d.id) from (select id, name, type from pawl.destination) d)::text as destinations`,
        );
      const before = await defined();
      const limited = { ...nullDestination(), queue: { concurrency: 3 } };
      const app = defineApp({
        destinations: { a: limited, other: limited },
        routes: [on("order.*", { match }).to("a"), on("*").to("other")],
      });
      await expect(
        connect(app, { databaseUrl: url, log: silentLogger }).then((it) => it.close()),
      ).rejects.toMatchObject({ code: "invalid_option" });
      expect(await defined()).toEqual(before);
    },
  );

  test.each(["$.payload.total > $limit", "$.payload.at.datetime() > $.payload.by.datetime()"])(
    "R80: the condition %s fails while it is asked: its event is unrouted, and the router goes on",
    async (match) => {
      const { url } = await freshDatabase();
      const routes = [on("order.*", { match }).to("a"), on("invoice.*").to("b")];
      let pawl: Pawl;
      try {
        pawl = await connected(routes, ["a", "b"], url);
      } catch (error) {
        expect(error).toMatchObject({ code: "invalid_option" }); // refused at once is as good
        return;
      }
      const payload = { total: 5, at: "2024-01-01", by: "2024-01-01T00:00:00+02:00" };
      expect(await goesTo(pawl, "order.placed", payload)).toEqual([]);
      expect(await goesTo(pawl, "invoice.sent")).toEqual(["b"]);
    },
  );
});

describe("routes", () => {
  test("R84: a delivery has the priority of its route, and of several the first", async () => {
    const pawl = await connected([
      on("order.*", { priority: 3 }).to("a", "b"),
      on("order.placed", { priority: 0 }).to("b"),
    ]);
    await goesTo(pawl, "order.placed");
    const rows = await pawl.store.rows(
      `select d.name, s.priority from pawl.delivery v join pawl.destination d on d.id = v.destination_id
         join pawl.task t on t.id = v.task_id join pawl.shard s on s.id = t.shard_id order by d.name`,
    );
    expect(rows).toEqual([
      { name: "a", priority: 3 },
      { name: "b", priority: 0 },
    ]);
  });

  test("R84: the same route twice with two priorities has the first of them, whichever stands first", async () => {
    for (const priorities of [
      [3, 0],
      [0, 3],
    ]) {
      const pawl = await connected(
        priorities.map((priority) => on("order.*", { priority }).to("a")),
        ["a"],
      );
      await goesTo(pawl, "order.placed");
      const rows = await pawl.store.rows(
        "select s.priority from pawl.task t join pawl.shard s on s.id = t.shard_id",
      );
      expect(rows).toEqual([{ priority: 0 }]);
    }
  });

  test("R81: several routes to one destination make one delivery", async () => {
    const pawl = await connected([
      on("order.*").to("a", "a"),
      on("*").to("a"),
      on("order.placed", { where: { payload: {} } }).to("a", "b"),
    ]);
    expect(await goesTo(pawl, "order.placed")).toEqual(["a", "b"]);
  });

  test("R84: a route that is not active, or that an operator turned off, takes nothing; the latter over registrations too", async () => {
    const { url } = await freshDatabase();
    const routes = [on("order.*", { active: false }).to("a"), on("order.*").to("b")];
    const pawl = await connected(routes, ["a", "b"], url);
    expect(await goesTo(pawl, "order.placed")).toEqual(["b"]);
    const [route] = await pawl.store.rows<{ id: number }>(
      "select id from pawl.route where active order by id",
    );
    await pawl.store.rows("select pawl.turn_route_v1($1, false, 'ada', 'noise')", [route?.id]);
    expect(await goesTo(pawl, "order.placed")).toEqual([]);
    await connected(routes, ["a", "b"], url);
    expect(await goesTo(pawl, "order.placed")).toEqual([]);
    await pawl.store.rows("select pawl.turn_route_v1($1, true, 'ada', null)", [route?.id]);
    expect(await goesTo(pawl, "order.placed")).toEqual(["b"]);
  });

  test("R84: a route that the code does not name any more is gone, one that it names again is there", async () => {
    const { url } = await freshDatabase();
    const pawl = await connected([on("order.*").to("a"), on("*").to("b")], ["a", "b"], url);
    await connected([on("*").to("b")], ["a", "b"], url);
    expect(await goesTo(pawl, "order.placed")).toEqual(["b"]);
    await connected([on("order.*").to("a")], ["a", "b"], url);
    expect(await goesTo(pawl, "order.placed")).toEqual(["a"]);
  });

  test.each([
    { priority: 4 },
    { priority: -1 },
    { priority: 1.5 },
    { active: "yes" },
    { match: "" },
    { match: 7 },
    { match: "$.\u0000 == 1" },
    { where: { paylod: {} } },
    { filter: {} },
    { where: { payload: { n: 1n } } },
    { where: { payload: "\u0000" } },
  ])("R84: the option %s is refused at the definition", (options) => {
    expect(() => on("order.*", options as object)).toThrowError(
      expect.objectContaining({ code: expect.stringMatching(/invalid_option|payload_not_json/) }),
    );
  });
});

describe("one pass of the router", () => {
  const NAMES = Array.from({ length: 12 }, (_, n) => `d${n}`);

  test("R80: events that match nothing, in the middle, at the end and beyond the cut, are unrouted and the others delivered once", async () => {
    const store = await freshStore();
    await defineDestinations(store, {
      destinations: NAMES.map((name) => ({ name })),
      routes: NAMES.map((destination) => ({ pattern: "order.*", destination })),
    });
    const shape = "-o-oo--o-ooo---o--";
    const ids = await recordEvents(
      store,
      [...shape].map((one) => ({ name: one === "o" ? "order.placed" : "nobody.cares" })),
    );
    const passes: (number | null)[] = [];
    for (let routed: number | null = 1; routed !== 0; passes.push(routed))
      routed = await routeOnce(store, 7, 25); // two of 12 deliveries fit
    expect(passes.reduce<number>((sum, one) => sum + (one ?? 0), 0)).toBe(shape.length);
    const rows = await store.rows<{ deliveries: number; made: number }>(
      `select e.deliveries, (select count(*)::int from pawl.delivery v where v.event_id = e.id) as made
         from pawl.event e where e.routed_at is not null order by e.number`,
    );
    expect(rows.map((row) => row.deliveries)).toEqual([...shape].map((one) => (one === "o" ? 12 : 0)));
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

describe("sending to one destination", () => {
  const PLACED = { ...ORDER, payload: { total: 9 } };

  test("R84: it goes there and nowhere else, whatever the routes say", async () => {
    const pawl = await connected([on("*").to("a", "b")], ["a", "b", "c"]);
    const { id } = await pawl.sendTo("null", "c", "order.placed", PLACED);
    await routeOnce(pawl.store);
    expect(await targetsOf(pawl.store, id)).toEqual(["c"]);
  });

  test.each([
    ["null", "nowhere"],
    ["webhook", "a"],
    ["", ""],
  ])("R84: to type %j and name %j, which are not there: refused, and nothing is recorded", async (type, name) => {
    const pawl = await connected([on("*").to("a")]);
    await expect(pawl.sendTo(type, name, "order.placed", PLACED)).rejects.toMatchObject({
      code: "unknown_destination",
    });
    expect(await count(pawl.store, "event")).toBe(0);
  });

  test("R84: in a transaction that rolls back it leaves nothing; ours and a foreign one", async () => {
    const pawl = await connected([on("*").to("a")]);
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
    const pawl = await connected([on("*").to("a")]);
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
