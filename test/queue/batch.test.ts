import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  type BatchContext,
  type BatchTask,
  connect,
  defineApp,
  defineJob,
  type Pawl,
  RetryAfter,
  type RunningWorker,
  Snooze,
  Unrecoverable,
} from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

interface Input {
  n: number;
  lane?: string | undefined;
  tenant?: string | undefined;
}
type One = BatchTask<Input>;

let pawl: Pawl;
/** How the next call goes; set by the tests. */
let next: (tasks: readonly One[], context: BatchContext) => unknown = () => undefined;
const sizes: number[] = [];

const input = z.object({
  n: z.number(),
  lane: z.string().optional(),
  tenant: z.string().optional(),
});
const options = {
  input,
  batch: { max: 100 },
  retry: { attempts: 2, delays: ["1h" as const], jitter: 0 },
  lane: ({ lane }: Input) => lane,
  limitKey: ({ tenant }: Input) => tenant,
  run: (tasks: readonly One[], context: BatchContext) => {
    sizes.push(tasks.length);
    return next(tasks, context);
  },
};
const bulk = defineJob({ ...options, name: "bulk" });
const small = defineJob({ ...options, name: "small", batch: { max: 10 } });
const brief = defineJob({ ...options, name: "brief", timeout: "200ms" });
const three = defineJob({ ...options, name: "three", queue: "three" });
const tenants = defineJob({ ...options, name: "tenants", queue: "tenants" });

const app = defineApp({
  jobs: [bulk, small, brief, three, tenants],
  queues: { three: { concurrency: 3 }, tenants: { keyConcurrency: 2 } },
});

beforeAll(async () => {
  const { url } = await freshDatabase({ longLeases: true });
  pawl = await connect(app, { databaseUrl: url, log: silentLogger });
});
afterAll(() => pawl.close());
beforeEach(() => {
  next = () => undefined;
  sizes.length = 0;
});

async function put(job: typeof bulk, count: number, more: (n: number) => object = () => ({})) {
  const inputs = Array.from({ length: count }, (_, n) => ({ n, ...more(n) }));
  return (await pawl.enqueueMany(job, inputs)).map(({ id }) => id);
}

async function work(concurrency = 100): Promise<RunningWorker> {
  const worker = await pawl.work({ concurrency });
  onTestFinished(() => worker.stop().then(() => undefined));
  return worker;
}

/** Waits until none waits for an attempt any more, and returns their states. */
async function settled(ids: readonly string[]): Promise<Map<string, string>> {
  return until("all have an outcome", async () => {
    const rows = await pawl.store.rows<{ id: string; state: string }>(
      "select id::text, state from pawl.task_v1 where id = any($1)",
      [ids],
    );
    const isOver = rows.every(({ state }) => OVER.includes(state));
    return isOver && new Map(rows.map(({ id, state }) => [id, state]));
  });
}

const OVER = ["done", "dead", "cancelled", "scheduled"];

describe("a batch", () => {
  test("R69b: holds what was claimed together, up to its maximum, and is full under a backlog", async () => {
    const ids = await put(bulk, 300);
    await work();
    expect(new Set((await settled(ids)).values())).toEqual(new Set(["done"]));
    expect(Math.max(...sizes)).toBeGreaterThan(50); // more than a claim takes otherwise
    expect(Math.max(...sizes)).toBeLessThanOrEqual(100);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(300);
    sizes.length = 0;
    await settled(await put(small, 35));
    expect(Math.max(...sizes)).toBe(10);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(35);
  });

  test("R69b: each task has an outcome of its own: done with a result, a retry, dead, snoozed; what nothing was said of is done", async () => {
    const ids = await put(bulk, 6);
    const say: ((task: One) => void)[] = [
      (task) => task.done({ row: task.taskId, key: task.idempotencyKey }),
      (task) => task.fail(new Error("try later")),
      (task) => task.fail(new Unrecoverable("never")),
      (task) => task.fail(new Snooze("2h")),
      (task) => task.fail(new RetryAfter("3h", "full")),
    ];
    next = (tasks) => {
      for (const task of tasks) say[task.input.n]?.(task);
      tasks[0]?.fail(new Error("the first word counts"));
    };
    await work();
    const states = await settled(ids);
    expect(ids.map((id) => states.get(id))).toEqual([
      "done",
      "scheduled",
      "dead",
      "scheduled",
      "scheduled",
      "done",
    ]);
    const tasks = await Promise.all(ids.map((id) => pawl.task(id)));
    expect(tasks[0]?.result).toEqual({ row: ids[0], key: `task-${ids[0]}` });
    expect(tasks.map((task) => task?.error?.message)).toEqual([
      undefined,
      "try later",
      "never",
      undefined,
      "full",
      undefined,
    ]);
    expect(tasks.map((task) => task?.attempt)).toEqual([1, 1, 1, 0, 1, 1]);
    expect(tasks[2]?.reason).toBe("unrecoverable");
  });

  test("R69b: a throw is the failure of all that is left; what has its outcome keeps it", async () => {
    const ids = await put(bulk, 4);
    next = (tasks) => {
      tasks.find(({ input: { n } }) => n === 2)?.done("kept");
      throw new Error("the database is down");
    };
    await work();
    const states = await settled(ids);
    expect(ids.map((id) => states.get(id))).toEqual([
      "scheduled",
      "scheduled",
      "done",
      "scheduled",
    ]);
    expect((await pawl.task(ids[3] ?? ""))?.error?.message).toBe("the database is down");
  });

  test("R69b R65: a task whose payload does not fit is dead alone", async () => {
    const ids = await put(bulk, 3);
    await pawl.store.rows("update pawl.task set payload = '{}' where id = $1", [ids[1]]);
    await work();
    const states = await settled(ids);
    expect(ids.map((id) => states.get(id))).toEqual(["done", "dead", "done"]);
  });
});

describe("times and ends", () => {
  test("R69b R72: at the deadline what is left has timed out, and the batch's signal aborts; later words count for nothing", async () => {
    const ids = await put(brief, 3);
    let reason: unknown;
    next = async (tasks, { signal }) => {
      tasks.find(({ input: { n } }) => n === 0)?.done();
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve());
      });
      reason = signal.reason;
      for (const task of tasks) task.done();
    };
    await work();
    const states = await settled(ids);
    expect(ids.map((id) => states.get(id))).toEqual(["done", "scheduled", "scheduled"]);
    expect(reason).toMatchObject({ code: "handler_timeout" });
  });

  test("R69b R72: one of them can be cancelled: its signal aborts, not the batch's, and the others go on", async () => {
    const ids = await put(bulk, 3);
    let isBatchAborted = true;
    let begun = 0;
    next = async (tasks, { signal }) => {
      begun = tasks.length;
      const one = tasks.find(({ taskId }) => taskId === ids[1]);
      await new Promise<void>((resolve) => {
        one?.signal.addEventListener("abort", () => resolve());
      });
      one?.fail(one.signal.reason);
      isBatchAborted = signal.aborted;
    };
    await work();
    await until("they run", () => begun === 3);
    expect(await pawl.cancel(ids[1] ?? "")).toBe("requested");
    const states = await settled(ids);
    expect(ids.map((id) => states.get(id))).toEqual(["done", "cancelled", "done"]);
    expect(isBatchAborted).toBe(false);
  });

  test("R69b: a worker that stops gives the batch back, uncounted", async () => {
    const ids = await put(bulk, 3);
    let begun = 0;
    next = (tasks, { signal }) => {
      begun = tasks.length;
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    };
    const worker = await work();
    await until("they run", () => begun === 3);
    await worker.stop(0);
    const tasks = await until("they are given back", async () => {
      const all = await Promise.all(ids.map((id) => pawl.task(id)));
      return all.every((task) => task?.state === "ready") && all;
    });
    expect(tasks.map((task) => task?.attempt)).toEqual([0, 0, 0]);
    next = () => undefined;
    await work();
    await settled(ids);
  });
});

describe("what holds single tasks holds batches", () => {
  test("R69b R71: a limit of the queue is the most that a batch has", async () => {
    const ids = await put(three, 20);
    await work();
    await settled(ids);
    expect(Math.max(...sizes)).toBe(3);
  });

  test("R69b R71: of each limit key no more than may run are in batches at once", async () => {
    const running = new Map<string | undefined, number>();
    let most = 0;
    next = async (tasks) => {
      for (const {
        input: { tenant },
      } of tasks) {
        running.set(tenant, (running.get(tenant) ?? 0) + 1);
        most = Math.max(most, running.get(tenant) ?? 0);
      }
      await new Promise((resolve) => setImmediate(resolve));
      for (const {
        input: { tenant },
      } of tasks)
        running.set(tenant, (running.get(tenant) ?? 0) - 1);
    };
    const ids = await put(tenants, 60, (n) => ({ tenant: `t${n % 3}` }));
    await work();
    await settled(ids);
    expect(most).toBe(2);
  });

  test("R69b: of a lane only the head is in a batch, and the order holds", async () => {
    const order: number[] = [];
    next = (tasks) => {
      const lanes = tasks.map(({ input: { lane } }) => lane);
      expect(new Set(lanes).size).toBe(lanes.length);
      order.push(...tasks.filter(({ input: { lane } }) => lane === "a").map((one) => one.input.n));
    };
    const ids = await put(bulk, 20, (n) => ({ lane: n % 2 === 0 ? "a" : `b${n}` }));
    await work();
    expect(new Set((await settled(ids)).values())).toEqual(new Set(["done"]));
    expect(order).toEqual(Array.from({ length: 10 }, (_, n) => 2 * n));
  });

  test("R69b R103a: what is turned off begins in no batch", async () => {
    const off = { by: "ada", why: "test" };
    await pawl.off("kind:bulk", off);
    const ids = await put(bulk, 5);
    await work();
    const others = await put(small, 5);
    await settled(others);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(5);
    await pawl.on("kind:bulk", off);
    await settled(ids);
  });
});

test("R112: a bad batch is refused, and types know the tasks of it", () => {
  for (const bad of [{}, { max: 0 }, { max: 1_001 }, { maxx: 1 }, true])
    expect(() => defineJob({ ...options, name: "bad", batch: bad as never })).toThrow("batch");
  // @ts-expect-error `max` is required
  const noMax: Parameters<typeof defineJob>[0]["batch"] = {};
  defineJob({
    name: "typed",
    input: z.object({ at: z.coerce.date() }),
    batch: { max: 2 },
    run: (tasks, { signal }) => {
      const dates: Date[] = tasks.map((task) => task.input.at);
      // @ts-expect-error a task of a batch has no transaction
      const tx: unknown = tasks[0]?.tx;
      return [dates, tx, signal];
    },
  });
  defineJob({
    name: "single",
    input: z.object({ at: z.coerce.date() }),
    // @ts-expect-error without `batch` it gets one input
    run: (tasks) => tasks.map(String),
  });
  expect(noMax).toEqual({});
});
