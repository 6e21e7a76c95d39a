import type pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob } from "../../src/index.ts";
import { freshDatabase, openTransaction, rawClient } from "../support/database.ts";
import { LONG_LEASE } from "../support/kernel.ts";
import { until } from "../support/until.ts";

/** Rows that a person may hold in a transaction, each of something that belongs to one task that runs or to its worker. */
const HELD: Record<string, [hold: string, seen?: string]> = {
  "the row of a task that ends": [
    "select from pawl.task where payload ->> 'name' = 'held' for update",
    "its row",
  ],
  "the next task of its lane": [
    "select from pawl.task where payload ->> 'name' = 'next' for update",
  ],
  "the counts of its minute": ["select from pawl.tally for update"],
  "the claim of a task that ends": ["select from pawl.claim for update"],
};

/** Rows of one queue that a person may hold: the tasks of other queues know nothing of them. */
const HELD_OF_QUEUE: Record<string, [hold: string, seen?: string]> = {
  "the limits of a queue": ["select from pawl.queue_limit for update", "the limits of its queue"],
  "the breaker of a queue": ["select from pawl.breaker for update", "the breaker of its kind"],
  "a queue's own row": ["select from pawl.queue where name = 'limited' for update"],
  "the streams of a queue": [
    "select from pawl.stream where queue_id = (select id from pawl.queue where name = 'limited') for update",
  ],
  "the shards of a queue": [
    "select from pawl.shard where queue_id = (select id from pawl.queue where name = 'limited') for update",
    "the shard that it lies in",
  ],
};

async function clockOf(client: pg.Client): Promise<string> {
  const { rows } = await client.query("select clock_timestamp()::text as now");
  return rows[0].now;
}

/** By a heartbeat that began after it. */
async function hasBeatenSince(client: pg.Client, time: string): Promise<boolean> {
  const { rowCount } = await client.query("select from pawl.worker where heartbeat_at > $1", [
    time,
  ]);
  return rowCount === 1;
}

test.each(Object.entries(HELD))(
  "R113: %s is held by hand: the others of the worker go on, its lease too, and it is recorded when it is let go",
  async (_, [hold, seen]) => {
    const { url } = await freshDatabase();
    const ends = new Map<string, () => void>();
    const job = defineJob({
      name: "job",
      input: z.object({ name: z.string().optional() }),
      run: ({ name }) =>
        name === undefined ? undefined : new Promise<void>((resolve) => ends.set(name, resolve)),
    });
    const pawl = await connect(defineApp({ jobs: [job] }), {
      databaseUrl: url,
      log: silentLogger,
    });
    onTestFinished(() => pawl.close());
    const direct = await rawClient(url);
    await pawl.store.rows(LONG_LEASE); // it is seen below that it is renewed
    const worker = await pawl.work({ concurrency: 8 });
    await pawl.enqueue(job, {});
    const finished = async () => (await direct.query("select from pawl.finished")).rows;
    await until("the first is done", async () => (await finished()).length === 1);
    const { id } = await pawl.enqueue(job, { name: "held" }, { lane: "a" });
    await pawl.enqueue(job, { name: "next" }, { lane: "a" });
    await until("it runs", () => ends.has("held"));
    await until("the next waits", async () => {
      const { rowCount } = await direct.query("select from pawl.task where state = 'waiting'");
      return rowCount === 1;
    });
    const holder = await openTransaction(url);
    await holder.query(hold);
    const heldAt = await clockOf(direct);
    ends.get("held")?.();
    await pawl.enqueueMany(
      job,
      Array.from({ length: 100 }, () => ({})),
    );
    await until("the others are done", async () => (await finished()).length >= 101);
    await until("its lease is renewed", () => hasBeatenSince(direct, heldAt));
    const { rows: pids } = await holder.query("select pg_backend_pid() as pid");
    if (seen !== undefined) {
      await until("why names who holds it", async () => {
        const line = (await pawl.why(id))?.line ?? "";
        return line.includes(`database session ${pids[0].pid} (`) && line.includes(`on ${seen}`);
      });
    }
    await holder.query("rollback");
    await until("the next of its lane runs", () => ends.has("next"));
    ends.get("next")?.();
    await until("all are done", async () => (await finished()).length === 103);
    expect((await pawl.task(id))?.attempt).toBe(1);
    expect(await worker.stop()).toEqual({ givenBack: 0 });
    const { rows } = await direct.query("select ended_why from pawl.worker");
    expect(rows).toEqual([{ ended_why: "stopped" }]);
  },
);

test("R98: a row of one lost worker's task is held by hand: the tasks of the other lost workers are rescued", async () => {
  const { url } = await freshDatabase();
  const direct = await rawClient(url);
  const job = defineJob({
    name: "job",
    input: z.object({ name: z.string().optional() }),
    run: () => undefined,
  });
  const pawl = await connect(defineApp({ jobs: [job] }), { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  for (const name of ["held", "free"]) {
    await pawl.enqueue(job, { name });
    const { rows } = await direct.query<{ id: number }>(
      `select pawl.start_worker_v1('{"host": "h", "pid": 1, "application": "a", "revision": 0, "queues": [], "concurrency": 1}') as id`,
    );
    await direct.query(
      `select pawl.turn_v1($1, '{}', '{}', '{}', '{}', null, '{}', 1, 1, array(select id from pawl.shard), false)`,
      [rows[0]?.id],
    );
  }
  await direct.query("update pawl.worker set lease_until = pawl.now() - interval '1 minute'");
  const holder = await openTransaction(url);
  await holder.query("select from pawl.task where payload ->> 'name' = 'held' for update");
  const { rows } = await direct.query("select tasks from pawl.rescue_v1()");
  expect(rows).toEqual([{ tasks: 1 }]);
  await holder.query("rollback");
  const again = await direct.query("select tasks from pawl.rescue_v1()");
  expect(again.rows).toEqual([{ tasks: 1 }]);
});

test.each(Object.entries(HELD_OF_QUEUE))(
  "R113: %s is held by hand: the other queues of the worker go on, its lease too, and its tasks run when it is let go",
  async (_, [hold, seen]) => {
    const { url } = await freshDatabase();
    const input = z.object({});
    const limited = defineJob({ name: "limited", queue: "limited", input, run: () => undefined });
    const free = defineJob({ name: "free", queue: "free", input, run: () => undefined });
    const queues = { limited: { concurrency: 2, breaker: { failures: 1 } }, free: {} };
    const pawl = await connect(defineApp({ jobs: [limited, free], queues }), {
      databaseUrl: url,
      log: silentLogger,
    });
    onTestFinished(() => pawl.close());
    const direct = await rawClient(url);
    await direct.query(
      `insert into pawl.breaker (stream_id, phase, starts)
       select st.id, 'recovering', 2 from pawl.stream st join pawl.queue q on q.id = st.queue_id where q.name = 'limited'`,
    );
    await pawl.store.rows(LONG_LEASE);
    const holder = await openTransaction(url);
    await holder.query(hold);
    const some = (length: number) => Array.from({ length }, () => ({}));
    const [first] = await pawl.enqueueMany(limited, some(10));
    const worker = await pawl.work({ concurrency: 8 });
    await pawl.enqueueMany(free, some(100));
    const heldAt = await clockOf(direct);
    const finished = async (queue: string) => {
      const { rowCount } = await direct.query(
        "select from pawl.finished f join pawl.stream st on st.id = f.stream_id join pawl.queue q on q.id = st.queue_id where q.name = $1",
        [queue],
      );
      return rowCount;
    };
    await until("the others are done", async () => (await finished("free")) === 100);
    await until("its lease is renewed", () => hasBeatenSince(direct, heldAt));
    if (seen !== undefined) {
      await until("why names who holds it", async () => {
        const line = (await pawl.why(first?.id ?? ""))?.line ?? "";
        return line.includes("database session ") && line.includes(`on ${seen}`);
      });
    }
    await holder.query("commit");
    await until("all are done", async () => (await finished("limited")) === 10);
    await worker.stop();
    const { rows } = await direct.query("select ended_why from pawl.worker");
    expect(rows).toEqual([{ ended_why: "stopped" }]);
  },
);

test("R113: the gate is held by hand: what runs is recorded, its worker keeps its lease, and claims again when it is let go", async () => {
  const { url } = await freshDatabase();
  const ends: (() => void)[] = [];
  const job = defineJob({
    name: "job",
    input: z.object({}),
    run: () => new Promise<void>((resolve) => ends.push(resolve)),
  });
  const pawl = await connect(defineApp({ jobs: [job] }), { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  const direct = await rawClient(url);
  await pawl.store.rows(LONG_LEASE);
  await pawl.enqueueMany(job, [{}, {}, {}]);
  const worker = await pawl.work({ concurrency: 8 });
  await until("they run", () => ends.length === 3);
  const holder = await openTransaction(url);
  await holder.query("select pawl.off_v1('all', 'somebody', 'thinks about it', null)");
  const heldAt = await clockOf(direct);
  await pawl.enqueueMany(job, [{}, {}]);
  for (const end of ends.splice(0)) end();
  const finished = async () => (await direct.query("select from pawl.finished")).rowCount;
  await until("they are recorded", async () => (await finished()) === 3);
  await until("its lease is renewed", () => hasBeatenSince(direct, heldAt));
  await holder.query("rollback");
  await until("the others run", () => ends.length === 2);
  for (const end of ends) end();
  await worker.stop();
  const { rows } = await direct.query("select ended_why from pawl.worker");
  expect(rows).toEqual([{ ended_why: "stopped" }]);
});
