import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineJob,
  type Pawl,
  Snooze,
  Unrecoverable,
} from "../../src/index.ts";
import { removeDead, retryDead } from "../../src/kernel/operator/dead/sql.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";

const OPERATOR = { by: "ada", why: "test" };

/** How the next try of a task of `keyed` goes; set by the tests. */
let next: () => unknown = () => undefined;

const keyedJob = defineJob({
  name: "keyed",
  queue: "strict",
  input: z.object({ order: z.string().optional(), lane: z.string().optional() }),
  retry: { attempts: 2, delays: ["1h"], jitter: 0 },
  key: ({ order }) => order,
  lane: ({ lane }) => lane,
  run: () => next(),
});
const otherKind = defineJob({ ...optionsOf("other-kind", "strict") });
const otherQueue = defineJob({ ...optionsOf("other-queue", "lenient") });

function optionsOf(name: string, queue: string) {
  return {
    name,
    queue,
    input: z.object({ order: z.string(), lane: z.string().optional() }),
    key: ({ order }: { order: string }) => order,
    lane: ({ lane }: { lane?: string | undefined }) => lane,
    run: () => next(),
  };
}

async function freshPawl(): Promise<Pawl> {
  const { url } = await freshDatabase({ longLeases: true });
  const app = defineApp({
    queues: { strict: { onDead: "block" }, lenient: { onDead: "skip" } },
    jobs: [keyedJob, otherKind, otherQueue],
  });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  next = () => undefined;
  return pawl;
}

function comes(pawl: Pawl, id: string, state: string) {
  return until(`task ${id} is ${state}`, async () => {
    const task = await pawl.task(id);
    return task?.state === state && task;
  });
}

describe("a key is unique while its task lives", () => {
  test("R70a R106: waiting, running, snoozed or waiting for a retry it answers duplicate with the first id; ended, it is free", async () => {
    const pawl = await freshPawl();
    const again = () => pawl.enqueue(keyedJob, { order: "42" });
    const first = await again();
    expect(first.outcome).toBe("created");
    const duplicate = { id: first.id, outcome: "duplicate" };
    expect(await again()).toEqual(duplicate);
    for (const input of [{ order: "43" }, {}, {}])
      expect((await pawl.enqueue(keyedJob, input, { delay: "1h" })).outcome).toBe("created");

    const whileRunning: unknown[] = [];
    next = async () => {
      whileRunning.push(await again());
      throw new Snooze("1h");
    };
    const worker = await pawl.work({ queues: ["strict"], concurrency: 1, limit: 1 });
    await comes(pawl, first.id, "scheduled");
    expect(whileRunning).toEqual([duplicate]);
    expect(await again()).toEqual(duplicate);
    await worker.stop();

    next = () => Promise.reject(new Error("try later"));
    await pawl.reschedule(first.id, { delay: 0 });
    const second = await pawl.work({ queues: ["strict"], concurrency: 1, limit: 1 });
    await until(
      "it failed",
      async () => (await pawl.task(first.id))?.error?.message === "try later",
    );
    expect(await again()).toEqual(duplicate);
    await second.stop();

    expect(await pawl.cancel(first.id)).toBe("cancelled");
    const anew = await again();
    expect(anew.outcome).toBe("created");
    expect(anew.id).not.toBe(first.id);
    next = () => undefined;
    await pawl.work({ queues: ["strict"] });
    await comes(pawl, anew.id, "done");
    expect((await again()).outcome).toBe("created");
  });

  test("R70a: a dead letter whose key was taken answers duplicate and stays dead, until the other one has ended", async () => {
    const pawl = await freshPawl();
    next = () => {
      throw new Unrecoverable("no");
    };
    const { id } = await pawl.enqueue(keyedJob, { order: "42", lane: "a" });
    const worker = await pawl.work();
    await comes(pawl, id, "dead");
    const taker = await pawl.enqueue(keyedJob, { order: "42" }, { delay: "1h" });
    expect(taker.outcome).toBe("created");
    expect(await retryDead(pawl.store, [id], OPERATOR)).toEqual([{ id, outcome: "duplicate" }]);
    expect(await pawl.task(id)).toMatchObject({ state: "dead", reason: "unrecoverable" });
    const behind = await pawl.enqueue(keyedJob, { lane: "a" });
    await comes(pawl, behind.id, "waiting"); // it still blocks its lane
    next = () => undefined;
    await pawl.cancel(taker.id);
    expect(await retryDead(pawl.store, [id], OPERATOR)).toEqual([{ id, outcome: "retried" }]);
    await comes(pawl, id, "done");
    await comes(pawl, behind.id, "done");
    await worker.stop();
  });

  test("R70a: many at once, one by one or in a call, make one task, and all learn its id", async () => {
    const pawl = await freshPawl();
    const one = () => pawl.enqueue(keyedJob, { order: "42" });
    const many = () => pawl.enqueueMany(keyedJob, [{ order: "42" }, { order: "42" }]);
    const answers = await Promise.all(Array.from({ length: 10 }, () => [one(), many()]).flat());
    const flat = answers.flat();
    expect(new Set(flat.map((answer) => answer.id)).size).toBe(1);
    expect(flat.filter((answer) => answer.outcome === "created")).toHaveLength(1);
    expect(await pawl.store.rows("select count(*)::int from pawl.task")).toEqual([{ count: 1 }]);
  });

  test("the same key in another kind or queue is another one", async () => {
    const pawl = await freshPawl();
    for (const job of [keyedJob, otherKind, otherQueue])
      expect((await pawl.enqueue(job, { order: "42" })).outcome).toBe("created");
    const explicit = await pawl.enqueue(otherKind, { order: "1" }, { key: "42" });
    expect(explicit.outcome).toBe("duplicate");
  });
});

describe("two connections with one key", () => {
  test.each([
    { end: "commit", outcome: "duplicate" },
    { end: "rollback", outcome: "created" },
  ])(
    "R70a: the second waits for the first's $end and answers $outcome",
    async ({ end, outcome }) => {
      const pawl = await freshPawl();
      const client = await rawClient(pawl.store.url);
      await client.query("begin");
      const first = await pawl.enqueue(keyedJob, { order: "42" }, { tx: client });
      const second = pawl.enqueue(keyedJob, { order: "42" });
      await until("the second waits", async () => {
        const rows = await pawl.store.rows(
          "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        );
        return rows.length > 0;
      });
      await client.query(end);
      expect((await second).outcome).toBe(outcome);
      expect((await second).id === first.id).toBe(outcome === "duplicate");
    },
  );

  test("many keys in opposite orders do not deadlock", async () => {
    const pawl = await freshPawl();
    const keys = Array.from({ length: 50 }, (_, n) => ({ order: String(n) }));
    for (let round = 0; round < 10; round += 1) {
      const calls = [keys, keys.toReversed(), keys, keys.toReversed()];
      const answers = await Promise.all(calls.map((inputs) => pawl.enqueueMany(keyedJob, inputs)));
      const created = answers.flat().filter((answer) => answer.outcome === "created");
      expect(created).toHaveLength(50);
      await pawl.store.rows("delete from pawl.task");
    }
  });
});

describe("R106: onDead is the queue's", () => {
  test.each([
    { job: keyedJob, onDead: "block" },
    { job: otherQueue, onDead: "skip" },
  ])("$onDead: what is behind a dead letter of its lane", async ({ job, onDead }) => {
    const pawl = await freshPawl();
    let runs = 0;
    next = () => {
      runs += 1;
      if (runs === 1) throw new Unrecoverable("no");
    };
    const head = await pawl.enqueue(job, { order: "1", lane: "a" });
    const behind = await pawl.enqueue(job, { order: "2", lane: "a" });
    await pawl.work();
    await comes(pawl, head.id, "dead");
    const elsewhere = await pawl.enqueue(job, { order: "3", lane: "b" });
    await comes(pawl, elsewhere.id, "done");
    await comes(pawl, behind.id, onDead === "block" ? "waiting" : "done");
    await removeDead(pawl.store, [head.id], OPERATOR);
    await comes(pawl, behind.id, "done");
  });
});

describe("more keys than one statement takes", () => {
  const orders = (from: number, to: number, more: object = {}) =>
    Array.from({ length: to - from }, (_, n) => ({
      order: `k${String(from + n).padStart(4, "0")}`,
      ...more,
    }));

  async function waiting(pawl: Pawl, count: number): Promise<void> {
    await until(`${count} wait`, async () => {
      const rows = await pawl.store.rows(
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return rows.length >= count;
    });
  }

  /** Each call has what the other one comes to last, once `holder` lets the first go on. */
  async function opposed(
    pawl: Pawl,
    call: (inputs: ReturnType<typeof orders>) => Promise<unknown>,
    more: object = {},
  ): Promise<unknown[]> {
    const holder = await rawClient(pawl.store.url);
    await holder.query("begin");
    await pawl.enqueue(keyedJob, { order: "k1000" }, { tx: holder });
    const first = call(orders(0, 2_001, more));
    first.catch(() => undefined); // awaited below
    await waiting(pawl, 1);
    const second = call([...orders(1_001, 2_001, more), ...orders(0, 1_000, more)]);
    second.catch(() => undefined);
    await waiting(pawl, 2);
    await holder.query("rollback");
    return Promise.all([first, second]);
  }

  test("R70a: the same keys in opposite orders do not deadlock, in the callers' transactions too, and the answers keep the order of the inputs", async () => {
    const pawl = await freshPawl();
    await opposed(pawl, async (inputs) => {
      const client = await rawClient(pawl.store.url);
      await client.query("begin");
      const answers = await pawl.enqueueMany(keyedJob, inputs, { tx: client });
      await client.query("commit");
      const rows = await pawl.store.rows<{ id: string; order: string }>(
        "select id::text, payload ->> 'order' as order from pawl.task",
      );
      const orderOf = new Map(rows.map(({ id, order }) => [id, order]));
      expect(answers.map(({ id }) => orderOf.get(id))).toEqual(inputs.map(({ order }) => order));
    });
  });

  test("R70a: with lanes, whose order stands, a transaction of ours that lost a deadlock is repeated", async () => {
    const pawl = await freshPawl();
    const outcomes: string[] = [];
    await opposed(
      pawl,
      async (inputs) => {
        const answers = await pawl.enqueueMany(keyedJob, inputs);
        outcomes.push(...answers.map(({ outcome }) => outcome));
      },
      { lane: "one" },
    );
    expect(outcomes.filter((one) => one === "created")).toHaveLength(2_001);
    expect(outcomes.filter((one) => one === "duplicate")).toHaveLength(2_000);
  });
});
