import { beforeAll, expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, type EventRow, type Pawl, type TaskDetail } from "../../src/index.ts";
import type { DeadRow } from "../../src/kernel/operator/dead/sql.ts";
import type { QueueStats, TaskRow } from "../../src/kernel/operator/sql.ts";
import type { DeliveryRow } from "../../src/outbox/sql.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import { CONFIG, type ErrorDocument, pawl, pawlJson } from "./cli.ts";
import app, { broken, endless, hello } from "./fixture/pawl.config.ts";

const seeded = { url: "", done: "", scheduled: "", ready: "", dead: [] as string[], event: "" };
let client: Pawl;

beforeAll(async () => {
  const { url } = await freshDatabase({ longLeases: true });
  client = await connect(app, { databaseUrl: url, log: silentLogger });
  const done = await client.enqueue(hello, { n: 21 });
  const letters = ["no route to host", "timed out", "timed out again"].map((why) => ({ why }));
  const dead = await client.enqueueMany(broken, letters);
  const { id: event } = await client.record("order.placed", {
    aggregate: ["order", 42],
    payload: { total: 10 },
  });
  const worker = await client.work();
  await until("everything has ended", async () => {
    const states = await Promise.all(
      [done, ...dead].map(async ({ id }) => (await client.task(id))?.state),
    );
    const delivered = (await client.event(event))?.status === "published";
    return delivered && states.every((state) => state === "done" || state === "dead");
  });
  await worker.stop();
  const scheduled = await client.enqueue(hello, { n: 1 }, { delay: "1h" });
  const ready = await client.enqueue(endless, {});
  Object.assign(seeded, { url, done: done.id, dead: dead.map((one) => one.id), event });
  Object.assign(seeded, { scheduled: scheduled.id, ready: ready.id });
  return () => client.close();
});

const text = (args: string[]) => pawl(args, seeded);

test("R58: stats shows ready, scheduled, waiting, running, dead, the oldest and rates per queue, as text and as JSON", async () => {
  const [shown, { json }] = await Promise.all([
    text(["stats"]),
    pawlJson<{ queues: QueueStats[]; outbox: object }>(["stats"], seeded),
  ]);
  expect(shown).toMatchObject({ code: 0, stderr: "" });
  expect(shown.stdout).toMatch(
    /^QUEUE +READY +SCHEDULED +WAITING +RUNNING +DEAD +BLOCKED +OLDEST +DONE\/MIN/,
  );
  expect(shown.stdout).toMatch(/^high +0 +0 +0 +0 +3 +0 +- /m);
  expect(shown.stdout).toMatch(/^low +1 +0 +0 +0 +0 +0 +\d[\dms. ]*s /m);
  expect(shown.stdout).toMatch(/outbox: 0 to route, 0 unrouted/);
  const byName = new Map(json.queues.map((row) => [row.queue, row]));
  expect(byName.get("normal")).toMatchObject({
    scheduled: 1,
    ready: 0,
    waiting: 0,
    blocked: 0,
    isEstimate: false,
  });
  expect(byName.get("normal")?.perMinute.done).toBeGreaterThan(0);
  expect(byName.get("low")?.oldestReadyMs).toBeGreaterThanOrEqual(0);
  expect(json.outbox).toMatchObject({ toRoute: 0, unrouted: 0 });
});

test("tasks list answers by state, queue and kind, and knows no other names", async () => {
  const [live, done, shown, queue, kind] = await Promise.all([
    pawlJson<{ tasks: TaskRow[] }>(["tasks", "list"], seeded),
    pawlJson<{ tasks: TaskRow[] }>(["tasks", "list", "--state", "done", "--kind", "hello"], seeded),
    text(["tasks", "list", "--queue", "low", "--limit", "5"]),
    text(["tasks", "list", "--queue", "hgih"]),
    pawlJson<ErrorDocument>(["tasks", "list", "--kind", "helo"], seeded),
  ]);
  expect(live.json.tasks.map((task) => task.id)).toEqual([seeded.ready, seeded.scheduled]);
  expect(done.json.tasks.map((task) => task.id)).toEqual([seeded.done]);
  expect(shown.stdout).toMatch(new RegExp(`^ *${seeded.ready} +ready +low +endless `, "m"));
  expect(queue.code).toBe(2);
  expect(queue.stderr).toContain('no queue "hgih" in this database; did you mean "high"?');
  expect(kind).toMatchObject({ code: 2, json: { error: { code: "unknown_kind" } } });
});

test("tasks show finds a task wherever it is, and says so when it is nowhere", async () => {
  const [shown, json, missing] = await Promise.all([
    text(["tasks", "show", seeded.done]),
    pawlJson<{ task: TaskDetail; attempts: unknown[] }>(["tasks", "show", seeded.done], seeded),
    pawlJson<ErrorDocument>(["tasks", "show", "999999"], seeded),
  ]);
  expect(shown.stdout).toMatch(/^state +done$/m);
  expect(shown.stdout).toMatch(/result\n {2}\{\n {4}"doubled": 42\n {2}\}/);
  expect(json.json.task).toMatchObject({ id: seeded.done, state: "done", payload: { n: 21 } });
  expect(json.json.attempts).toEqual([]);
  expect(missing).toMatchObject({ code: 3, json: { error: { code: "task_not_found" } } });
});

test("R60: tasks kinds lists message, handler and queue; without a config the handlers stay open", async () => {
  const kinds = ["tasks", "kinds"];
  const [shown, { json }] = await Promise.all([
    text([...kinds, "--config", CONFIG]),
    pawlJson<{ kinds: { kind: string; handler: null; queue: string }[] }>(kinds, seeded),
  ]);
  expect(shown.stdout).toMatch(/^MESSAGE +HANDLER +QUEUE /);
  expect(shown.stdout).toMatch(/^hello +job hello +normal +shop /m);
  expect(shown.stdout).toMatch(/^delivery +null audit +destination:audit +shop /m);
  expect(json.kinds).toContainEqual(
    expect.objectContaining({ kind: "broken", handler: null, queue: "high" }),
  );
});

test("events and deliveries are listed and shown with each other", async () => {
  const [events, list, event, deliveries, missing, destination] = await Promise.all([
    pawlJson<{ events: EventRow[] }>(["events", "list", "--name", "order.*"], seeded),
    text(["events", "list", "--name", "invoice.*"]),
    text(["events", "show", seeded.event]),
    pawlJson<{ deliveries: DeliveryRow[] }>(
      ["deliveries", "list", "--destination", "audit"],
      seeded,
    ),
    pawl(["events", "show", "019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21"], seeded),
    pawl(["deliveries", "list", "--destination", "adit"], seeded),
  ]);
  expect(events.json.events).toMatchObject([{ id: seeded.event, status: "published" }]);
  expect(list.stdout).toBe("none\n");
  expect(event.stdout).toMatch(/^about +order:42$/m);
  expect(event.stdout).toMatch(/ audit +published +1 /);
  const [delivery] = deliveries.json.deliveries;
  expect(delivery).toMatchObject({ destination: "audit", eventName: "order.placed" });
  expect(missing.code).toBe(3);
  expect(destination.stderr).toContain('did you mean "audit"?');

  const id = delivery?.id ?? "";
  const [shown, json, none] = await Promise.all([
    text(["deliveries", "show", id]),
    pawlJson(["deliveries", "show", id], seeded),
    pawlJson<ErrorDocument>(["deliveries", "show", seeded.done], seeded),
  ]);
  expect(shown.stdout).toMatch(/^destination +audit \(null\)$/m);
  expect(json.json).toMatchObject({ delivery: { id, status: "published" }, attempts: [] });
  expect(none).toMatchObject({ code: 3, json: { error: { code: "delivery_not_found" } } });
});

test("events record records an event that the workers route, with a config and without", async () => {
  const args = ["events", "record", "stock.counted", "--aggregate", "shelf:7", "--payload", "[1]"];
  const [plain, { json }] = await Promise.all([
    text(args),
    pawlJson<{ id: string }>([...args, "--meta", '{"by":"me"}', "--config", CONFIG], seeded),
  ]);
  expect(plain.code).toBe(0);
  const [first, second] = await Promise.all([
    client.event(plain.stdout.trim()),
    client.event(json.id),
  ]);
  expect(first).toMatchObject({ name: "stock.counted", aggregateId: "7", payload: [1], meta: {} });
  expect(second).toMatchObject({ aggregateType: "shelf", meta: { by: "me" } });
});

test("R59: dead letters are listed, shown, retried and removed by id, kind, queue, error or all, after a dry run", async () => {
  const [route = "", late = "", later = ""] = seeded.dead;
  const stateOf = async (id: string) => (await client.task(id))?.state;
  const change = (...args: string[]) =>
    pawlJson<{ count: number; dryRun: boolean; ids?: string[] } & ErrorDocument>(
      ["dead", ...args],
      seeded,
    );

  const [list, shown, alive, mixed, dry, unsure] = await Promise.all([
    pawlJson<{ dead: DeadRow[] }>(["dead", "list", "--error", "timed out"], seeded),
    text(["dead", "show", route]),
    change("show", seeded.done),
    change("retry", route, seeded.done),
    change("retry", "--all", "--error", "timed out", "--dry-run"),
    change("remove", "--all", "--kind", "broken"),
  ]);
  expect(list.json.dead.map((row) => row.id).sort()).toEqual([late, later].sort());
  expect(shown.stdout).toMatch(/^reason +unrecoverable$/m);
  expect(shown.stdout).toMatch(/error\n.*no route to host/);
  expect(alive.json.error.message).toContain("is not a dead letter, it is done");
  expect(mixed).toMatchObject({ code: 3, json: { error: { code: "task_not_found" } } });
  expect(dry.json).toEqual({ action: "retry", dryRun: true, count: 2 });
  expect(unsure.code).toBe(2);
  expect(unsure.json.error.message).toMatch(/would remove 3 dead letters; add --yes/);
  expect(unsure.json.error.data).toEqual({ option: "--yes", count: 3 });
  expect(await Promise.all(seeded.dead.map(stateOf))).toEqual(["dead", "dead", "dead"]);

  expect((await text(["dead", "retry", route])).stdout).toBe("retried 1 dead letter\n");
  expect((await change("retry", "--all", "--error", "again")).json.count).toBe(1);
  expect(await Promise.all(seeded.dead.map(stateOf))).toEqual(["ready", "dead", "ready"]);
  expect((await change("remove", late, "--dry-run")).json).toMatchObject({ count: 1, ids: [late] });
  expect(await stateOf(late)).toBe("dead");
  expect((await change("remove", "--all", "--queue", "high", "--yes")).json.count).toBe(1);
  expect(await stateOf(late)).toBe("removed");
});
