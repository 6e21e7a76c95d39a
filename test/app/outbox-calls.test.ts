import { expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, nullDestination, on, type Pawl } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

async function client(): Promise<Pawl> {
  const { url } = await freshDatabase();
  const app = defineApp({
    name: "shop",
    destinations: { audit: nullDestination() },
    routes: [on("order.*").to("audit")],
  });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  return pawl;
}

const ORDER = { aggregate: ["order", 1], payload: { total: 10 } } as const;

async function delivered(pawl: Pawl): Promise<string> {
  const { id } = await pawl.events.record("order.placed", ORDER);
  const worker = await pawl.work();
  await until("it is delivered", async () => (await pawl.event(id))?.status === "published");
  await worker.stop();
  return id;
}

test("R112: code records, shows, routes and prunes events by the verbs of the command line", async () => {
  const pawl = await client();
  const { id: lost } = await pawl.events.record("invoice.sent", ORDER);
  const id = await delivered(pawl);
  expect(await pawl.events.list({ name: "order.*" })).toMatchObject([{ id, deliveries: 1 }]);
  const shown = await pawl.events.show(id);
  expect(shown).toMatchObject({ event: { id }, deliveries: [{ destination: "audit" }] });
  expect(await pawl.events.list({ unrouted: true })).toMatchObject([{ id: lost }]);
  expect(await pawl.events.route({ all: true, dryRun: true })).toEqual({ dryRun: true, count: 1 });
  await expect(pawl.events.route([lost, id])).rejects.toThrow("it is published, not unrouted");
  expect(await pawl.events.route(lost, { by: "ada" })).toEqual({ dryRun: false, count: 1 });
  expect(await pawl.events.prune({ days: 0, dryRun: true })).toMatchObject({ events: 1 });
  expect(await pawl.events.prune({ days: 0, why: "test data" })).toMatchObject({ deliveries: 1 });
  expect(await pawl.events.show(id)).toBeUndefined();
  expect(await pawl.audit.list({ target: "events", limit: 1 })).toMatchObject([
    { action: "events.prune", why: "test data" },
  ]);
});

test("R91 R112: code delivers one batch in its process, as the command line does, and no more than its limit", async () => {
  const pawl = await client();
  await pawl.record("order.placed", ORDER);
  await pawl.record("order.placed", ORDER);
  const one = { destination: "audit", status: "published", count: 1 };
  expect(await pawl.deliveries.dispatch({ limit: 1 })).toEqual({
    dispatched: 1,
    destinations: [one],
  });
  expect(await pawl.deliveries.dispatch({ destination: ["audit"] })).toMatchObject({
    dispatched: 1,
  });
  expect(await pawl.deliveries.dispatch()).toEqual({ dispatched: 0, destinations: [] });
  await expect(pawl.deliveries.dispatch({ destination: ["adit"] })).rejects.toThrow('"audit"?');
});

test("R112: code looks at deliveries and replays them; replays are a noun below", async () => {
  const pawl = await client();
  const id = await delivered(pawl);
  const [delivery] = await pawl.deliveries.list({ destination: "audit" });
  expect(await pawl.deliveries.show(delivery?.id ?? "")).toMatchObject({
    delivery: { eventId: id, status: "published" },
    attempts: [],
  });
  await expect(pawl.deliveries.list({ destination: "adit" })).rejects.toThrow('mean "audit"?');
  expect(await pawl.deliveries.show("999999")).toBeUndefined();
  expect(await pawl.deliveries.rescue()).toEqual({ rescued: 0, workers: [] });
  const selection = { event: id, rate: { limit: 5, per: "1m" } } as const;
  expect(await pawl.deliveries.replay({ ...selection, dryRun: true })).toMatchObject({
    dryRun: true,
    count: 1,
    destinations: [{ destination: "audit", made: 1 }],
  });
  const replayed = await pawl.deliveries.replay({ ...selection, by: "ada" });
  const replay = replayed.dryRun ? undefined : replayed.replay;
  expect(replay).toMatchObject({ startedBy: "ada", rateLimit: 5, ratePerMs: 60_000 });
  const number = replay?.id ?? "";
  expect(await pawl.deliveries.replays.stop(number)).toMatchObject({
    wasRunning: true,
    replay: { state: "stopped" },
  });
  expect(await pawl.deliveries.replays.list()).toMatchObject([{ id: number, state: "stopped" }]);
  expect(await pawl.stopReplay(number)).toBe(false);
  expect(await pawl.stopReplay("77")).toBeUndefined();
  await expect(pawl.deliveries.replays.stop("77")).rejects.toMatchObject({
    code: "replay_not_found",
  });
});

test("R112: a destination that is not there is undefined from `show`, and refused by what changes it; types are told one by one", async () => {
  const pawl = await client();
  expect(await pawl.destinations.show("adit")).toBeUndefined();
  await expect(pawl.destinations.resume("adit")).rejects.toThrow('did you mean "audit"?');
  expect(await pawl.destinations.show("audit")).toMatchObject({ owner: "code of app shop" });
  expect((await pawl.destinations.types()).map((one) => one.type)).toContain("webhook");
  expect(await pawl.destinations.type("webhook")).toMatchObject({ type: "webhook" });
  await expect(pawl.destinations.type("webhok")).rejects.toThrow('did you mean "webhook"?');
  expect(await pawl.routes.list({ to: "audit" })).toHaveLength(1);
  expect(await pawl.routes.list({ to: "adit" })).toEqual([]);
});

test("R112: calls of the outbox that cannot be meant are refused, naming call and option", async () => {
  const pawl = await client();
  // as JavaScript calls them
  const loose = pawl as unknown as Record<string, Record<string, (...given: unknown[]) => unknown>>;
  const call = (noun: string, verb: string, ...given: unknown[]) =>
    expect(loose[noun]?.[verb]?.(...given)).rejects;
  await call("deliveries", "replay", {}).toThrow("deliveries.replay: nothing is selected; give");
  await call("deliveries", "replay", { all: true, rate: "0/s" }).toThrow(
    "expected `rate.limit` to be",
  );
  await call("deliveries", "replay", { dead: true, rate: { limit: 1, pre: "1s" } }).toThrow(
    'rate: no option `pre`; did you mean "per"?',
  );
  await call("deliveries", "replay", { al: true }).toThrow('did you mean "all"?');
  await call("events", "record", "order placed", ORDER).toThrow("events.record: expected `name`");
  await call("events", "record", "order.placed").toThrow("expected `event` to be given");
  await call("events", "prune", {}).toThrow("expected `days` to be given");
  await call("events", "list", { name: "a%b" }).toThrow("expected `name` to be an event name");
  await call("destinations", "edit", "audit", []).toThrow("expected `changes` to be an object");
  await call("destinations", "test", "audit", { event: 7 }).toThrow("expected `event` to be");
  await call("destinations", "pause", "audit", { dorp: true }).toThrow('did you mean "drop"?');
  await call("routes", "add", "order.*", { by: "ada" }).toThrow("expected `route` to be");
});
