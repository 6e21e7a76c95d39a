import { beforeEach, describe, expect, test } from "vitest";
import { prune } from "../../../src/kernel/operator/history/prune.ts";
import { dropPartition } from "../../../src/kernel/operator/history/sql.ts";
import { switchOff } from "../../../src/kernel/operator/switches/sql.ts";
import { makePartitions } from "../../../src/kernel/sql.ts";
import type { Executor } from "../../../src/store/executor.ts";
import { openStore, type Store } from "../../../src/store/store.ts";
import { movableClock } from "../../support/clock.ts";
import { freshDatabase, rawClient } from "../../support/database.ts";
import { waitForLocks } from "../../support/kernel.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const OUTCOMES = ["done", "cancelled", "expired", "removed"];

let url: string;
let store: Store;
let clock: Awaited<ReturnType<typeof movableClock>>;

beforeEach(async () => {
  ({ url } = await freshDatabase());
  store = openStore({ url, max: 4 });
  clock = await movableClock(store, { isSlow: true });
  // those that the migration made ahead: each test makes its own days
  for (const partition of await partitions()) await dropPartition(store, partition);
  // `short` keeps what was done for an hour and what was cancelled for ten days; `plain` says nothing
  await store.rows("select pawl.register_v1($1)", [
    JSON.stringify({
      application: "test",
      revision: 0,
      payload_bytes_max: 1_048_576,
      queues: [
        { name: "short", keep: { done_ms: HOUR_MS, cancelled_ms: 10 * DAY_MS } },
        { name: "plain" },
      ],
      streams: [
        { queue: "short", kind: "k" },
        { queue: "plain", kind: "k" },
      ],
    }),
  ]);
  return () => store.close();
});

/** Tasks that end now, `each` of every outcome in both queues; and one attempt. */
async function endTasks(each: number): Promise<void> {
  await makePartitions(store, 0);
  await store.rows(
    `insert into pawl.finished (id, seq, stream_id, priority, attempt, outcome, created_at, run_at, finished_at, payload)
     select nextval('pawl.task_id_seq'), nextval('pawl.seq'), st.id, 1, 1, o.outcome, pawl.now(), pawl.now(), pawl.now(), '{}'
       from pawl.stream st cross join unnest($1::text[]) o (outcome) cross join generate_series(1, $2::int)`,
    [OUTCOMES, each],
  );
  await store.rows(
    "insert into pawl.attempt (task_id, seq, attempt, outcome, ended_at) values (1, 1, 1, 'retry', pawl.now())",
  );
}

/** What history holds: `plain done`, … */
async function kept(): Promise<string[]> {
  const rows = await store.rows<{ what: string }>(
    `select distinct q.name || ' ' || f.outcome as what from pawl.finished f
       join pawl.stream st on st.id = f.stream_id join pawl.queue q on q.id = st.queue_id order by 1`,
  );
  return rows.map((row) => row.what);
}

const ALL = ["plain", "short"]
  .flatMap((queue) => OUTCOMES.map((outcome) => `${queue} ${outcome}`))
  .sort();
const without = (...gone: string[]) => ALL.filter((what) => !gone.includes(what));

async function partitions(): Promise<string[]> {
  const rows = await store.rows<{ name: string }>(
    `select relname as name from pg_class where relkind = 'r' and relname ~ '^(finished|attempt)_[0-9]' order by 1`,
  );
  return rows.map((row) => row.name);
}

describe("R105: retention by outcome and age per queue:", () => {
  test("each queue's outcomes go at their own time, and not before", async () => {
    await endTasks(2);
    expect(await prune(store)).toEqual({ partitions: [], dropped: 0, deleted: 0 });
    await clock.advance(HOUR_MS - 10_000);
    await prune(store);
    expect(await kept()).toEqual(ALL);

    await clock.advance(20_000);
    expect(await prune(store)).toMatchObject({ dropped: 0, deleted: 2 });
    expect(await kept()).toEqual(without("short done"));

    await clock.advance(7 * DAY_MS);
    expect(await prune(store)).toMatchObject({ dropped: 0, deleted: 2 });
    expect(await kept()).toEqual(without("short done", "plain done"));

    await clock.advance(3 * DAY_MS);
    expect(await prune(store)).toMatchObject({ dropped: 0, deleted: 2 });
    expect(await kept()).toEqual(without("short done", "plain done", "short cancelled"));
  });

  test("a dry run counts the same and changes nothing", async () => {
    await endTasks(3);
    await clock.advance(8 * DAY_MS);
    const before = [await kept(), await partitions()];
    const dry = await prune(store, { isDryRun: true });
    expect([await kept(), await partitions()]).toEqual(before);
    expect(dry).toMatchObject({ dropped: 0, deleted: 6 });
    expect(await prune(store)).toEqual(dry);
    expect(await prune(store, { isDryRun: true })).toMatchObject({ deleted: 0, partitions: [] });
  });

  test("a day that lies before the longest of all times goes as a whole, its attempts too", async () => {
    await waitForLocks(store, "drop_partition_v1"); // the server itself may be vacuuming it
    await endTasks(1);
    const old = await partitions();
    await clock.advance(10 * DAY_MS);
    await endTasks(1);
    await clock.advance(21 * DAY_MS + DAY_MS);
    const [attempts, finished] = old;
    const dry = await prune(store, { isDryRun: true });
    expect(dry.partitions).toContainEqual({ partition: finished, action: "drop", rows: 8 });
    expect(dry.partitions).toContainEqual({ partition: attempts, action: "drop", rows: null });
    expect(await partitions()).toEqual(expect.arrayContaining(old));

    const { dropped, deleted } = await prune(store);
    // of the younger day, what was done and what the short queue cancelled
    expect({ dropped, deleted }).toEqual({ dropped: 2, deleted: 3 });
    expect(await partitions()).not.toEqual(expect.arrayContaining([finished]));
    expect(await partitions()).not.toEqual(expect.arrayContaining([attempts]));
    expect(await kept()).toEqual(without("plain done", "short done", "short cancelled"));
  });

  test("what lies in the default partition goes too", async () => {
    await store.rows(
      `insert into pawl.finished (id, seq, stream_id, priority, attempt, outcome, created_at, run_at, finished_at, payload)
       select 1, 1, st.id, 1, 1, 'done', pawl.now(), pawl.now(), pawl.now(), '{}' from pawl.stream st`,
    );
    await clock.advance(8 * DAY_MS);
    expect(await prune(store)).toEqual({
      partitions: [{ partition: "finished_default", action: "delete", rows: 2 }],
      dropped: 0,
      deleted: 2,
    });
  });
});

test("a partition that a long query reads is kept, the rest is pruned, and the next run drops it", async () => {
  await endTasks(1);
  const [attempts = "", finished = ""] = await partitions();
  await clock.advance(40 * DAY_MS);
  const reader = await rawClient(url);
  await reader.query(`begin; select count(*) from pawl.${finished}`);
  const first = await prune(store);
  expect(first.partitions).toEqual([
    { partition: attempts, action: "drop", rows: null },
    { partition: finished, action: "kept", rows: null },
  ]);
  expect(first.dropped).toBe(1);
  await reader.query("commit");
  expect(await prune(store)).toMatchObject({
    partitions: [{ partition: finished, action: "drop" }],
    dropped: 1,
  });
});

test("batches are a few pages each; an aborted run stops after its batch, and the next one does the rest", async () => {
  await endTasks(300);
  await clock.advance(2 * HOUR_MS);
  const seen: number[] = [];
  const stop = new AbortController();
  const first = await prune(store, {
    pagesPerBatch: 2,
    progress: ({ page, pages }) => {
      expect(pages).toBeGreaterThan(4);
      seen.push(page);
      if (page === 2) stop.abort();
    },
    signal: stop.signal,
  });
  expect(seen).toEqual([0, 2]);
  expect(first.deleted).toBeLessThan(300);
  const second = await prune(store, { pagesPerBatch: 2 });
  expect(first.deleted + second.deleted).toBe(300);
  expect(await kept()).toEqual(without("short done"));
});

test("runs at the same time drop and delete everything once, and none fails", async () => {
  await endTasks(50);
  await clock.advance(20 * DAY_MS);
  await endTasks(50);
  await clock.advance(12 * DAY_MS);
  await waitForLocks(store, "drop_partition_v1");
  const runs = await Promise.all([1, 2, 3].map(() => prune(store, { pagesPerBatch: 1 })));
  expect(runs.reduce((sum, run) => sum + run.deleted, 0)).toBe(150);
  expect(await partitions()).toHaveLength(2);
});

test("a partition that somebody else drops in the middle of a run ends that partition, not the run", async () => {
  await waitForLocks(store, "drop_partition_v1");
  await endTasks(5);
  await clock.advance(8 * DAY_MS);
  await endTasks(5);
  await clock.advance(2 * HOUR_MS);
  const [gone = "", next = ""] = (await partitions()).filter((name) => name.startsWith("finished"));
  const raced: Executor = {
    rows: async (text, values = []) => {
      if (values[0] === gone) await dropPartition(store, gone);
      return store.rows(text, values);
    },
  };
  expect(await prune(raced)).toEqual({
    partitions: [{ partition: next, action: "delete", rows: 5 }],
    dropped: 0,
    deleted: 5,
  });
});

test("switches whose end has passed, and workers that ended a week ago, are tidied away; a dry run leaves them", async () => {
  await switchOff(store, { scope: "queue:short", by: "ada", forMs: HOUR_MS });
  await store.rows(
    `insert into pawl.worker (host, pid, application, queues, concurrency, lease_until, ended_at)
     values ('h', 1, 'test', '{}', 1, pawl.now(), pawl.now())`,
  );
  const left = async () => {
    const [row] = await store.rows(
      "select (select count(*)::int from pawl.switch) as switches, (select count(*)::int from pawl.worker) as workers",
    );
    return row;
  };
  await clock.advance(8 * DAY_MS);
  await prune(store, { isDryRun: true });
  expect(await left()).toEqual({ switches: 1, workers: 1 });
  await prune(store);
  expect(await left()).toEqual({ switches: 0, workers: 0 });
});
