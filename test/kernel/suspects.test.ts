import { afterEach, expect, test, vi } from "vitest";
import { promote, rescue, type TurnRow } from "../../src/kernel/sql.ts";
import { Suspects, watchMs } from "../../src/kernel/suspects.ts";
import type { ClaimedTask } from "../../src/kernel/task.ts";
import type { Store } from "../../src/store/store.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore } from "../support/database.ts";
import {
  claimed,
  count,
  defineKinds,
  done,
  endLease,
  enqueueCount,
  failed,
  newWorker,
  sendTurn,
} from "../support/kernel.ts";

const LONG_MS = 300_000;
const SLOTS = 200;

afterEach(() => {
  vi.useRealTimers();
});

interface Running {
  readonly row: TurnRow;
  readonly claim: number;
  readonly since: number;
  readonly solo: boolean;
}

/** Workers of many slots, one after the other, in virtual time: each job takes 5 minutes, and one ends its worker at once. */
async function liveThrough(
  store: Store,
  clock: { advance(ms: number): Promise<void> },
  poison: string,
) {
  const isSolo = new Set(
    (await store.rows<{ id: number }>("select id from pawl.shard where solo")).map(({ id }) => id),
  );
  let now = 0;
  let crashes = 0;
  let isolatedMs: number | undefined;
  let worker = await newWorker(store);
  let claim = 0;
  let running: Running[] = [];
  const pass = async (ms: number) => {
    now += ms;
    await clock.advance(ms);
    await promote(store, 1_000);
  };
  const soloShard = async (row: TurnRow) => {
    const shard = row.shard_id ?? 0;
    if (!isSolo.has(shard)) {
      const [found] = await store.rows<{ solo: boolean }>(
        "select solo from pawl.shard where id = $1",
        [shard],
      );
      if (found?.solo === true) isSolo.add(shard);
    }
    return isSolo.has(shard);
  };
  while ((await count(store, "task")) > 0) {
    const watches = running
      .filter(({ solo }) => solo)
      .map(({ row, since }) => since + watchMs(row.attempt + 1))
      .filter((end) => end > now);
    claim += 1;
    const rows = await sendTurn(store, {
      worker,
      claim,
      limit: SLOTS - running.length,
      solo: watches.length === 0,
    });
    for (const row of rows) running.push({ row, claim, since: now, solo: await soloShard(row) });
    if (rows.some(({ id }) => id === poison)) {
      crashes += 1;
      await endLease(store, worker);
      await rescue(store);
      running = [];
      worker = await newWorker(store);
      await pass(10_000); // its lease
      const isDead = (await count(store, "dead")) > 0;
      if (isDead) isolatedMs ??= now;
      continue;
    }
    const ended = running.filter(({ since }) => since + LONG_MS <= now);
    running = running.filter((one) => !ended.includes(one));
    const outcomes = ended.map((one) => done(one.row, one.claim));
    const left = new Set(running.map((one) => one.claim));
    const gone = [...new Set(ended.map((one) => one.claim))].filter((no) => !left.has(no));
    await sendTurn(store, { worker, outcomes, gone });
    if (rows.length > 0 && !(rows.length === 1 && watches.length > 0)) continue;
    const next = [...watches, ...running.map(({ since }) => since + LONG_MS)];
    if (next.length > 0) await pass(Math.max(Math.min(...next) - now, 1));
    else await pass(1_000); // what waits behind a suspect is due
  }
  return { crashes, isolatedMs, doneMs: now };
}

test.each([
  { attempts: 4, reason: "attempts", crashes: 4 },
  { attempts: 30, reason: "crashed", crashes: 6 },
])(
  "R64: a deadly task among 100 innocents of 5 minutes that were lost with it twice is found with $attempts attempts, and all of them are done within the hour",
  async ({ attempts, reason, crashes }) => {
    const store = await freshStore();
    await defineKinds(store, {
      retry: { attempts, delays_ms: [1_000], jitter: 0, until_ms: null },
    });
    const ids = await enqueueCount(store, 101);
    const clock = await movableClock(store, { isSlow: true });
    const poison = ids[70] ?? "";
    const found = await liveThrough(store, clock, poison);
    expect(await store.rows("select id, reason from pawl.dead")).toEqual([{ id: poison, reason }]);
    expect(await count(store, "finished where outcome = 'done'")).toBe(100);
    expect(found.crashes).toBeLessThanOrEqual(crashes);
    console.log(
      `${attempts} attempts: found after ${found.crashes} crashes and ${(found.isolatedMs ?? 0) / 1000} s, all done after ${found.doneMs / 1000} s`,
    );
    expect(found.isolatedMs).toBeLessThan(10 * 60_000);
    expect(found.doneMs).toBeLessThan(60 * 60_000);
  },
);

test("R64: of what was lost twice the last that began comes first; any other end clears the suspicion", async () => {
  const store = await freshStore();
  await defineKinds(store, {
    retry: { attempts: 30, delays_ms: [0], jitter: 0, until_ms: null },
  });
  const clock = await movableClock(store, { isSlow: true });
  const ids = await enqueueCount(store, 3);
  for (let loss = 0; loss < 2; loss += 1) {
    const worker = await newWorker(store);
    for (const claim of [1, 2, 3]) {
      expect(await sendTurn(store, { worker, claim, limit: 1 })).toHaveLength(1);
      await clock.advance(1_000);
    }
    await endLease(store, worker);
    await rescue(store);
    await clock.advance(1_000);
    await promote(store, 10);
  }
  const worker = await newWorker(store);
  const order: string[] = [];
  for (const claim of [1, 2, 3]) {
    const [row] = await sendTurn(store, { worker, claim, limit: 1 });
    if (row === undefined) throw new Error("nothing claimed");
    order.push(row.id);
    await sendTurn(store, { worker, outcomes: [failed(row, claim)], gone: [claim] });
  }
  expect(order).toEqual(ids.toReversed());
  await clock.advance(1_000);
  await promote(store, 10);
  expect(await sendTurn(store, { worker, claim: 4, limit: 10 })).toHaveLength(3); // together again
  expect(await store.rows("select distinct losses from pawl.task")).toEqual([{ losses: 0 }]);
});

test("R64: a task that was set aside as crashed and is retried by a person stays suspected", async () => {
  const store = await freshStore();
  await defineKinds(store, {
    retry: { attempts: 30, delays_ms: [0], jitter: 0, until_ms: null },
  });
  const [id] = await enqueueCount(store, 1);
  const lose = async () => {
    const worker = await newWorker(store);
    const rows = await sendTurn(store, { worker, claim: 1, limit: 5 });
    expect(rows).toHaveLength(1);
    await endLease(store, worker);
    await rescue(store);
    await promote(store, 10);
  };
  for (let crash = 0; crash < 4; crash += 1) await lose();
  await store.rows("select pawl.retry_dead_v1(array[$1::bigint], 'test', null)", [id]);
  for (let crash = 0; crash < 3; crash += 1) await lose();
  expect(await store.rows("select reason, attempt from pawl.dead")).toEqual([
    { reason: "crashed", attempt: 3 },
  ]);
});

test("a suspect keeps the next one waiting until it ends, or has run long enough for its attempt", () => {
  vi.useFakeTimers();
  expect([1, 3, 4, 5].map(watchMs)).toEqual([Number.POSITIVE_INFINITY, 5_000, 30_000, 180_000]);
  expect(watchMs(32_000)).toBe(86_400_000);
  const cleared = vi.fn();
  const suspects = new Suspects(cleared);
  const task = (seq: string, attempt: number): ClaimedTask => ({
    ...claimed({ attempt: attempt - 1 } as TurnRow, 1),
    seq,
  });
  suspects.started(task("1", 3));
  vi.advanceTimersByTime(4_999);
  expect([suspects.isWatching, cleared.mock.calls.length]).toEqual([true, 0]);
  vi.advanceTimersByTime(1);
  expect([suspects.isWatching, cleared.mock.calls.length]).toEqual([false, 1]);
  suspects.started(task("2", 4));
  suspects.ended(task("1", 3));
  expect(suspects.isWatching).toBe(true);
  suspects.ended(task("2", 4));
  vi.advanceTimersByTime(100_000);
  expect([suspects.isWatching, cleared.mock.calls.length]).toEqual([false, 1]);
});
