import { expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob } from "../../src/index.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import {
  count,
  endLease,
  enqueueSql,
  newWorker,
  sendTurn,
  waitForLocks,
} from "../support/kernel.ts";
import { until } from "../support/until.ts";

test("R100: a lease that a turn and a heartbeat find lost at once is one loss: one new registration, the outcome counted as refused", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  let end: (() => void) | undefined;
  const job = defineJob({
    name: "job",
    input: z.object({}),
    run: (_i, context) =>
      context.attempt > 1 ||
      new Promise<void>((resolve) => {
        end = resolve;
      }),
  });
  const pawl = await connect(defineApp({ jobs: [job] }), { databaseUrl: url, log: silentLogger });
  await waitForLocks(pawl.store, "turn_v1", "heartbeat_v1");
  await pawl.enqueue(job, {});
  await pawl.work({ concurrency: 3 });
  await until("the handler runs", () => end !== undefined);
  const [worker] = await pawl.store.rows<{ id: number }>("select id from pawl.worker");
  const holder = await rawClient(url);
  await holder.query("select pg_advisory_lock(pawl.worker_locks(), $1)", [worker?.id]);
  end?.();
  await until("the turn and the heartbeat wait for the worker's lock", async () => {
    const rows = await pawl.store.rows(
      "select 1 from pg_stat_activity where datname = current_database() and wait_event = 'advisory'",
    );
    return rows.length >= 2; // one that was cut off after its deadline still waits at the server
  });
  await endLease(pawl.store, worker?.id ?? 0);
  await holder.query("select pg_advisory_unlock(pawl.worker_locks(), $1)", [worker?.id]);
  await until(
    "the task is done by a new registration",
    async () => (await count(pawl.store, "finished")) === 1,
  );
  expect(
    await pawl.store.rows("select refused::int from pawl.worker where id > $1 order by id", [
      worker?.id,
    ]),
  ).toEqual([{ refused: 1 }]);
  await pawl.close();
});

test("R64: of what was lost twice a worker runs one task at a time, also with several turns under way", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  let running = 0;
  let most = 0;
  const one = (name: string) =>
    defineJob({
      name,
      input: z.unknown(),
      retry: { attempts: 9, delays: ["1ms"], jitter: 0 },
      run: async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setTimeout(resolve, 20));
        running -= 1;
      },
    });
  const jobs = ["a", "b", "c", "d"].map(one);
  const pawl = await connect(defineApp({ jobs }), { databaseUrl: url, log: silentLogger });
  for (const job of jobs)
    await pawl.enqueueMany(
      job,
      Array.from({ length: 10 }, () => ({})),
    );
  for (let loss = 0; loss < 2; loss += 1) {
    const dead = await newWorker(pawl.store);
    for (const claim of [1, 2, 3, 4])
      await sendTurn(pawl.store, { worker: dead, claim, limit: 100 });
    await endLease(pawl.store, dead);
    await pawl.store.rows("select pawl.rescue_v1()");
    await pawl.store.rows("select pawl.promote_v1(100)");
  }
  expect(await count(pawl.store, "claim")).toBe(0);
  await pawl.work({ concurrency: 300, turns: 3 });
  await until("all done", async () => (await count(pawl.store, "finished")) === 40);
  expect(most).toBe(1);
  await pawl.close();
});

test("tasks of a job that moved to another queue still run", async () => {
  const { url } = await freshDatabase();
  const make = (queue: string) =>
    defineJob({ name: "job", queue, input: z.unknown(), run: () => undefined });
  const old = make("normal");
  const first = await connect(defineApp({ jobs: [old] }), { databaseUrl: url, log: silentLogger });
  await first.enqueue(old, 1);
  await first.close();
  const pawl = await connect(defineApp({ revision: 1, jobs: [make("high")] }), {
    databaseUrl: url,
    log: silentLogger,
  });
  await pawl.work();
  await until("it is done", async () => (await count(pawl.store, "finished")) === 1);
  await pawl.close();
});

test("R65: a kind that is enqueued through SQL into another queue than its job's runs there", async () => {
  const { url } = await freshDatabase();
  const job = defineJob({ name: "job", input: z.unknown(), run: () => undefined });
  const pawl = await connect(defineApp({ jobs: [job] }), { databaseUrl: url, log: silentLogger });
  await pawl.work();
  await enqueueSql(pawl.store, [{ kind: "job", queue: "low" }]);
  await until("it is done", async () => (await count(pawl.store, "finished")) === 1);
  await pawl.close();
});
