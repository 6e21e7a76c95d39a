import { AsyncLocalStorage } from "node:async_hooks";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineJob,
  defineProcess,
  flow,
  type Middleware,
  on,
  type Pawl,
  RetryAfter,
} from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

let pawl: Pawl;
const seen: string[] = [];
const delivered: object[] = [];
let outer: Middleware = (_, next) => next();
let inner: Middleware = (_, next) => next();

const tenant = new AsyncLocalStorage<string>();
/** What the schema of `slowly` waits for. */
let parse: Promise<void> = Promise.resolve();

const job = defineJob({
  name: "job",
  input: z.object({ fails: z.boolean().optional() }),
  retry: { attempts: 2, delays: ["1h"], jitter: 0 },
  timeout: "5m",
  run: ({ fails }, { kind }) => {
    seen.push(`run ${kind}`);
    if (fails === true) throw new Error("from the handler");
    return { from: "handler" };
  },
});
const many = defineJob({
  name: "many",
  input: z.object({}),
  batch: { max: 10 },
  run: async (tasks) => {
    await Promise.resolve();
    seen.push(`run ${tasks.length} of ${String(tenant.getStore())}`);
  },
});
const brief = defineJob({
  name: "brief",
  input: z.object({}),
  timeout: "100ms",
  retry: { attempts: 1 },
  run: () => void seen.push("run brief"),
});
const slowly = defineJob({
  name: "slowly",
  input: z.object({}).refine(async () => {
    await parse;
    return true;
  }),
  timeout: "100ms",
  retry: { attempts: 1 },
  run: () => void seen.push("run slowly"),
});
const waits = defineProcess({
  name: "waits",
  version: 1,
  input: z.object({}),
  steps: (s) => s.wait("word").call("end", () => ({ ended: true })),
});
const breaks = defineProcess({
  name: "breaks",
  version: 1,
  input: z.object({}),
  steps: (s) =>
    s.call(
      "break",
      () => {
        throw new Error("the step broke");
      },
      { retry: { attempts: 1 } },
    ),
});

beforeAll(async () => {
  const { url } = await freshDatabase();
  const app = defineApp({
    jobs: [job, many, brief, slowly],
    processes: [waits, breaks],
    destinations: { inside: flow(() => undefined) },
    routes: [on("a.*").to("inside")],
    use: [(task, next) => outer(task, next), (task, next) => inner(task, next)],
  });
  pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  await pawl.work({
    on: {
      delivered: (delivery) => {
        delivered.push(delivery);
        throw new Error("an observer's own");
      },
    },
  });
});
afterAll(() => pawl.close());
beforeEach(() => {
  seen.length = 0;
  outer = (_, next) => next();
  inner = (_, next) => next();
});

async function attempted(fails = false) {
  const { id } = await pawl.enqueue(job, { fails });
  return until("it was attempted", async () => {
    const task = await pawl.task(id);
    return task !== undefined && task.attempt > 0 && task.state !== "running" && task;
  });
}

test("they run around the handler, the first outermost; the result is the handler's, and so is its error", async () => {
  const noting =
    (name: string): Middleware =>
    async ({ kind, attempt }, next) => {
      seen.push(`${name} ${kind} ${attempt}`);
      await next().catch(() => undefined); // kept to itself
      seen.push(`${name} after`);
      return "ignored";
    };
  outer = noting("outer");
  inner = noting("inner");
  expect(await attempted()).toMatchObject({ state: "done", result: { from: "handler" } });
  expect(seen).toEqual(["outer job 1", "inner job 1", "run job", "inner after", "outer after"]);
  expect(await attempted(true)).toMatchObject({
    state: "scheduled",
    error: { message: "from the handler" },
  });
});

test("what they throw fails the attempt: before the handler runs, or in the place of its error", async () => {
  outer = () => {
    throw new RetryAfter("2h", "not now");
  };
  expect(await attempted()).toMatchObject({ state: "scheduled", error: { message: "not now" } });
  expect(seen).toEqual([]);
  outer = async (_, next) => {
    await next().catch((error: Error) => {
      throw new Error(`${error.message}, told by outer`);
    });
  };
  expect((await attempted(true)).error?.message).toBe("from the handler, told by outer");
});

test("R112: one that leaves `next` out, or calls it twice, fails the attempt with its place", async () => {
  inner = () => undefined;
  expect((await attempted()).error).toMatchObject({
    code: "middleware_misused",
    message: expect.stringContaining("`use[1]` of the app returned without calling `next`"),
  });
  expect(seen).toEqual([]);
  inner = async (_, next) => {
    await next();
    await next();
  };
  expect((await attempted()).error?.message).toContain("called `next` twice");
  expect(seen).toEqual(["run job"]);
  for (const use of [5, [1], ["x"], [null]])
    expect(() => defineApp({ use: use as never })).toThrow("defineApp: expected `use");
});

test("one that does not wait, or never ends, is waited for to the deadline", async () => {
  inner = (_, next) => {
    next().catch(() => undefined);
  };
  expect(await attempted()).toMatchObject({ state: "done", result: { from: "handler" } });
  inner = () => new Promise(() => undefined);
  const { id } = await pawl.enqueue(brief, {});
  await until("it has timed out", async () => (await pawl.task(id))?.state === "dead");
  expect((await pawl.task(id))?.error?.code).toBe("handler_timeout");
});

const gate = () => {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
};

async function timedOut(id: string): Promise<void> {
  await until("it has timed out", async () => (await pawl.task(id))?.state === "dead");
  expect((await pawl.task(id))?.error?.code).toBe("handler_timeout");
}

test("R112: a handler never starts once its attempt has ended, however late `next` is called or the schema answers", async () => {
  const { opened, open } = gate();
  let late: Promise<unknown> | undefined;
  inner = async (_, next) => {
    await opened;
    late = next();
    await late;
  };
  const { id } = await pawl.enqueue(brief, {});
  await timedOut(id);
  open();
  await until("it goes on", () => late !== undefined);
  await expect(late).rejects.toMatchObject({ code: "handler_timeout" });

  inner = (_, next) => next();
  const schema = gate();
  // its worker may have it before this process hears that it is written
  const { id: parsed } = await pawl.transaction(async (tx) => {
    const enqueued = await pawl.enqueue(slowly, {}, { tx });
    parse = schema.opened;
    return enqueued;
  });
  await timedOut(parsed);
  schema.open();
  await parse;
  await new Promise(setImmediate);
  expect(seen).toEqual([]);
});

test("R112: `next` is refused once the function that got it has returned, and nobody has to hear that", async () => {
  let kept: (() => Promise<unknown>) | undefined;
  inner = (_, next) => {
    kept = next;
  };
  expect((await attempted()).error?.message).toContain("returned without calling `next`");
  await expect(kept?.()).rejects.toMatchObject({
    code: "middleware_misused",
    message: expect.stringContaining("`use[1]` of the app called `next` after it had returned"),
  });
  expect(kept?.()).toBeInstanceOf(Promise); // unheard, it does not end the process
  await new Promise(setImmediate);
  expect(seen).toEqual([]);
});

test("R69b: around each task of a batch", async () => {
  inner = ({ attempt, kind }, next) => {
    seen.push(`${kind} ${attempt}`);
    return next();
  };
  const tasks = await pawl.enqueueMany(many, [{}, {}, {}]);
  for (const { id } of tasks) await pawl.result(id);
  expect(seen.filter((one) => one === "many 1")).toHaveLength(3);
});

test("R69b: the handler of a batch finds in an AsyncLocalStorage what is of none of its tasks", async () => {
  inner = ({ taskId }, next) => tenant.run(`task ${taskId}`, next);
  const tasks = await pawl.enqueueMany(many, [{}, {}, {}]);
  for (const { id } of tasks) await pawl.result(id);
  expect(seen.length).toBeGreaterThan(0);
  for (const line of seen) expect(line).toMatch(/^run \d of undefined$/);
});

test("R113 R119: around deliveries; what has been delivered is observed, and an observer that throws changes nothing", async () => {
  const kinds: string[] = [];
  inner = ({ queue, attempt }, next) => {
    kinds.push(`${queue} ${attempt}`);
    return next();
  };
  const { id } = await pawl.record("a.b", { aggregate: ["x", 1], payload: {} });
  await until("it is delivered", async () => (await pawl.event(id))?.status === "published");
  expect(kinds).toEqual(["destination:inside 1"]);
  await until("its worker has heard that it is recorded", () => delivered.length > 0);
  expect(delivered).toEqual([
    {
      taskId: expect.stringMatching(/^\d+$/),
      queue: "destination:inside",
      kind: "delivery",
      attempt: 1,
      eventId: id,
      eventName: "a.b",
      destination: "inside",
    },
  ]);
});

test("R23: a run of a process goes on and ends as its steps say, whatever they keep to themselves or throw after it", async () => {
  outer = async (_, next) => {
    await next().catch((error: Error) => seen.push(error.message));
    throw new Error("too late");
  };
  const { id } = await pawl.start(waits, {});
  const state = async (run: string) => (await pawl.task(run))?.state;
  await until("it waits", async () => (await state(id)) === "parked");
  await pawl.signal(id, "word", {});
  await until("it has ended", async () => (await state(id)) === "done");
  const broken = await pawl.start(breaks, {});
  await until("it is in error", async () => (await state(broken.id)) === "dead");
  expect(seen).toContain("the step broke");
  expect((await pawl.task(broken.id))?.error?.message).toContain("the step broke");
});
