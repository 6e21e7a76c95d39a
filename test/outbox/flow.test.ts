import { describe, expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  type DestinationDefinition,
  defineApp,
  on,
  type Pawl,
  type Route,
} from "../../src/index.ts";
import {
  type FlowContext,
  type FlowOptions,
  flow,
  HOPS_MAX,
} from "../../src/outbox/destinations/flow.ts";
import { refuseFlowLoops } from "../../src/outbox/destinations/flow-loops.ts";
import { flowType } from "../../src/outbox/destinations/flow-type.ts";
import type { OutboxEvent } from "../../src/outbox/destinations/types.ts";
import { deliveriesOf, events } from "../../src/outbox/sql.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const ORDER = { aggregate: ["order", 7], payload: { total: 9 }, meta: { trace: "t-1" } } as const;

async function pawlWith(
  destinations: Record<string, DestinationDefinition>,
  routes: readonly Route[],
  schema = "pawl",
): Promise<Pawl> {
  const { url } = await freshDatabase(
    schema === "pawl" ? { longLeases: true } : { migrated: false },
  );
  const pawl = await connect(defineApp({ schema, destinations, routes }), {
    databaseUrl: url,
    migrate: true,
    log: silentLogger,
  });
  onTestFinished(() => pawl.close());
  return pawl;
}

async function published(pawl: Pawl, id: string) {
  await until(
    `event ${id} is published`,
    async () => (await pawl.event(id))?.status === "published",
  );
  return deliveriesOf(pawl.store, id);
}

/** A flow whose handler keeps what it was given. */
function keeping(): {
  destination: DestinationDefinition;
  seen: { event: OutboxEvent; context: FlowContext }[];
} {
  const seen: { event: OutboxEvent; context: FlowContext }[] = [];
  return { seen, destination: flow((event, context) => void seen.push({ event, context })) };
}

describe("a handler in the app", () => {
  test("R83, R88: is given the event and the ids of its delivery", async () => {
    const { destination, seen } = keeping();
    const pawl = await pawlWith({ stock: destination }, [on("order.*").to("stock")]);
    const { id } = await pawl.record("order.placed", ORDER);
    await pawl.work();
    const [delivery] = await published(pawl, id);
    expect(seen).toHaveLength(1);
    expect(seen[0]?.event).toMatchObject({ id, name: "order.placed", payload: { total: 9 } });
    expect(seen[0]?.context).toMatchObject({
      deliveryId: delivery?.id,
      destinationId: expect.stringMatching(/^\d+$/),
      destinationKey: "stock",
      attempt: 1,
      replay: 0,
    });
  });

  test("R83, R90: what it writes through its transaction is there once, though it failed after writing", async () => {
    let tries = 0;
    const destination = flow(
      async (event, { tx, signal }) => {
        await tx.query("insert into reserved (sku) values ($1)", [event.aggregateId]);
        tries += 1;
        expect(signal.aborted).toBe(false);
        if (tries < 3) throw new Error("after the write");
      },
      { retry: { attempts: 3, delays: ["20ms"] } },
    );
    const pawl = await pawlWith({ stock: destination }, [on("order.*").to("stock")]);
    await pawl.store.rows("create table reserved (sku text)");
    const { id } = await pawl.record("order.placed", ORDER);
    await pawl.work();
    await published(pawl, id);
    expect(tries).toBe(3);
    expect(await pawl.store.rows("select sku from reserved")).toEqual([{ sku: "7" }]);
  });

  test("its name is shown, and a handler that raises nothing takes no name of an event", () => {
    expect(flow(function reserveStock() {}).config).toEqual({ handler: "reserveStock" });
    expect(() => flow(() => undefined, { name: "x" } as FlowOptions)).toThrow("`name`");
  });
});

describe("without a handler", () => {
  test("R83, R88: the event is raised as pawl.event.forwarded, and no route of all events takes it back", async () => {
    const { destination, seen } = keeping();
    const pawl = await pawlWith({ forward: flow(), alerts: destination }, [
      on("*").to("forward"),
      on("pawl.event.forwarded").to("alerts"),
    ]);
    const { id } = await pawl.record("order.placed", ORDER);
    await pawl.work();
    await until("it has come back", () => seen.length > 0);
    const [delivery] = await published(pawl, id);
    const raised = seen[0]?.event;
    expect(raised?.id).not.toBe(id);
    expect(raised).toMatchObject({
      name: "pawl.event.forwarded",
      aggregateType: "order",
      aggregateId: "7",
      payload: { total: 9 },
      meta: {
        trace: "t-1",
        eventId: id,
        eventName: "order.placed",
        deliveryId: delivery?.id,
        destinationId: expect.stringMatching(/^\d+$/),
        destinationKey: "forward",
        hops: 1,
      },
    });
    expect(await events(pawl.store, { limit: 10 })).toHaveLength(2);
  });

  test("R83: it is raised under a name of choice, in a schema of another name, once for all tries", async () => {
    let tries = 0;
    const real = flow({ name: "shop.order.v1" });
    const stumbling: DestinationDefinition = {
      ...real,
      retry: { attempts: 2, delays: ["20ms"] },
      deliver: async (delivery, context) => {
        const success = await real.deliver(delivery, context);
        tries += 1;
        if (tries === 1) throw new Error("after it was raised");
        return success;
      },
    };
    const pawl = await pawlWith({ forward: stumbling }, [on("order.*").to("forward")], "warehouse");
    const { id } = await pawl.record("order.placed", { ...ORDER, meta: { hops: 99 } });
    await pawl.work();
    await published(pawl, id);
    expect(tries).toBe(2);
    const all = await events(pawl.store, { limit: 10 });
    expect(all.map((one) => one.name)).toEqual(["shop.order.v1", "order.placed"]);
    expect(all[0]?.meta.hops).toBe(1);
  });

  test("R83: operators make one while the app runs", async () => {
    const { destination, seen } = keeping();
    const pawl = await pawlWith({ local: destination }, [on("crm.*").to("local")]);
    await pawl.store.rows("select pawl.put_destination_v1($1, true, '{}', 'ada', null)", [
      { name: "again", type: "flow", config: { name: "crm.customer" }, queue: {} },
    ]);
    await pawl.work();
    await pawl.sendTo("flow", "again", "customer.registered", ORDER);
    await until("it has come", () => seen.length > 0);
    expect(seen[0]?.event.meta).toMatchObject({ destinationKey: "again", hops: 1 });
    expect(flowType.define({}).config).toEqual({ name: "pawl.event.forwarded" });
  });

  test.each<[string, unknown]>([
    ["a name that is none", { name: "no spaces" }],
    ["an empty name", { name: "" }],
    ["an unknown option", { nmae: "x" }],
    ["no object", 7],
    ["null", null],
  ])("what cannot be is refused: %s", (_, options) => {
    expect(() => flow(options as FlowOptions)).toThrow(
      expect.objectContaining({ code: "invalid_option" }),
    );
  });
});

describe("a circle of raised events", () => {
  test(`R83: ends after ${HOPS_MAX} times, as a dead delivery that says why`, async () => {
    const again = flow({ name: "order.again", retry: { delays: ["10ms"] } });
    const pawl = await pawlWith({ again }, [
      // a condition, so that it cannot be seen before
      on("order.*", { match: '$.aggregateType == "order"' }).to("again"),
    ]);
    await pawl.record("order.placed", ORDER);
    await pawl.work();
    const dead = await until("one is dead", async () => {
      const all = await events(pawl.store, { limit: 100 });
      return all.find((one) => one.status === "dead");
    });
    expect(dead.meta.hops).toBe(HOPS_MAX);
    const [delivery] = await deliveriesOf(pawl.store, dead.id);
    expect(delivery?.attempt).toBe(1);
    expect(delivery?.error?.message).toContain(`raised ${HOPS_MAX} times already`);
    const all = await events(pawl.store, { limit: 100 });
    expect(all).toHaveLength(HOPS_MAX + 1);
    expect(all.filter((one) => one.status === "published")).toHaveLength(HOPS_MAX);
  });

  const named = (destinations: Record<string, DestinationDefinition>) =>
    Object.entries(destinations).map(([name, definition]) => ({ name, definition }));

  test.each<[string, Record<string, DestinationDefinition>, Route[], string]>([
    [
      "to itself",
      { a: flow({ name: "order.again" }) },
      [on("order.*").to("a")],
      '"a" raises order.again',
    ],
    [
      "over another",
      { a: flow({ name: "b.x" }), b: flow({ name: "a.x" }) },
      [on("a.*").to("a"), on("b.*").to("b")],
      '"a" raises b.x, "b" raises a.x',
    ],
    [
      "under Pawl's own name",
      { a: flow() },
      [on("pawl.event.*").to("a")],
      '"a" raises pawl.event.forwarded',
    ],
  ])(
    "R83: that is certain is refused before anything runs: %s",
    (_, destinations, routes, text) => {
      expect(() => refuseFlowLoops(routes, named(destinations))).toThrow(text);
    },
  );

  test("R83: what only might be one is not refused", () => {
    const destinations = named({ a: flow({ name: "order.again" }), b: flow(), c: flow(() => 1) });
    const routes = [
      on("order.*", { where: { payload: { x: 1 } } }).to("a"),
      on("order.*", { match: "$.payload.x > 1" }).to("a"),
      on("order.*", { active: false }).to("a"),
      on("order.again", {}).to("c"),
      on("order-again").to("a"),
      on("*").to("b"),
      on("orderXagain").to("a"),
    ];
    expect(() => refuseFlowLoops(routes, destinations)).not.toThrow();
  });
});
