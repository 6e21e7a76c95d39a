import type pg from "pg";
import { describe, expect, test } from "vitest";
import { writeGroups } from "../../src/kernel/groups/sql.ts";
import { register, sortLanes, type TurnRow } from "../../src/kernel/sql.ts";
import type { Store } from "../../src/store/store.ts";
import { freshStore, rawClient } from "../support/database.ts";
import {
  count,
  defineKinds,
  done,
  enqueueCount,
  enqueueSql,
  executorOn,
  newWorker,
  QUICK_RETRY,
  sendTurn,
  waitForLocks,
} from "../support/kernel.ts";
import { until } from "../support/until.ts";

/** Two workers, each with a connection of its own, and somebody who holds a lock. */
interface Race {
  store: Store;
  first: pg.Client;
  second: pg.Client;
  workers: readonly [number, number];
  /** Resolves when so many sessions wait for a lock. */
  waiting: (sessions: number) => Promise<unknown>;
}

async function race(limits: { concurrency?: number } = {}): Promise<Race> {
  const store = await freshStore();
  await waitForLocks(store, "turn_v1");
  if (limits.concurrency === undefined) await defineKinds(store);
  else {
    await register(store, {
      application: "test",
      revision: 0,
      payload_bytes_max: 1_048_576,
      queues: [{ name: "q", retry: QUICK_RETRY, timeout_ms: null, shards: 1, ...limits }],
      streams: [{ queue: "q", kind: "k", version: 1, retry: null, timeout_ms: null }],
    });
  }
  const [first, second] = [await rawClient(store.url), await rawClient(store.url)];
  return {
    store,
    first,
    second,
    workers: [await newWorker(store), await newWorker(store)],
    waiting: (sessions) =>
      until(`${sessions} sessions wait for a lock`, async () => {
        const rows = await store.rows(
          "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        );
        return rows.length === sessions;
      }),
  };
}

const claim = (client: pg.Client, worker: number): Promise<TurnRow[]> =>
  sendTurn(executorOn(client), { worker, claim: 1, limit: 5 });

describe("a switch and a claim at the same moment", () => {
  test("R103a: a claim that is not committed yet is waited for, so that off returns after it", async () => {
    const { store, first, second, workers, waiting } = await race();
    await enqueueCount(store, 10);
    await first.query("begin");
    expect(await claim(first, workers[0])).toHaveLength(5);
    let hasReturned = false;
    const off = second.query("select pawl.off_v1('all', 'ada', 'a drill', null)").then(() => {
      hasReturned = true;
    });
    await waiting(1);
    expect(hasReturned).toBe(false);
    await first.query("commit");
    await off;
    expect(await claim(first, workers[0])).toEqual([]);
  });

  test.each(["all", "queue:q", "kind:k", "group:g"])(
    "R103a R103b: a claim that meets off %s before its commit waits for it, and then starts nothing",
    async (scope) => {
      const { store, first, second, workers, waiting } = await race();
      await writeGroups(store, "test", { g: ["kind:k"] });
      await enqueueCount(store, 10);
      await first.query("begin");
      await first.query("select pawl.off_v1($1, 'ada', 'a drill', null)", [scope]);
      const claiming = claim(second, workers[1]);
      await waiting(1);
      await first.query("commit");
      expect(await claiming).toEqual([]);
      expect(await count(store, "claim")).toBe(0);
    },
  );

  test("a switch that is thrown and rolled back holds nothing", async () => {
    const { store, first, second, workers, waiting } = await race();
    await enqueueCount(store, 10);
    await first.query("begin");
    await first.query("select pawl.off_v1('all', 'ada', 'a drill', null)");
    const claiming = claim(second, workers[1]);
    await waiting(1);
    await first.query("rollback");
    expect(await claiming).toHaveLength(5);
  });
});

test("two claims of a queue with 7 seats at once: the second waits for the first, and takes what that left", async () => {
  const { store, first, second, workers, waiting } = await race({ concurrency: 7 });
  await enqueueCount(store, 20);
  await first.query("begin");
  expect(await claim(first, workers[0])).toHaveLength(5);
  const claiming = claim(second, workers[1]);
  await waiting(1);
  await first.query("commit");
  expect(await claiming).toHaveLength(2);
});

test("history never shows a task of a lane as started before the one before it had ended, though its claim began to wait earlier", async () => {
  const { store, first, second, workers, waiting } = await race();
  const [head, next] = await enqueueSql(store, [
    { kind: "k", payload: {}, lane: "a" },
    { kind: "k", payload: {}, lane: "a" },
  ]);
  await sortLanes(store, 100);
  const [row] = await claim(first, workers[0]);
  expect(row?.id).toBe(head?.id);
  const holder = await rawClient(store.url);
  await holder.query("begin");
  await holder.query("select pg_advisory_xact_lock(pawl.gate_lock())");
  const claiming = claim(second, workers[1]);
  await waiting(1);
  if (row !== undefined)
    await sendTurn(executorOn(first), { worker: workers[0], outcomes: [done(row, 1)], gone: [1] });
  await holder.query("commit");
  expect((await claiming).map((one) => one.id)).toEqual([next?.id]);
  const times = await store.rows(
    "select c.claimed_at >= f.finished_at as follows from pawl.claim c, pawl.finished f",
  );
  expect(times).toEqual([{ follows: true }]);
});

test("two business transactions that use two priorities for the first time, in opposite orders, do not wait for each other", async () => {
  const { store, first, second } = await race();
  const enqueue = (client: pg.Client, priority: number) =>
    enqueueSql(executorOn(client), [{ kind: "k", payload: {}, priority }]);
  for (const client of [first, second]) await client.query("begin");
  await enqueue(first, 0);
  await enqueue(second, 3);
  await enqueue(first, 3);
  await enqueue(second, 0);
  for (const client of [first, second]) await client.query("commit");
  expect(await count(store, "task")).toBe(4);
});
