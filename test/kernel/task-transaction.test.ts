import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineJob,
  type Pawl,
  type TaskContext,
  type WorkOptions,
} from "../../src/index.ts";
import { attemptsOf } from "../../src/kernel/operator/sql.ts";
import { type CommitProxy, commitProxy, type Fate } from "../support/commit-proxy.ts";
import { freshDatabase } from "../support/database.ts";
import { endLease, LONG_LEASE } from "../support/kernel.ts";
import { until } from "../support/until.ts";

type Run = (context: TaskContext, pawl: Pawl) => unknown;

interface Bench {
  pawl: Pawl;
  proxy: CommitProxy;
  /** Enqueues a task of the job and answers its id. */
  enqueue: (options?: { maxAttempts?: number }) => Promise<string>;
  /** What the task wrote that was committed. */
  effects: () => Promise<number[]>;
  ended: (id: string) => Promise<{ state: string; attempt: number }>;
}

/** A worker whose one job is `run`, behind a proxy. */
async function bench(run: Run, timeout = "5m", work: WorkOptions = {}): Promise<Bench> {
  const proxy = await commitProxy((await freshDatabase()).url);
  const job = defineJob({
    name: "job",
    input: z.object({}),
    timeout,
    retry: { attempts: 3, delays: ["10ms"], jitter: 0 },
    run: (_, context) => run(context, pawl),
  });
  const app = defineApp({ jobs: [job, other] });
  const pawl: Pawl = await connect(app, { databaseUrl: proxy.url, log: silentLogger });
  onTestFinished(() => pawl.close()); // not at the end of the file: each has a pool of connections
  await pawl.store.rows("create table effect (attempt int not null check (attempt > 0))");
  await pawl.store.rows(LONG_LEASE); // a lease that a busy machine lost would be one more try
  await pawl.work({ queues: ["normal"], concurrency: 2, ...work });
  return {
    pawl,
    proxy,
    enqueue: async (options) => (await pawl.enqueue(job, {}, options)).id,
    effects: async () =>
      (await pawl.store.rows<{ attempt: number }>("select attempt from effect order by 1")).map(
        (row) => row.attempt,
      ),
    ended: (id) =>
      until(`task ${id} has ended`, async () => {
        const task = await pawl.task(id);
        return task !== undefined && ["done", "dead", "cancelled"].includes(task.state) && task;
      }),
  };
}

/** Nobody runs its tasks. */
const other = defineJob({ name: "other", queue: "low", input: z.object({}), run: () => undefined });
const effect = ({ tx, attempt }: TaskContext, n = attempt) =>
  tx.query("insert into effect values ($1)", [n]);

/** For a timeout that a machine may outlast by standing still: such a try is one more. */
const MANY_TRIES = { maxAttempts: 30 };

async function outcomes(pawl: Pawl, id: string): Promise<string[]> {
  return (await attemptsOf(pawl.store, id)).map((row) => row.outcome);
}

describe("a COMMIT whose answer is lost is looked up in history:", () => {
  test.each<{ fate: Fate; runs: number; attempts: string[] }>([
    { fate: "answer lost", runs: 1, attempts: [] },
    { fate: "never arrives", runs: 2, attempts: ["recoverable"] },
  ])(
    "$fate: run $runs times, one effect, one attempt counted",
    async ({ fate, runs, attempts }) => {
      let ran = 0;
      const { pawl, proxy, enqueue, effects, ended } = await bench(async (context) => {
        ran += 1;
        await effect(context);
        return ran;
      });
      proxy.arm(fate);
      const id = await enqueue({ maxAttempts: 1 });
      expect(await ended(id)).toMatchObject({ state: "done", attempt: 1, result: runs });
      expect(ran).toBe(runs);
      expect(await effects()).toEqual([1]);
      expect(await outcomes(pawl, id)).toEqual(attempts);
    },
  );

  test("as long as the server may still get it the task stays taken, and it counts when it comes", async () => {
    let ran = 0;
    const { pawl, proxy, enqueue, effects, ended } = await bench(async (context) => {
      ran += 1;
      await effect(context);
    });
    proxy.arm("arrives late");
    const id = await enqueue({ maxAttempts: 1 });
    await until("it was looked up a few times", () => proxy.passed("settled_v1") >= 3);
    expect(await pawl.task(id)).toMatchObject({ state: "running", attempt: 1 });
    expect(await effects()).toEqual([]);
    proxy.release();
    expect(await ended(id)).toMatchObject({ state: "done", attempt: 1 });
    expect(ran).toBe(1);
    expect(await effects()).toEqual([1]);
  });
});

describe("what a handler writes through context.tx commits with its task, or not at all:", () => {
  test("a throw rolls back, and only the try that ends well leaves its effect", async () => {
    const { pawl, enqueue, effects, ended } = await bench(async (context) => {
      await effect(context);
      if (context.attempt < 3) throw new Error("no");
      return "well";
    });
    const id = await enqueue();
    expect(await ended(id)).toMatchObject({ state: "done", attempt: 3, result: "well" });
    expect(await effects()).toEqual([3]);
    expect(await outcomes(pawl, id)).toEqual(["retry", "retry"]);
  });

  test("a failed statement whose error is swallowed undoes the whole try, and the task says why", async () => {
    const { pawl, enqueue, effects, ended } = await bench(async (context) => {
      await effect(context);
      if (context.attempt === 1) await effect(context, -1).catch(() => undefined);
    });
    const id = await enqueue();
    expect(await ended(id)).toMatchObject({ state: "done", attempt: 2 });
    expect(await effects()).toEqual([2]);
    const [first] = await attemptsOf(pawl.store, id);
    expect(first).toMatchObject({ outcome: "retry" });
    expect(first?.error?.message).toContain("its error was swallowed, so nothing was committed");
  });

  test("a failed statement behind a savepoint undoes only itself", async () => {
    const { enqueue, effects, ended } = await bench(async (context) => {
      await effect(context);
      await context.tx.query("savepoint before");
      await effect(context, -1).catch(() => context.tx.query("rollback to savepoint before"));
      await effect(context, 7);
    });
    expect(await ended(await enqueue())).toMatchObject({ state: "done", attempt: 1 });
    expect(await effects()).toEqual([1, 7]);
  });

  test("a constraint that fails only at COMMIT fails the try", async () => {
    const { pawl, enqueue, effects, ended } = await bench(async (context) => {
      await effect(context);
      if (context.attempt === 1) await effect(context); // twice the same
    });
    await pawl.store.rows(
      "alter table effect add constraint once unique (attempt) deferrable initially deferred",
    );
    const id = await enqueue();
    expect(await ended(id)).toMatchObject({ state: "done", attempt: 2 });
    expect(await effects()).toEqual([2]);
    expect(await outcomes(pawl, id)).toEqual(["retry"]);
  });

  test("a timeout rolls back, even in the middle of a statement", async () => {
    const { pawl, enqueue, effects, ended } = await bench(async (context) => {
      await effect(context);
      if (context.attempt === 1) await context.tx.query("select pg_sleep(60)");
      if (context.attempt === 2) await new Promise(() => undefined);
    }, "2s");
    const id = await enqueue(MANY_TRIES);
    const { state, attempt } = await ended(id);
    expect(state).toBe("done");
    expect(attempt).toBeGreaterThan(2);
    expect(await effects()).toEqual([attempt]);
    expect(await outcomes(pawl, id)).toEqual(Array(attempt - 1).fill("timeout"));
  });

  test("tasks and events that it makes through its transaction are there only if it ended well", async () => {
    const { pawl, enqueue, ended } = await bench(async ({ tx, attempt }, app) => {
      await app.enqueue(other, {}, { tx, meta: { attempt } });
      await app.record("order.placed", { aggregate: ["order", attempt], payload: {} }, { tx });
      if (attempt === 1) throw new Error("no");
    });
    expect(await ended(await enqueue())).toMatchObject({ state: "done", attempt: 2 });
    expect(await pawl.store.rows("select meta from pawl.task")).toEqual([{ meta: { attempt: 2 } }]);
    expect(await pawl.store.rows("select aggregate_id from pawl.event")).toEqual([
      { aggregate_id: "2" },
    ]);
  });

  test("a worker that lost its lease cannot commit: what it wrote is gone, and the other try's effect is the only one", async () => {
    let go: (() => void) | undefined;
    const { pawl, enqueue, effects, ended } = await bench(async (context) => {
      await effect(context);
      if (context.attempt > 1) return;
      await new Promise<void>((resolve) => {
        go = resolve;
      });
    });
    const id = await enqueue();
    await until("it runs", () => go !== undefined);
    const [{ worker_id } = { worker_id: null }] = await pawl.store.rows<{ worker_id: number }>(
      "select worker_id from pawl.claim",
    );
    await endLease(pawl.store, worker_id ?? 0);
    go?.();
    expect(await ended(id)).toMatchObject({ state: "done", attempt: 2 });
    expect(await effects()).toEqual([2]);
    expect(await outcomes(pawl, id)).toEqual(["lost"]);
  });
});

describe("context.tx after the handler's end", () => {
  test.each([
    ["begun before", true],
    ["never begun", false],
  ])("is refused when it was %s, and writes nothing", async (_, isBegun) => {
    let late: Promise<unknown> | undefined;
    let isOver: (() => void) | undefined;
    const over = new Promise<void>((resolve) => {
      isOver = resolve;
    });
    const { enqueue, effects, ended } = await bench(async (context) => {
      const { tx } = context;
      if (isBegun) await effect(context);
      late = over.then(() => tx.query("insert into effect values (99)"));
      late.catch(() => undefined);
    });
    expect(await ended(await enqueue())).toMatchObject({ state: "done", attempt: 1 });
    isOver?.();
    await expect(late).rejects.toMatchObject({ code: "not_a_transaction" });
    expect(await effects()).toEqual(isBegun ? [1] : []);
  });
});

describe("handlers with a transaction open at once", () => {
  test("are no more than `transactions`; the others wait for their turn", async () => {
    let [open, most] = [0, 0];
    const { pawl, enqueue, effects, ended } = await bench(
      async (context) => {
        await effect(context);
        open += 1;
        most = Math.max(most, open);
        await until("another has one open too", () => most > 1);
        await context.tx.query("select pg_sleep(0.02)");
        open -= 1;
      },
      "5m",
      { concurrency: 8, transactions: 2 },
    );
    const ids = await Promise.all(Array.from({ length: 16 }, () => enqueue()));
    for (const id of ids) expect(await ended(id)).toMatchObject({ state: "done", attempt: 1 });
    expect(most).toBe(2);
    expect(await effects()).toHaveLength(16);
    // the turn after the last commit lets go of the claim
    await until(
      "no claim is left",
      async () => (await pawl.store.rows("select from pawl.claim")).length === 0,
    );
  });

  test("that time out, holding one or waiting for one, leave it to the next", async () => {
    const { pawl, enqueue, effects, ended } = await bench(
      async (context) => {
        await effect(context);
        if (context.attempt === 1) await new Promise(() => undefined);
      },
      "2s",
      { concurrency: 8, transactions: 1 },
    );
    const ids = await Promise.all(Array.from({ length: 4 }, () => enqueue(MANY_TRIES)));
    for (const id of ids) expect(await ended(id)).toMatchObject({ state: "done" });
    expect((await effects()).length).toBe(4);
    await until("no transaction is open any more", async () => {
      const open = await pawl.store.rows(
        "select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'",
      );
      return open.length === 0;
    });
  });
});
