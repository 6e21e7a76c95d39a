import type { RequestListener } from "node:http";
import { afterAll, describe, expect, test } from "vitest";
import {
  type DestinationDefinition,
  env,
  type OutboxEvent,
  on,
  type Pawl,
  PawlError,
  type Route,
  Unrecoverable,
  webhook,
} from "../../src/index.ts";
import { events } from "../../src/outbox/sql.ts";
import { bodyOf, httpServer } from "../sender/local-servers.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import {
  type Collecting,
  collecting,
  orders,
  pawlOf,
  pawlWith,
  settledAll,
} from "./replay-support.ts";

process.env.ALARM_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const receivers: { close(): Promise<void> }[] = [];
afterAll(() => Promise.all(receivers.map((one) => one.close())));

async function receiver(listener: RequestListener): Promise<string> {
  const server = await httpServer(listener);
  receivers.push(server);
  return server.url;
}

async function named(pawl: Pawl, name: string) {
  return (await events(pawl.store, { limit: 1_000 })).filter((event) => event.name === name);
}

function alarmOn(name: string): { alarm: Collecting; route: Route } {
  return { alarm: collecting(), route: on(name).to("alarm") };
}

/** Nothing more can come: no event is to be routed, and no task waits. */
async function quiet(pawl: Pawl): Promise<void> {
  await until("nothing is left to do", async () => {
    const [row] = await pawl.store.rows<{ open: number }>(
      `select ((select count(*) from pawl.event where routed_at is null)
             + (select count(*) from pawl.task where state <> 'blocked'))::int as open`,
    );
    return row?.open === 0;
  });
}

describe("pawl.delivery.dead", () => {
  test("R89: is recorded once, when a delivery is dead and not at its failures, with attempt and error", async () => {
    const { alarm, route } = alarmOn("pawl.delivery.dead");
    const erp = collecting((delivery) => {
      throw new PawlError("delivery_failed", `refused try ${delivery.attempt}`);
    });
    const pawl = await pawlWith({ erp, alarm }, [on("order.*").to("erp"), route]);
    const [id = ""] = await orders(pawl, 1);
    await pawl.work();
    await settledAll(pawl, [id]);
    await quiet(pawl);
    expect(alarm.seen).toHaveLength(1);
    const event = alarm.seen[0]?.event as OutboxEvent;
    expect(event).toMatchObject({
      name: "pawl.delivery.dead",
      aggregateType: "delivery",
      payload: {
        destination: "erp",
        eventId: id,
        eventName: "order.placed",
        attempt: 3,
        reason: "attempts",
        error: { message: "refused try 3" },
      },
    });
    const { deliveryId, taskId } = event.payload as Record<string, string>;
    expect(event.aggregateId).toBe(deliveryId);
    expect(taskId).toBe(deliveryId);
  });

  test("R89: can go to a webhook, and an alarm that is dead itself raises no further alarm", async () => {
    const bodies: string[] = [];
    const url = await receiver(async (request, response) => {
      bodies.push(await bodyOf(request));
      response.writeHead(400).end();
    });
    const erp = collecting(() => {
      throw new Unrecoverable("no such order");
    });
    const alarm = webhook({
      url,
      secret: env("ALARM_SECRET"),
      timeout: "10m",
      retry: { attempts: 2, delay: "10ms", factor: 1 },
    });
    const pawl = await pawlOf({
      destinations: { erp, alarm },
      routes: [on("order.*").to("erp"), on("pawl.*").to("alarm")],
      http: { allow: ["127.0.0.1"] },
    });
    await orders(pawl, 2);
    await pawl.work();
    await until("both alarms are dead", async () => {
      const rows = await pawl.store.rows("select from pawl.dead");
      return rows.length === 4;
    });
    await quiet(pawl);
    expect(await named(pawl, "pawl.delivery.dead")).toHaveLength(2);
    const sent = bodies.map((body) => JSON.parse(body).payload.destination);
    expect(new Set(sent)).toEqual(new Set(["erp"]));
  });

  test("R89: a route for everything gets none of Pawl's own events, and without a route none is recorded", async () => {
    const all = collecting(() => {
      throw new Unrecoverable("no");
    });
    const pawl = await pawlWith({ all }, [on("*").to("all")]);
    await orders(pawl, 3);
    await pawl.work();
    await until("all are dead", async () => {
      return (await pawl.store.rows("select from pawl.dead")).length === 3;
    });
    await quiet(pawl);
    expect(await events(pawl.store, { limit: 100 })).toHaveLength(3);
  });

  test("R89: keeps its name in a schema of another name", async () => {
    const { alarm, route } = alarmOn("pawl.delivery.dead");
    const erp = collecting(() => {
      throw new Unrecoverable("no");
    });
    const databaseUrl = (await freshDatabase({ migrated: false })).url;
    const routes = [on("jobs.*").to("erp"), route];
    const app = { schema: "jobs", destinations: { erp, alarm }, routes };
    const pawl = await pawlOf(app, { databaseUrl, migrate: true });
    await pawl.record("jobs.placed", { aggregate: ["order", 1], payload: {} });
    await pawl.work();
    await until("the alarm came", () => alarm.seen.length === 1);
    expect(alarm.seen[0]?.event).toMatchObject({
      name: "pawl.delivery.dead",
      payload: { eventName: "jobs.placed" },
    });
  });
});

describe("pawl.event.unrouted", () => {
  test("R80: is recorded for each event that no route took, and never about one of Pawl's own", async () => {
    const { alarm, route } = alarmOn("pawl.event.unrouted");
    const pawl = await pawlWith({ alarm }, [route]);
    const ids = await orders(pawl, 3);
    await pawl.work();
    await until("the alarms came", () => alarm.seen.length === 3);
    await quiet(pawl);
    expect(alarm.seen).toHaveLength(3);
    const told = alarm.seen.map((one) => (one.event.payload as { eventId: string }).eventId);
    expect(new Set(told)).toEqual(new Set(ids));
    expect(alarm.seen[0]?.event).toMatchObject({
      aggregateType: "event",
      payload: { eventName: "order.placed", aggregateType: "order" },
    });
  });

  test("R80: a wanted alarm whose destination goes away in the meantime is unrouted, and alarms nobody", async () => {
    const { alarm, route } = alarmOn("pawl.*");
    const pawl = await pawlWith({ alarm }, [route]);
    await orders(pawl, 1);
    await pawl.store.rows("select pawl.route_v1(10)"); // records the alarm
    const [{ id } = { id: "" }] = await pawl.routes.list();
    await pawl.routes.turnOff(id);
    await pawl.store.rows("select pawl.route_v1(10)");
    await pawl.routes.turnOn(id);
    await pawl.store.rows("select pawl.route_v1(10)");
    expect(await events(pawl.store, { limit: 100 })).toMatchObject([
      { name: "pawl.event.unrouted", status: "unrouted" },
      { name: "order.placed", status: "unrouted" },
    ]);
  });
});

describe("pawl.destination.*", () => {
  test("R89, R96: tripped once an incident, recovered when its breaker has closed again", async () => {
    const { alarm, route } = alarmOn("pawl.destination.*");
    let isDown = true;
    const erp: DestinationDefinition = {
      ...collecting(() => {
        if (isDown) throw new PawlError("delivery_failed", "connection refused");
      }),
      retry: { attempts: 100, delay: "20ms", factor: 1 },
      queue: { breaker: { failures: 3, window: "60s", open: "100ms", openMax: "200ms" } },
    };
    const pawl = await pawlWith({ erp, alarm }, [on("order.*").to("erp"), route]);
    await orders(pawl, 10);
    await pawl.work();
    await until("the alarm came", () => alarm.seen.length === 1);
    isDown = false;
    await until("it has recovered", async () => {
      await orders(pawl, 20); // it closes slowly
      return alarm.seen.length === 2;
    });
    expect(alarm.seen.map((one) => one.event.name)).toEqual([
      "pawl.destination.tripped",
      "pawl.destination.recovered",
    ]);
    expect(alarm.seen[0]?.event).toMatchObject({
      aggregateType: "destination",
      aggregateId: "erp",
      payload: { destination: "erp", error: { message: "connection refused" } },
    });
  });

  test.each([
    ["410", 410, {}],
    ["webhook-delivery: disable", 200, { "webhook-delivery": "disable" }],
  ])("R96: %s turns the destination off, once, and says so", async (_name, status, headers) => {
    let requests = 0;
    const url = await receiver((_, response) => {
      requests += 1;
      response.writeHead(status, headers).end();
    });
    const { alarm, route } = alarmOn("pawl.destination.disabled");
    const pawl = await pawlOf({
      destinations: {
        alarm,
        erp: {
          ...webhook({ url, secret: env("ALARM_SECRET"), timeout: "10m" }),
          queue: { concurrency: 1 },
        },
      },
      routes: [on("order.*").to("erp"), route],
      http: { allow: ["127.0.0.1"] },
    });
    await orders(pawl, 5);
    await pawl.work();
    await until("the alarm came", () => alarm.seen.length === 1);
    expect(alarm.seen[0]?.event).toMatchObject({
      name: "pawl.destination.disabled",
      payload: { destination: "erp", why: expect.any(String) },
    });
    expect(await pawl.store.rows("select scope, name, off_by from pawl.switch")).toEqual([
      { scope: "queue", name: "destination:erp", off_by: "pawl" },
    ]);
    expect(requests).toBe(1);
    expect(await named(pawl, "pawl.destination.disabled")).toHaveLength(1);
  });
});
