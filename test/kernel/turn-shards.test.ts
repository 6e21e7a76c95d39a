import { beforeEach, expect, test } from "vitest";
import { register, rescue } from "../../src/kernel/sql.ts";
import type { Store } from "../../src/store/store.ts";
import { freshStore, openTransaction } from "../support/database.ts";
import {
  count,
  defineKinds,
  done,
  endLease,
  enqueueCount,
  enqueueSql,
  idsOf,
  newWorker,
  sendTurn,
  wantedShards,
} from "../support/kernel.ts";

let store: Store;

beforeEach(async () => {
  store = await freshStore({ max: 4 });
});

test("a turn claims from one shard after the other until it has enough, the better first", async () => {
  await defineKinds(store, { kinds: ["k", "l"] });
  const tasks = [2, 0, 1, 2, 0].map((priority, n) => ({
    kind: n % 2 === 0 ? "k" : "l",
    priority,
  }));
  const [low1, first1, mid, low2, first2] = (await enqueueSql(store, tasks)).map((row) => row.id);
  const worker = await newWorker(store);
  const rows = await sendTurn(store, { worker, claim: 1, limit: 4 });
  expect(new Set(idsOf(rows).slice(0, 2))).toEqual(new Set([first1, first2]));
  expect(idsOf(rows)[2]).toBe(mid);
  expect([low1, low2]).toContain(idsOf(rows)[3]);
  expect(await count(store, "claim")).toBe(4);

  const rest = await sendTurn(store, {
    worker,
    claim: 2,
    limit: 4,
    outcomes: rows.map((row) => done(row, 1)),
    gone: [1],
  });
  expect(rest).toHaveLength(1);
  expect(await count(store, "claim")).toBe(1);
  expect(await count(store, "finished")).toBe(4);
});

test("of what was lost twice with workers a turn takes one, however many shards hold some", async () => {
  await defineKinds(store, { kinds: ["k", "l"] });
  await enqueueSql(store, [{ kind: "k" }, { kind: "l" }]);
  for (let loss = 0; loss < 2; loss += 1) {
    const lost = await newWorker(store);
    expect(await sendTurn(store, { worker: lost, claim: 1, limit: 10 })).toHaveLength(2);
    await endLease(store, lost);
    await rescue(store);
    await store.rows("update pawl.task set state = 'ready', seq = nextval('pawl.seq')");
  }
  const worker = await newWorker(store);
  expect(await sendTurn(store, { worker, claim: 1, limit: 10 })).toHaveLength(1);
});

test("a rescue after a claim from several shards gives each of its tasks back, once", async () => {
  await defineKinds(store, { kinds: ["k"], shards: 4 });
  const all = await enqueueCount(store, 40);
  const worker = await newWorker(store);
  expect(await sendTurn(store, { worker, claim: 1, limit: 40 })).toHaveLength(40);
  await endLease(store, worker);
  expect(await rescue(store)).toEqual([{ worker_id: worker, tasks: 40 }]);
  const rows = await store.rows<{ id: string; attempt: number }>(
    "select id, attempt from pawl.task order by id",
  );
  expect(rows.map((row) => row.id)).toEqual(all);
  expect(new Set(rows.map((row) => row.attempt))).toEqual(new Set([1]));
});

test("a priority that was never used is not looked at, and found as soon as it is", async () => {
  await defineKinds(store);
  await enqueueSql(store, [{ kind: "k", priority: 3 }]);
  expect(await wantedShards(store)).toEqual([]);
  await store.rows("select pawl.use_shards_v1()");
  expect(await wantedShards(store)).toHaveLength(1);
});

test("R113: who holds the row of a queue holds up no turn that claims from many of its shards, whatever its limits", async () => {
  const rate = { limit: 100_000, per_ms: 1_000, burst: 1_000 };
  await register(store, {
    application: "test",
    revision: 0,
    payload_bytes_max: 1_048_576,
    queues: [{ name: "q", retry: null, timeout_ms: null, shards: 4, concurrency: 100, rate }],
    streams: [{ queue: "q", kind: "k", version: 1, retry: null, timeout_ms: null }],
  });
  await enqueueCount(store, 40);
  const worker = await newWorker(store);
  const holder = await openTransaction(store.url);
  await holder.query("select from pawl.queue for update");
  await holder.query("select from pawl.stream for update");
  expect(await sendTurn(store, { worker, claim: 1, limit: 40 })).toHaveLength(40);
  expect(await count(store, "claim")).toBe(4);
});
