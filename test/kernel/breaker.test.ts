import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl } from "../../src/index.ts";
import { reportAttempts } from "../../src/kernel/breaker/sql.ts";
import { register } from "../../src/kernel/sql.ts";
import type { Store } from "../../src/store/store.ts";
import { movableClock } from "../support/clock.ts";
import { freshDatabase, freshStore } from "../support/database.ts";
import {
  count,
  done,
  endLease,
  enqueueCount,
  failed,
  newWorker,
  QUICK_RETRY,
  sendTurn,
  waitForLocks,
  wantedShards,
} from "../support/kernel.ts";
import { until } from "../support/until.ts";

const POLICY = {
  failures: 4,
  ratio: 0.5,
  window_ms: 10_000,
  open_ms: 30_000,
  open_ms_max: 100_000,
};

/** One stream with a breaker, a worker, and a clock that can be moved. */
async function guarded(tasks = 200) {
  const store = await freshStore();
  await waitForLocks(store, "turn_v1", "report_v1");
  await register(store, {
    application: "test",
    revision: 0,
    payload_bytes_max: 1_048_576,
    queues: [{ name: "q", retry: QUICK_RETRY, timeout_ms: null, shards: 1, breaker: POLICY }],
    streams: [{ queue: "q", kind: "k", version: 1, retry: null, timeout_ms: null }],
  });
  await enqueueCount(store, tasks);
  const clock = await movableClock(store, { isSlow: true });
  const say = (ok: number, bad: number, holdMs: number | null = null) =>
    reportAttempts(store, [
      { stream: 1, ok, failed: bad, hold_ms: holdMs, error: { name: "Error", message: "503" } },
    ]);
  return { store, clock, say, worker: await newWorker(store) };
}

async function breaker(store: Store) {
  const [row] = await store.rows<{ phase: string; starts: number | null; open_s: number | null }>(
    `select phase, starts, round(extract(epoch from until - pawl.now()))::int as open_s from pawl.breaker`,
  );
  return row;
}

/** How many of at most 50 a claim is given now. */
async function claimable(store: Store, worker: number, claim: number) {
  return sendTurn(store, { worker, claim, limit: 50 });
}

describe("a breaker", () => {
  test("R96: opens when enough attempts, and enough of all, have failed; not before, and not by many good ones", async () => {
    const { store, say } = await guarded();
    await say(0, 3);
    expect(await breaker(store)).toMatchObject({ phase: "closed" });
    await say(20, 0);
    await say(0, 10);
    expect(await breaker(store)).toMatchObject({ phase: "closed" }); // 13 of 33
    expect(await say(0, 8)).toMatchObject([{ phase: "open" }]);
    expect(await breaker(store)).toMatchObject({ phase: "open", open_s: 30 });
  });

  test("R96: failures that are older than the window do not count", async () => {
    const { store, clock, say } = await guarded();
    await say(0, 3);
    await clock.advance(POLICY.window_ms + 1);
    await say(0, 3);
    expect(await breaker(store)).toMatchObject({ phase: "closed" });
    await clock.advance(POLICY.window_ms + 1);
    await say(1, 0);
    expect(await breaker(store)).toBeUndefined();
  });

  test("R96: open, nothing of its stream is claimed and no attempt is used up; then one as a probe, however many workers ask", async () => {
    const { store, clock, say, worker } = await guarded();
    await say(0, 4);
    expect(await wantedShards(store)).toEqual([]);
    expect(await claimable(store, worker, 1)).toEqual([]);
    await clock.advance(POLICY.open_ms);
    expect(await wantedShards(store)).toHaveLength(1);
    const workers = await Promise.all([1, 2, 3].map(() => newWorker(store)));
    const claims = await Promise.all(workers.map((one) => claimable(store, one, 1)));
    expect(claims.flat()).toHaveLength(1);
    expect(await claimable(store, worker, 2)).toEqual([]);
    const [row] = await store.rows("select max(attempt)::int as most from pawl.task");
    expect(row).toEqual({ most: 0 });
  });

  test("R96: a failed probe keeps it open for twice the time, up to the longest", async () => {
    const { store, clock, say } = await guarded();
    await say(0, 4);
    const times: (number | null | undefined)[] = [];
    for (let probe = 1; probe <= 3; probe += 1) {
      await clock.advance(1_000_000);
      await say(0, 1);
      times.push((await breaker(store))?.open_s);
    }
    expect(times).toEqual([60, 100, 100]);
  });

  test("R96: after a good probe it closes slowly: 2 at once, 4, 8 … and then any number", async () => {
    const { store, clock, say, worker } = await guarded();
    await say(0, 4);
    await clock.advance(POLICY.open_ms);
    await say(1, 0);
    expect(await breaker(store)).toMatchObject({ phase: "recovering", starts: 2 });
    const [first, second] = await claimable(store, worker, 1);
    expect(second).toBeDefined();
    expect(await claimable(store, worker, 2)).toEqual([]);
    await sendTurn(store, {
      worker,
      outcomes: [first, second].flatMap((row) => (row === undefined ? [] : [done(row, 1)])),
      gone: [1],
    });
    const limits: (number | null | undefined)[] = [];
    for (let good = 2; good <= 64; good *= 2) {
      await say(good, 0);
      limits.push((await breaker(store))?.starts);
    }
    expect(limits).toEqual([4, 8, 16, 32, 64, undefined]);
    expect(await claimable(store, worker, 3)).toHaveLength(50);
  });

  test("R96: where little is done, a minute without a failure closes it", async () => {
    const { store, clock, say } = await guarded();
    await say(0, 4);
    await clock.advance(POLICY.open_ms);
    await say(1, 0);
    await clock.advance(60_000);
    expect(await say(1, 0)).toMatchObject([{ phase: "closed" }]);
    expect(await breaker(store)).toBeUndefined();
  });

  test("R96: while it closes slowly, failures open it again", async () => {
    const { store, clock, say } = await guarded();
    await say(0, 4);
    await clock.advance(POLICY.open_ms);
    await say(1, 0);
    await say(0, 2);
    expect(await breaker(store)).toMatchObject({ phase: "open", open_s: 60 });
  });

  test("R96: a probe whose worker dies makes room for another", async () => {
    const { store, clock, say, worker } = await guarded();
    await say(0, 4);
    await clock.advance(POLICY.open_ms);
    expect(await claimable(store, worker, 1)).toHaveLength(1);
    await endLease(store, worker);
    const other = await newWorker(store);
    expect(await claimable(store, other, 1)).toEqual([]);
    await store.rows("select pawl.rescue_v1()");
    expect(await claimable(store, other, 2)).toHaveLength(1);
  });

  test("R96: a receiver that asks for a pause gets it", async () => {
    const { store, say } = await guarded();
    await say(0, 0, 90_000);
    expect(await breaker(store)).toMatchObject({ phase: "open", open_s: 90 });
  });

  test("a stream without a breaker has none, whatever fails", async () => {
    const { store, say } = await guarded();
    await store.rows("update pawl.queue set breaker = null");
    await say(0, 1_000);
    expect(await count(store, "breaker")).toBe(0);
  });

  test("R71: a kind is limited beside others of its queue, exactly", async () => {
    const store = await freshStore();
    await register(store, {
      application: "test",
      revision: 0,
      payload_bytes_max: 1_048_576,
      queues: [
        {
          name: "q",
          retry: QUICK_RETRY,
          timeout_ms: null,
          shards: 1,
          concurrency: 7,
          kind_concurrency: 3,
        },
      ],
      streams: ["a", "b", "c"].map((kind) => ({
        queue: "q",
        kind,
        version: 1,
        retry: null,
        timeout_ms: null,
      })),
    });
    for (const kind of ["a", "b", "c"]) await enqueueCount(store, 10, { kind });
    const worker = await newWorker(store);
    const rows = await sendTurn(store, { worker, claim: 1, limit: 50 });
    const kinds = await store.rows<{ kind: string; n: number }>(
      `select st.kind, cardinality(c.seqs) as n from pawl.claim c join pawl.stream st on st.id = c.stream_id order by kind`,
    );
    expect(kinds.map((one) => one.n)).toEqual([3, 3, 1]);
    expect(rows).toHaveLength(7);
    const first = rows[0];
    if (first === undefined) throw new Error("nothing was claimed");
    await sendTurn(store, { worker, outcomes: [failed(first, 1)], gone: [] });
    expect(await wantedShards(store)).toHaveLength(2); // b is still full
  });
});

const SLOTS = 5;

async function opened(pawl: Pawl): Promise<Pawl> {
  onTestFinished(() => pawl.close());
  return pawl;
}

test("R96: with a worker: the failing kind is paused and says so, the others go on, and it recovers by itself", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  let isDown = true;
  let bad = 0;
  let good = 0;
  const input = z.object({});
  const call = defineJob({
    name: "call",
    input,
    queue: "calls",
    retry: { attempts: 50, delay: "10ms", factor: 1 },
    run: () => {
      if (isDown) {
        bad += 1;
        throw new Error("the other side is down");
      }
    },
  });
  const other = defineJob({
    name: "other",
    input,
    queue: "calls",
    run: () => {
      good += 1;
    },
  });
  const app = defineApp({
    queues: { calls: { breaker: { failures: 5, open: "500ms" } } },
    jobs: [call, other],
  });
  const pawl = await opened(await connect(app, { databaseUrl: url, log: silentLogger }));
  const { id } = await pawl.enqueue(call, {});
  await pawl.enqueueMany(call, Array(40).fill({}));
  await pawl.work({ concurrency: SLOTS });
  const why = await until("it is held", async () => {
    const found = await pawl.why(id);
    return found?.line.includes("breaker") === true && found;
  });
  expect(why.line).toMatch(/breaker .*the other side is down/);
  const before = bad;
  await pawl.enqueueMany(other, Array(20).fill({}));
  await until("the other kind went on", () => good === 20);
  const [open] = await pawl.store.rows<{ trips: number }>("select trips from pawl.breaker");
  // what was claimed when it opened, and probes: each is followed by a trip, the last one's may be yet to come
  expect(bad - before).toBeLessThanOrEqual(SLOTS + (open?.trips ?? 0));
  isDown = false;
  await until("all are done", async () => (await count(pawl.store, "task")) === 0);
  // what a breaker is told is behind the tasks: they may all have run as probes by now
  await until(
    "it is not open any more",
    async () => (await count(pawl.store, "breaker where phase = 'open'")) === 0,
  );
  expect(await count(pawl.store, "dead")).toBe(0);
});
