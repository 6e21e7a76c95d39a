/** Events that start runs, and the other places from which runs start. */

import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  type AppOptions,
  connect,
  type DestinationDefinition,
  defineApp,
  defineJob,
  defineProcess,
  defineSource,
  on,
  type Pawl,
  type ToProcessOptions,
  toProcess,
} from "../../src/index.ts";
import { deliveriesOf } from "../../src/outbox/sql.ts";
import { processType } from "../../src/process/destination/process-type.ts";
import { freshDatabase } from "../support/database.ts";
import { upTo } from "../support/inbox-app.ts";
import { until } from "../support/until.ts";

const ORDER = { aggregate: ["order", 7], payload: { total: 9 }, meta: { trace: "t-1" } } as const;
const orders = defineProcess({
  name: "order",
  version: 1,
  input: z.looseObject({}),
  steps: (s) => s.call("first", () => 1).wait("word"),
});

const NEXT = { name: "order", version: 2, input: z.looseObject({}) } as const;

async function shop(options: AppOptions, schema = "pawl"): Promise<Pawl> {
  const app = defineApp({ schema, ...options });
  const { url } = await freshDatabase(
    schema === "pawl" ? { longLeases: true } : { migrated: false },
  );
  const pawl = await connect(app, { databaseUrl: url, migrate: true, log: silentLogger });
  onTestFinished(() => pawl.close());
  return pawl;
}

const routed = (destination: DestinationDefinition): AppOptions => ({
  processes: [orders],
  destinations: { runs: destination },
  routes: [on("order.*").to("runs")],
});

async function deliveryOf(pawl: Pawl, event: string, status: string) {
  return until(`the delivery is ${status}`, async () => {
    const [delivery] = await deliveriesOf(pawl.store, event);
    return delivery?.status === status && delivery;
  });
}

async function runOf(pawl: Pawl, event: string) {
  const { result } = await deliveryOf(pawl, event, "published");
  const [, id = ""] = /run (\d+)/.exec(JSON.stringify(result)) ?? [];
  return pawl.task(id);
}

describe("what cannot work is refused when it is said:", () => {
  test.each<[string, () => unknown]>([
    ["no process", () => toProcess(undefined as never)],
    ["the name of a process", () => toProcess("order" as never)],
    ["an unknown option", () => toProcess(orders, { inptu: 1 } as unknown as ToProcessOptions)],
    ["an input that is no function", () => toProcess(orders, { input: {} } as never)],
    ["a key that is no function", () => toProcess(orders, { key: "a" } as never)],
    ["a priority that is none", () => toProcess(orders, { priority: 9 })],
    ["a name that is empty", () => processType.define({ process: "" })],
    ["a name that is missing", () => processType.define({})],
  ])("%s", (_, define) => {
    expect(define).toThrow(expect.objectContaining({ code: "invalid_option" }));
  });

  test("a type of the app's own with the name of Pawl's", () => {
    const own = { ...processType, define: () => toProcess(orders) };
    expect(() => defineApp({ destinationTypes: [own] })).toThrow('two are named "process"');
    expect(defineApp({ destinationTypes: [{ ...own, type: "own" }] }).destinationTypes).toEqual([
      ...defineApp({}).destinationTypes,
      expect.objectContaining({ type: "own" }),
    ]);
  });
});

describe("an event starts a run", () => {
  test("R83, R88: with what a webhook would send, and the delivery's ids in its meta", async () => {
    const pawl = await shop(routed(toProcess(orders)));
    await pawl.work();
    const { id } = await pawl.record("order.placed", ORDER);
    const run = await runOf(pawl, id);
    const delivery = await deliveryOf(pawl, id, "published");
    const event = await pawl.event(id);
    expect(run).toMatchObject({
      queue: "processes",
      kind: "order",
      payload: {
        eventId: id,
        eventName: "order.placed",
        aggregate: { type: "order", id: "7" },
        occurredAt: event?.occurredAt.toISOString(),
        payload: { total: 9 },
        meta: { trace: "t-1" },
      },
      meta: {
        trace: "t-1",
        eventId: id,
        eventName: "order.placed",
        deliveryId: delivery.id,
        destinationId: expect.stringMatching(/^\d+$/),
        destinationKey: "runs",
      },
    });
  });

  test("R83: with input, key and lane that functions make of it, also in a schema of another name", async () => {
    const options = {
      input: async (event) => ({ order: event.aggregateId }),
      key: (event) => `order-${event.aggregateId}`,
      lane: () => "orders",
    } satisfies ToProcessOptions;
    const pawl = await shop(routed(toProcess(orders, options)), "billing");
    await pawl.work();
    const { id } = await pawl.record("order.placed", ORDER);
    const first = await runOf(pawl, id);
    expect(first).toMatchObject({ payload: { order: "7" }, key: "order-7", lane: "orders" });
    const other = await pawl.record("order.paid", ORDER);
    const again = await runOf(pawl, other.id);
    expect(again?.id).toBe(first?.id);
    const { result } = await deliveryOf(pawl, other.id, "published");
    expect(result).toMatchObject({ summary: expect.stringContaining("same key") });
  });

  test("R83, R90: a delivery that fails after it has started a run leaves none, and in the end there is one", async () => {
    let tries = 0;
    const real = toProcess(orders);
    const stumbling: DestinationDefinition = {
      ...real,
      retry: { attempts: 3, delays: ["20ms"] },
      deliver: async (delivery, context) => {
        const success = await real.deliver(delivery, context);
        tries += 1;
        if (tries < 3) throw new Error("after the run was started");
        return success;
      },
    };
    const pawl = await shop(routed(stumbling));
    await pawl.work();
    const { id } = await pawl.record("order.placed", ORDER);
    await deliveryOf(pawl, id, "published");
    expect(tries).toBe(3);
    expect(await pawl.processes.list()).toHaveLength(1);
  });

  test("R83: by the process's own key and lane, of many events one run", async () => {
    const keyed = defineProcess({
      name: "order",
      version: 1,
      input: z.looseObject({}),
      key: () => "only-one",
      steps: (s) => s.wait("word"),
    });
    const pawl = await shop({ ...routed(toProcess(keyed)), processes: [keyed] });
    const ids = await Promise.all([1, 2, 3].map(() => pawl.record("order.placed", ORDER)));
    await pawl.work();
    const runs = await Promise.all(ids.map(({ id }) => runOf(pawl, id)));
    expect(new Set(runs.map((run) => run?.id)).size).toBe(1);
  });

  test("R83: the largest event, with a tenant that no index takes", async () => {
    const largest = { a: "x".repeat(1_048_576 - '{"a": ""}'.length) };
    const pawl = await shop({
      ...routed(toProcess(orders)),
      destinations: {
        runs: toProcess(orders),
        named: processType.define({ process: "order" }),
      },
      routes: [on("order.*").to("runs", "named")],
    });
    await pawl.work();
    await pawl.record("order.placed", {
      ...ORDER,
      payload: largest,
      meta: { tenant: { company: "é".repeat(5_000), plugin: "p" }, trace: "t" },
    });
    const runs = await until("both runs wait", async () => {
      const all = await pawl.processes.list({ status: "waiting" });
      return all.length === 2 && all;
    });
    const run = await pawl.task(runs[0]?.id ?? "");
    expect(run?.meta).toMatchObject({ trace: "t" });
    expect(run?.meta).not.toHaveProperty("tenant");
  });
});

describe("an event that cannot start a run", () => {
  test("R83: an input that does not fit, is no JSON, or is too large is dead at once, with the reason", async () => {
    const strict = defineProcess({
      name: "order",
      version: 1,
      input: z.object({ to: z.union([z.email(), z.string().min(1_000)]) }),
      steps: (s) => s.wait("word"),
    });
    const inputs: [unknown, RegExp][] = [
      [{ to: "nobody" }, /process "order": .*to: Invalid/i],
      [{ to: 1n }, /bigint/i],
      [{ to: "x".repeat(2_000_000) }, /limit/],
    ];
    for (const [input, reason] of inputs) {
      const destination = toProcess(strict, { input: () => input as never });
      const pawl = await shop({ ...routed(destination), processes: [strict] });
      await pawl.work();
      const { id } = await pawl.record("order.placed", ORDER);
      const delivery = await deliveryOf(pawl, id, "dead");
      expect(delivery.attempt).toBe(1);
      expect(delivery.error?.message).toMatch(reason);
      expect((await pawl.task(delivery.id))?.reason).toBe("invalid");
      expect(await pawl.processes.list()).toEqual([]);
    }
  });

  test("R83: a process or a version that no app defines is a failure that names it, and no run waits unseen", async () => {
    const destination = toProcess(orders, { retry: { attempts: 1 } });
    const other = defineProcess({ ...NEXT, steps: (s) => s.wait("word") });
    for (const processes of [[], [other]]) {
      const pawl = await shop({ ...routed(destination), processes });
      await pawl.work();
      const { id } = await pawl.record("order.placed", ORDER);
      const delivery = await deliveryOf(pawl, id, "dead");
      expect(delivery.error).toMatchObject({ code: "unknown_kind" });
      expect(delivery.error?.message).toContain('no process "order" version 1');
      expect(await pawl.processes.list()).toEqual([]);
    }
  });
});

test("R83, R88: an operator names the process, which starts in its newest version", async () => {
  const second = defineProcess({
    ...NEXT,
    older: [orders],
    steps: (s) => s.wait("word"),
  });
  const pawl = await shop({ processes: [second] });
  await pawl.work();
  await pawl.destinations.add({ name: "by-name", type: "process", config: { process: "order" } });
  const once = { attempts: 1 };
  await pawl.destinations.add({
    name: "unknown",
    type: "process",
    config: { process: "ordre", retry: once },
  });
  expect(await pawl.destinations.test("by-name")).toMatchObject({
    accepted: true,
    isRolledBack: true,
  });
  expect(await pawl.processes.list()).toEqual([]);
  const { id } = await pawl.sendTo("process", "by-name", "order.placed", ORDER);
  const run = await runOf(pawl, id);
  expect(run).toMatchObject({
    kind: "order",
    payload: { eventName: "order.placed", payload: { total: 9 } },
    meta: { destinationKey: "by-name", deliveryId: expect.stringMatching(/^\d+$/) },
  });
  expect((await pawl.processes.show(run?.id ?? ""))?.run.version).toBe(2);
  const { id: lost } = await pawl.sendTo("process", "unknown", "order.placed", ORDER);
  const dead = await deliveryOf(pawl, lost, "dead");
  expect(dead.error?.message).toContain('no process "ordre" is defined');
});

test("a job starts a run in its transaction: with the job's end, or not at all", async () => {
  let tries = 0;
  const holder: { pawl?: Pawl } = {};
  const job = defineJob({
    name: "import",
    input: z.object({}),
    retry: { attempts: 3, delay: 0 },
    run: async (_, { tx }) => {
      tries += 1;
      await holder.pawl?.start(orders, { order: tries }, { tx });
      if (tries < 3) throw new Error("after the start");
    },
  });
  const pawl = await shop({ jobs: [job], processes: [orders] });
  holder.pawl = pawl;
  await pawl.work();
  await pawl.enqueue(job, {});
  const [run] = await until("a run waits", async () => {
    const runs = await pawl.processes.list({ status: "waiting" });
    return runs.length > 0 && runs;
  });
  expect(await pawl.processes.list()).toHaveLength(1);
  expect((await pawl.task(run?.id ?? ""))?.payload).toEqual({ order: 3 });
});

test("a handler of the inbox starts runs: with its batch, and not without it", async () => {
  const source = defineSource({
    name: "numbers",
    gap: 0,
    limit: 100,
    idle: "50ms",
    storeRetry: { attempts: 1 },
    fetch: upTo(5),
    store: async (events, { start }) => {
      for (const { id } of events) await start(orders, { id });
      if (events.some(({ id }) => id === "4")) throw new Error("4 is poison");
    },
  });
  const pawl = await shop({ sources: [source], processes: [orders] });
  await pawl.work();
  const runs = await until("four runs wait", async () => {
    const all = await pawl.processes.list({ status: "waiting" });
    return all.length === 4 && all;
  });
  const tasks = await Promise.all(runs.map(({ id }) => pawl.task(id)));
  const inputs = tasks.map((task) => task?.payload).reverse();
  expect(inputs).toEqual(["1", "2", "3", "5"].map((id) => ({ id })));
});
