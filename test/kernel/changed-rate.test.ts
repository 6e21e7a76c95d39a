/** A rate that changes while tasks wait for it. */

import { beforeEach, expect, test } from "vitest";
import { type QueueRow, register } from "../../src/kernel/sql.ts";
import type { Store } from "../../src/store/store.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore } from "../support/database.ts";
import { enqueueSql, LONG_LEASE, newWorker, sendTurn } from "../support/kernel.ts";

const HOUR_MS = 3_600_000;
const SLOW = { limit: 1, per_ms: HOUR_MS, burst: 1 };
const QUICK = { limit: 10, per_ms: 1_000, burst: 2 };
const GAP_MS = 100;

let store: Store;
let worker: number;
let clock: Awaited<ReturnType<typeof movableClock>>;
let claim = 0;

beforeEach(async () => {
  store = await freshStore({ max: 4 });
  await store.rows(LONG_LEASE);
  worker = await newWorker(store);
  clock = await movableClock(store, { isStill: true }); // a millisecond before its time nothing starts
});

async function limit(limits: Partial<QueueRow>): Promise<void> {
  await register(store, {
    application: "test",
    revision: 0,
    payload_bytes_max: 1_048_576,
    queues: [{ name: "q", retry: null, timeout_ms: null, shards: 1, ...limits }],
    streams: [{ queue: "q", kind: "k", version: 1, retry: null, timeout_ms: null }],
  });
}

async function started(): Promise<number> {
  await store.rows("select pawl.admit_v1(500, null, null)");
  claim += 1;
  const rows = await sendTurn(store, { worker, claim, limit: 100 });
  return rows.filter(({ id }) => id !== null).length;
}

for (const name of ["rate", "kind_rate", "key_rate"] as const) {
  test(`R71: what a slower \`${name}\` has put off for an hour starts at the new one, and not faster`, async () => {
    await limit({ [name]: SLOW });
    const tasks = Array.from({ length: 6 }, () => ({ kind: "k", limit_key: "a" }));
    await enqueueSql(store, tasks);
    expect(await started()).toBe(1);
    await clock.advance(GAP_MS);
    expect(await started()).toBe(0);
    await limit({ [name]: QUICK });
    expect(await started()).toBe(0);
    for (let n = 0; n < 2; n += 1) {
      await clock.advance(GAP_MS);
      expect(await started()).toBe(1);
    }
    await clock.advance(60_000);
    expect(await started()).toBe(QUICK.burst);
  });

  test(`R71: a \`${name}\` that is registered again, or slower, lets nothing start earlier`, async () => {
    await limit({ [name]: QUICK });
    const tasks = Array.from({ length: 6 }, () => ({ kind: "k", limit_key: "a" }));
    await enqueueSql(store, tasks);
    expect(await started()).toBe(QUICK.burst);
    await limit({ [name]: QUICK });
    expect(await started()).toBe(0);
    await clock.advance(GAP_MS - 1);
    await limit({ [name]: QUICK });
    expect(await started()).toBe(0);
    await clock.advance(1);
    expect(await started()).toBe(1);
    await limit({ [name]: SLOW });
    await clock.advance(2 * GAP_MS);
    expect(await started()).toBe(1);
    await clock.advance(HOUR_MS - 10 * GAP_MS);
    expect(await started()).toBe(0);
  });
}
