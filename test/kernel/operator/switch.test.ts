import { beforeEach, expect, test } from "vitest";
import {
  offHere,
  queues,
  switches,
  switchOff,
  switchOn,
} from "../../../src/kernel/operator/switches/sql.ts";
import { turnOff } from "../../../src/kernel/operator/switches/turn.ts";
import { auditRows } from "../../../src/operate/sql.ts";
import { rawClient } from "../../support/database.ts";
import { runningOf, sendTurn } from "../../support/kernel.ts";
import { ADA, type Bench, bench, MINUTE_MS } from "./fixture.ts";

let at: Bench;

beforeEach(async () => {
  at = await bench();
});

/** How many tasks a new worker is given. */
async function startable(): Promise<number> {
  const worker = await at.worker();
  const rows = await sendTurn(at.store, { worker, claim: 1, limit: 10 });
  return rows.length;
}

test("a switch keeps reason, owner and time, nothing of its scope starts, and what runs is counted until it ends", async () => {
  await at.enqueue({ queue: "low" });
  expect(await startable()).toBe(1);
  await at.enqueue({ queue: "low" });
  await switchOff(at.store, { scope: "queue:low", ...ADA });
  expect(await switches(at.store)).toEqual([
    {
      scope: "queue:low",
      offBy: "ada",
      why: "erp down",
      since: expect.any(Date),
      until: null,
      running: 1,
      leases: [],
      batches: 0,
    },
  ]);
  expect(await runningOf(at.store, "queue:low")).toBe(1);
  expect(await runningOf(at.store, "queue:q")).toBe(0);
  expect(await startable()).toBe(0);
  await at.enqueue({ queue: "q" });
  expect(await startable()).toBe(1);
  expect(await runningOf(at.store, "all")).toBe(2);

  expect(await switchOn(at.store, { scope: "queue:low", by: "bob" })).toBe(true);
  expect(await switchOn(at.store, { scope: "queue:low", by: "bob" })).toBe(false);
  expect(await switches(at.store)).toEqual([]);
  expect(await startable()).toBe(1);
});

test("the answer of off with `wait` says that nothing runs, though a batch begins at this moment only to see that all is off", async () => {
  const mover = await rawClient(at.url);
  let looks = 0;
  const rows: Bench["store"]["rows"] = async (text, values) => {
    const found = await at.store.rows(text, values);
    if (text.includes("switches_v1")) {
      looks += 1;
      if (looks === 1) await mover.query("select pg_advisory_lock_shared(pawl.batch_lock())");
    }
    return found as never;
  };
  const desk = { store: { ...at.store, rows }, report: () => undefined };
  expect(await turnOff(desk, { scope: "all", wait: true, act: ADA })).toMatchObject({
    running: 0,
    leases: [],
    batches: 0,
  });
  expect(looks).toBe(1);
  expect(await switches(at.store)).toMatchObject([{ batches: 1 }]);
});

test("a switch with an end is on again automatically, by the database's clock, given as a time or as a duration", async () => {
  await at.enqueue({ queue: "low" });
  await switchOff(at.store, { scope: "queue:low", by: "ada", forMs: 10 * MINUTE_MS });
  await at.advance(9 * MINUTE_MS);
  expect(await startable()).toBe(0);
  const [found] = await switches(at.store);
  expect(Number(found?.until) - Number(found?.since)).toBeCloseTo(10 * MINUTE_MS, -2);
  await at.advance(MINUTE_MS);
  expect(await switches(at.store)).toEqual([]);
  expect(await startable()).toBe(1);

  const until = new Date(Date.now() + 60 * MINUTE_MS);
  await switchOff(at.store, { scope: "all", by: "ada", until });
  expect(await switches(at.store)).toMatchObject([{ scope: "all", until }]);
});

test("turning a scope off again replaces reason and end, and keeps since when it has been off", async () => {
  await switchOff(at.store, { scope: "all", ...ADA });
  const [first] = await switches(at.store);
  await at.advance(5 * MINUTE_MS);
  await switchOff(at.store, { scope: "all", by: "bob", forMs: MINUTE_MS });
  const [second] = await switches(at.store);
  expect(second).toMatchObject({ offBy: "bob", why: null, since: first?.since });
  await at.advance(2 * MINUTE_MS);
  await switchOff(at.store, { scope: "all", by: "eve" });
  const [third] = await switches(at.store);
  expect(Number(third?.since)).toBeGreaterThan(Number(first?.since) + 6 * MINUTE_MS);
});

test("R112: a scope that cannot be meant, an unknown queue and an end in the past change nothing", async () => {
  const off = (scope: string, until?: Date) => switchOff(at.store, { scope, by: "ada", until });
  await expect(off("queues")).rejects.toMatchObject({
    code: "invalid_option",
    message:
      'bad scope "queues"; a scope is "all", "command:<name>", "destination:<name>", "group:<name>", "kind:<name>", "process:<name>", "queue:<name>", "route:<id>", "schedule:<name>", "source:<name>"',
  });
  await expect(off("queue:")).rejects.toMatchObject({ code: "invalid_option" });
  await expect(off("all:low")).rejects.toMatchObject({ code: "invalid_option" });
  await expect(off("queue:lwo")).rejects.toMatchObject({
    code: "unknown_queue",
    message: expect.stringContaining("known: limited, low, paced, q, unblocked"),
  });
  await expect(off("all", new Date(0))).rejects.toMatchObject({
    code: "invalid_option",
    message: expect.stringContaining("expected the end to be in the future, got 1970-01-01"),
  });
  await expect(switchOn(at.store, { scope: "queue:lwo", by: "ada" })).rejects.toMatchObject({
    code: "unknown_queue",
  });
  expect(await switches(at.store)).toEqual([]);
  expect(await auditRows(at.store, { limit: 10 })).toEqual([]);
});

test("every act is in the audit, the latest first: who, what, to which target, why", async () => {
  await switchOff(at.store, {
    scope: "queue:low",
    ...ADA,
    until: new Date("2100-01-01T00:00:00Z"),
  });
  await switchOff(at.store, { scope: "all", by: "bob" });
  await switchOn(at.store, { scope: "queue:low", by: "eve", why: "erp is back" });
  const all = await auditRows(at.store, { limit: 10 });
  expect(all.map(({ by, action, target, why }) => [by, action, target, why])).toEqual([
    ["eve", "switches.on", "queue:low", "erp is back"],
    ["bob", "switches.off", "all", null],
    ["ada", "switches.off", "queue:low", "erp down"],
  ]);
  expect(all[2]).toMatchObject({
    at: expect.any(Date),
    detail: { until: new Date("2100-01-01T00:00:00Z") },
  });
  const about = await auditRows(at.store, { target: "queue:low", limit: 10 });
  expect(about.map((row) => row.by)).toEqual(["eve", "ada"]);
  expect(await auditRows(at.store, { limit: 1 })).toHaveLength(1);
});

test("the list of queues shows limits, what holds each, and the hosts on which a file or a variable does", async () => {
  await at.enqueue({ queue: "limited" });
  expect(await startable()).toBe(1);
  await switchOff(at.store, { scope: "queue:low", ...ADA });
  await at.worker({ host: "host-b", offHere: ["queue:q"] });
  await at.worker({ host: "host-b", offHere: ["queue:q", "queue:low"] });
  await at.worker({ host: "host-c", offHere: ["all"] });
  const byName = new Map((await queues(at.store)).map((row) => [row.queue, row]));
  expect(byName.get("low")).toMatchObject({
    application: "test",
    concurrency: null,
    onDead: "block",
    running: 0,
    holds: [{ reason: "off", detail: { scope: "queue:low", by: "ada", why: "erp down" } }],
    offHere: ["host-b", "host-c"],
  });
  expect(byName.get("limited")).toMatchObject({
    concurrency: 1,
    running: 1,
    holds: [{ reason: "concurrency", detail: { limit: 1, running: 1 } }],
    offHere: ["host-c"],
  });
  expect(byName.get("paced")).toMatchObject({
    rate: { limit: 1, perMs: MINUTE_MS, burst: 1 },
    holds: [],
  });
  expect(byName.get("unblocked")?.onDead).toBe("skip");
  expect(await offHere(at.store)).toEqual([
    { host: "host-b", scopes: ["queue:low", "queue:q"] },
    { host: "host-c", scopes: ["all"] },
  ]);
});
