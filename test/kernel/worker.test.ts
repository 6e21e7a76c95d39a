import { setImmediate as tick } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { type AppOptions, connect, defineApp, defineJob, type Pawl } from "../../src/index.ts";
import { makePartitions } from "../../src/kernel/sql.ts";
import { settleAndClaim } from "../../src/kernel/turn.ts";
import { movableClock } from "../support/clock.ts";
import { freshDatabase, freshStore, rawClient } from "../support/database.ts";
import {
  count,
  defineKinds,
  done,
  enqueueCount,
  enqueueSql,
  failed,
  newWorker,
  sendTurn,
  waitForLocks,
} from "../support/kernel.ts";
import { until } from "../support/until.ts";

async function open(options: AppOptions): Promise<Pawl> {
  const { url } = await freshDatabase({ longLeases: true });
  return connect(defineApp(options), { databaseUrl: url, log: silentLogger });
}

/** A job whose runs wait until they are let go. */
function gated(name = "gated") {
  const waiting: (() => void)[] = [];
  const aborted: unknown[] = [];
  const job = defineJob({
    name,
    input: z.object({ n: z.number() }),
    run: ({ n }, { signal }) =>
      new Promise<number>((resolve) => {
        waiting.push(() => resolve(n));
        signal.addEventListener("abort", () => aborted.push(signal.reason));
      }),
  });
  return { job, waiting, aborted, letGo: () => waiting.splice(0).map((go) => go()) };
}

/** For hundreds of turns, one after the other. */
const PATIENCE_MS = 300_000;

const numbers = (length: number) => Array.from({ length }, (_, n) => ({ n }));

describe("a worker that stops", () => {
  test("R57: it finishes what runs and claims no more", async () => {
    const { job, waiting, letGo } = gated();
    const pawl = await open({ jobs: [job] });
    await pawl.enqueueMany(job, numbers(10));
    const worker = await pawl.work({ concurrency: 4 });
    await until("four tasks run", () => waiting.length === 4);
    const stopped = worker.stop("1m");
    await tick();
    letGo();
    expect(await stopped).toEqual({ givenBack: 0 });
    expect(await count(pawl.store, "finished")).toBe(4);
    expect(await count(pawl.store, "task")).toBe(6);
    expect(await count(pawl.store, "claim")).toBe(0);
    expect(await pawl.store.rows("select ended_why, running from pawl.worker")).toEqual([
      { ended_why: "stopped", running: 0 },
    ]);
    await pawl.close();
  });

  test("R100: one that registers again after a lost lease ends that registration too", async () => {
    const pawl = await open({ jobs: [gated().job] });
    const { store } = pawl;
    const worker = await pawl.work({ concurrency: 1 });
    const blocker = await rawClient(store.url);
    await blocker.query(`select pg_advisory_lock(1);
      create function held() returns trigger language plpgsql as
        'begin perform pg_advisory_xact_lock(1); return new; end';
      create trigger held before insert on pawl.worker for each row execute function held();
      update pawl.worker set lease_until = pawl.now() - interval '1 minute'`);
    await until("it registers again", async () => {
      const { rows } = await blocker.query(
        `select from pg_locks l join pg_database d on d.oid = l.database
          where d.datname = current_database() and l.locktype = 'advisory' and l.objid = 1 and l.objsubid = 1 and not l.granted`,
      );
      return rows.length > 0;
    });
    const stopped = worker.stop();
    expect(await Promise.race([stopped, tick("not yet")])).toBe("not yet");
    await blocker.query("select pg_advisory_unlock(1)");
    await stopped;
    // the one that was lost is for whoever rescues next, which may not have been this worker
    expect(await store.rows("select ended_why from pawl.worker order by id offset 1")).toEqual([
      { ended_why: "stopped" },
    ]);
    await pawl.close();
  });

  test("R57: after the grace it gives back what still runs, uncounted, and its signal aborts", async () => {
    const { job, waiting, aborted, letGo } = gated();
    const pawl = await open({ jobs: [job] });
    const ids = (await pawl.enqueueMany(job, numbers(5))).map((one) => one.id);
    const worker = await pawl.work({ concurrency: 3 });
    await until("three tasks run", () => waiting.length === 3);
    expect(await worker.stop("30ms")).toEqual({ givenBack: 3 });
    expect(aborted).toMatchObject(Array(3).fill({ code: "worker_stopping" }));
    letGo(); // the handlers end after all: nothing of that may be written
    await tick();
    const left = await pawl.store.rows("select id, attempt, state from pawl.task order by id");
    expect(left).toEqual(ids.map((id) => ({ id, attempt: 0, state: "ready" })));
    expect(await count(pawl.store, "attempt")).toBe(0);

    await pawl.work({ concurrency: 5 });
    await until("all run again", () => waiting.length === 5);
    letGo();
    await until("all are done", async () => (await count(pawl.store, "finished")) === 5);
    expect(await pawl.store.rows("select distinct attempt from pawl.finished")).toEqual([
      { attempt: 1 },
    ]);
    await pawl.close();
  });

  test("a limit of tasks is not exceeded with several turns under way", async () => {
    const jobs = ["a", "b", "c", "d"].map((name) =>
      defineJob({ name, input: z.unknown(), run: () => undefined }),
    );
    const pawl = await open({ jobs });
    for (const job of jobs) await pawl.enqueueMany(job, numbers(10));
    const worker = await pawl.work({ concurrency: 300, turns: 3, limit: 5 });
    await worker.stopWanted;
    await worker.stop();
    expect(await count(pawl.store, "finished")).toBe(5);
    expect(await count(pawl.store, "task")).toBe(35);
    await pawl.close();
  });

  test("R61: all workers are asked to stop from anywhere", async () => {
    const { job } = gated();
    const pawl = await open({ jobs: [job] });
    const workers = [await pawl.work(), await pawl.work()];
    expect(await pawl.stopWorkers()).toBe(2);
    await Promise.all(workers.map((worker) => worker.stopWanted));
    await pawl.close();
  });
});

describe("a worker that runs", () => {
  test("says soon that it is idle, so that new work is announced to it", async () => {
    const { job } = gated();
    const pawl = await open({ jobs: [job] });
    await pawl.work();
    await until("its row says so", async () => {
      const rows = await pawl.store.rows("select 1 from pawl.worker where idle");
      return rows.length === 1;
    });
    await pawl.close();
  });

  test("never more at once than its concurrency, and the free slots go to what comes", async () => {
    const { job, waiting, letGo } = gated();
    const pawl = await open({ jobs: [job] });
    await pawl.work({ concurrency: 7 });
    await pawl.enqueueMany(job, numbers(30));
    let seen = 0;
    while (seen < 30) {
      const wanted = Math.min(7, 30 - seen);
      await until(`${wanted} run`, () => waiting.length === wanted);
      const [claimed] = await pawl.store.rows<{ n: number }>(
        `select count(*)::int as n from pawl.task t
          where exists (select 1 from pawl.claim c where t.seq = any (c.seqs))`,
      );
      expect(claimed?.n).toBeLessThanOrEqual(7); // no prefetch: claimed is running
      seen += letGo().length;
    }
    await until("all are done", async () => (await count(pawl.store, "finished")) === 30);
    await pawl.close();
  });

  test("it takes from its queues in the order given, and by priority within each", async () => {
    const order: string[] = [];
    const job = (name: string, queue: string) =>
      defineJob({
        name,
        queue,
        input: z.object({ what: z.string() }),
        run: ({ what }) => void order.push(what),
      });
    const [low, high, rest] = [job("l", "low"), job("h", "high"), job("n", "normal")];
    const pawl = await open({ jobs: [low, high, rest] });
    for (const [one, priority] of [
      [rest, 1],
      [low, 3],
      [low, 0],
      [high, 3],
      [high, 0],
    ] as const) {
      await pawl.enqueue(one, { what: `${one.name}${priority}` }, { priority });
    }
    await pawl.work({ queues: ["low", "high"], concurrency: 1 });
    await until("four tasks ran", () => order.length === 4);
    expect(order).toEqual(["l0", "l3", "h0", "h3"]);
    expect((await pawl.stats()).queues.find((row) => row.queue === "normal")?.ready).toBe(1);
    await pawl.close();
  });

  test("first in, first out within a queue and priority, also with several slots", async () => {
    const order: number[] = [];
    const job = defineJob({
      name: "job",
      input: z.object({ n: z.number() }),
      run: ({ n }) => void order.push(n),
    });
    const pawl = await open({ jobs: [job] });
    await pawl.enqueueMany(job, numbers(500));
    await pawl.work({ concurrency: 1, turns: 1 });
    await until("all ran", () => order.length === 500, PATIENCE_MS);
    expect(order).toEqual(numbers(500).map(({ n }) => n));
    await pawl.close();
  });

  test("1,000 open streams are one look, and each one's task runs", async () => {
    const jobs = Array.from({ length: 1_000 }, (_, i) =>
      defineJob({ name: `job${i}`, input: z.unknown(), run: () => i }),
    );
    const pawl = await open({ jobs });
    await enqueueSql(
      pawl.store,
      jobs.map((job) => ({ kind: job.name })),
    );
    await pawl.work({ concurrency: 50 });
    const isDone = async () => (await count(pawl.store, "finished")) === 1_000;
    await until("all are done", isDone, PATIENCE_MS);
    const wrong = await pawl.store.rows(
      `select f.id from pawl.finished f join pawl.stream st on st.id = f.stream_id
        where st.kind <> 'job' || (f.result #>> '{}')`,
    );
    expect(wrong).toEqual([]);
    await pawl.close();
  });
});

describe("an outcome that cannot be stored", () => {
  test("is found among its neighbours, which are settled as they are; it is settled without its result", async () => {
    const store = await freshStore();
    await defineKinds(store);
    await enqueueCount(store, 40);
    const worker = await newWorker(store);
    const rows = await sendTurn(store, { worker, claim: 1, limit: 30 });
    const poison = rows[17];
    const unlucky = rows[18];
    const outcomes = rows.map((row) => {
      if (row === poison) return done(row, 1, '{"half": "\\ud800"}');
      if (row !== unlucky) return done(row, 1, `{"seq": ${row.seq}}`);
      const outcome = failed(row, 1);
      return { ...outcome, error: { name: "Error", message: "a\u0000b" } };
    });
    const request = { worker, outcomes, gone: [1], claim: 2, limit: 5, solo: true };
    const [shard] = await store.rows<{ id: number }>(
      "select id from pawl.shard where priority = 1",
    );
    const next = await settleAndClaim(store, { ...request, shards: [shard?.id ?? 0] });
    expect(next).toHaveLength(5); // nothing refused, and the next claim came with it
    const results = await store.rows<{ id: string; result: object }>(
      "select id, result from pawl.finished order by id",
    );
    expect(results).toHaveLength(29);
    expect(results.find((row) => row.id === poison?.id)?.result).toHaveProperty("$notStored");
    expect(results.filter((row) => "seq" in row.result)).toHaveLength(28);
    expect(await store.rows("select task_id, outcome from pawl.attempt")).toEqual([
      { task_id: unlucky?.id, outcome: "retry" },
    ]);
    expect(await store.rows("select no::int from pawl.claim")).toEqual([{ no: 2 }]);
  });
});

describe("what people see", () => {
  test("counts are exact up to 10,000 and marked as estimates beyond", async () => {
    const store = await freshStore();
    await defineKinds(store);
    const stats = async () => (await store.rows("select * from pawl.stats_v1()"))[0];
    await enqueueCount(store, 9_990);
    await enqueueCount(store, 10, { delay_ms: 60_000 });
    const worker = await newWorker(store);
    await sendTurn(store, { worker, claim: 1, limit: 90 });
    expect(await stats()).toMatchObject({
      ready: "9900",
      scheduled: "10",
      running: "90",
      is_estimate: false,
    });
    await enqueueCount(store, 10_000);
    expect(await stats()).toMatchObject({ scheduled: "10", running: "90", is_estimate: true });
    expect(Number(((await stats()) as { ready: string }).ready)).toBeGreaterThan(9_900);
  });

  test("partitions of history are made ahead by the first worker, once", async () => {
    const { job } = gated();
    const pawl = await open({ jobs: [job] });
    await pawl.store.rows("drop table pawl.finished_default"); // nothing may need it
    await waitForLocks(pawl.store, "make_missing_partitions_v1");
    const clock = await movableClock(pawl.store, { isSlow: true });
    await clock.advance(40 * 86_400_000); // no day that the template has, whenever it was made
    const made = async () => {
      const [row] = await pawl.store.rows<{ days: number; indexes: number }>(
        `select (select count(*)::int from pg_inherits where inhparent = 'pawl.finished'::regclass) as days,
                (select count(*)::int from pg_indexes where schemaname = 'pawl' and tablename ~ '^finished_\\d+') as indexes`,
      );
      return [row?.days ?? 0, row?.indexes ?? 0] as const;
    };
    const [days, indexes] = await made();
    await Promise.all([makePartitions(pawl.store, 9), makePartitions(pawl.store, 9)]);
    expect(await makePartitions(pawl.store, 9)).toBe(0);
    expect(await made()).toEqual([days + 10, indexes + 20]);
    await pawl.close();
  });

  test("a claim's lock is not held by people who look", async () => {
    const store = await freshStore();
    await defineKinds(store);
    await enqueueCount(store, 5);
    const reader = await rawClient(store.url);
    await reader.query("begin");
    await reader.query("select * from pawl.stats_v1()");
    await reader.query("select * from pawl.tasks_v1(null, null, null, 10)");
    const worker = await newWorker(store);
    expect(await sendTurn(store, { worker, claim: 1, limit: 5 })).toHaveLength(5);
    await reader.query("commit");
  });
});
