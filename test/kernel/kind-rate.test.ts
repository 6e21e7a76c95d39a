import { beforeAll, expect, test } from "vitest";
import { type QueueRow, register } from "../../src/kernel/sql.ts";
import type { Store } from "../../src/store/store.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore } from "../support/database.ts";
import { enqueueSql, LONG_LEASE, newWorker, sendTurn } from "../support/kernel.ts";

let store: Store;
let clock: { advance(ms: number): Promise<void> };
let claim = 0;

beforeAll(async () => {
  store = await freshStore({ max: 4 });
  await store.rows(LONG_LEASE);
  clock = await movableClock(store, { isSlow: true });
});

async function limited(queue: Partial<QueueRow>): Promise<void> {
  await register(store, {
    application: "test",
    revision: 0,
    payload_bytes_max: 1_048_576,
    queues: [{ name: "q", retry: null, timeout_ms: null, shards: 2, ...queue }],
    streams: ["a", "b"].map((kind) => ({
      queue: "q",
      kind,
      version: 1,
      retry: null,
      timeout_ms: null,
    })),
  });
}

/** How many of each kind start, if two workers claim at once. */
async function started(workers: readonly number[]): Promise<Record<string, number>> {
  const turns = await Promise.all(
    workers.map((worker) => {
      claim += 1;
      return sendTurn(store, { worker, claim, limit: 100, outcomes: [] });
    }),
  );
  const counts: Record<string, number> = {};
  for (const row of turns.flat()) {
    const kind = String(row.payload);
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

test("R71: a rate per kind holds for each kind of its own, over all workers and shards, and all of it is used", async () => {
  await limited({ kind_rate: { limit: 10, per_ms: 1_000, burst: 3 } });
  const tasks = ["a", "b"].flatMap((kind) =>
    Array.from({ length: 40 }, () => ({ kind, payload: kind })),
  );
  await enqueueSql(store, tasks);
  const workers = [await newWorker(store), await newWorker(store)];
  let first: Record<string, number> = {};
  for (let n = 0; n < 4; n += 1) {
    const more = await started(workers);
    first = Object.fromEntries(
      ["a", "b"].map((kind) => [kind, (first[kind] ?? 0) + (more[kind] ?? 0)]),
    );
  }
  expect(first).toEqual({ a: 3, b: 3 }); // its burst
  const [held] = await store.rows<{ reason: string; detail: unknown }>(
    "select reason, detail from pawl.gate_v1(array(select id from pawl.stream where kind = 'a'))",
  );
  expect(held).toEqual({
    reason: "kind_rate",
    detail: { limit: 10, per_ms: 1_000, burst: 3 },
  });
  const total: Record<string, number> = { a: 0, b: 0 };
  for (let n = 0; n < 20; n += 1) {
    await clock.advance(100);
    const more = await started(workers);
    for (const kind of ["a", "b"]) {
      expect(more[kind] ?? 0).toBeLessThanOrEqual(2);
      total[kind] = (total[kind] ?? 0) + (more[kind] ?? 0);
    }
  }
  for (const kind of ["a", "b"]) {
    expect(total[kind]).toBeGreaterThanOrEqual(20);
    expect(total[kind]).toBeLessThanOrEqual(21);
  }
});

test("R71: without the rate everything of the kind may start again", async () => {
  await limited({});
  const more = await started([await newWorker(store)]);
  expect((more.a ?? 0) + (more.b ?? 0)).toBeGreaterThan(20);
});
