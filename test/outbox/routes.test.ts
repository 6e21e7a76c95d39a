import { describe, expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, nullDestination, on, type Pawl, type Route } from "../../src/index.ts";
import { raiseEvent } from "../../src/outbox/destinations/sql.ts";
import { freshDatabase } from "../support/database.ts";
import { routeOnce, targetsOf } from "../support/delivery-catalogue.ts";

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
  // events of Pawl's own are not for apps to record
  const [own] = name.startsWith("pawl.") ? await raiseEvent(pawl.store, ownEvent(name)) : [];
  const { id } = own ?? (await pawl.record(name, { ...ORDER, payload, meta }));
  await routeOnce(pawl.store);
  return targetsOf(pawl.store, id);
}

function ownEvent(name: string) {
  return { name, aggregateType: "order", aggregateId: "7", payload: "{}", meta: "{}" };
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
    await pawl.store.rows("select pawl.off_v1('route:' || $1::int, 'ada', 'noise', null)", [
      route?.id,
    ]);
    expect(await goesTo(pawl, "order.placed")).toEqual([]);
    await connected(routes, ["a", "b"], url);
    expect(await goesTo(pawl, "order.placed")).toEqual([]);
    await pawl.store.rows("select pawl.on_v1('route:' || $1::int, 'ada', null)", [route?.id]);
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
