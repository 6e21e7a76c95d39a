import { beforeEach, describe, expect, test } from "vitest";
import { admit, forgetPaces } from "../../src/kernel/limit-keys/sql.ts";
import {
  promote,
  type QueueRow,
  register,
  rescue,
  sortLanes,
  type TurnRow,
} from "../../src/kernel/sql.ts";
import type { Store } from "../../src/store/store.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore, openTransaction } from "../support/database.ts";
import {
  count,
  done,
  endLease,
  enqueueSql,
  executorOn,
  failed,
  LONG_LEASE,
  newWorker,
  QUICK_RETRY,
  sendTurn,
  waitForLocks,
} from "../support/kernel.ts";
import { until } from "../support/until.ts";

let store: Store;
let worker: number;
let claim = 0;

async function limit(limits: Partial<QueueRow>, kinds: readonly string[] = ["k"]): Promise<void> {
  await register(store, {
    application: "test",
    revision: 0,
    payload_bytes_max: 1_048_576,
    queues: [{ name: "q", retry: QUICK_RETRY, timeout_ms: null, shards: 1, ...limits }],
    streams: kinds.map((kind) => ({ queue: "q", kind, version: 1, retry: null, timeout_ms: null })),
  });
}

beforeEach(async () => {
  store = await freshStore({ max: 4 });
  await store.rows(LONG_LEASE);
  worker = await newWorker(store);
});

/** One task a letter, whose limit key that letter is; the payloads are the places. */
const put = (letters: string, more = {}) =>
  enqueueSql(
    store,
    letters.split("").map((key, n) => ({ kind: "k", payload: n, limit_key: key, ...more })),
  );

interface Running {
  row: TurnRow;
  claim: number;
}

interface TurnOf {
  by?: number;
  most?: number;
  fail?: boolean;
  shards?: readonly number[];
}

/** A turn that settles these and claims. */
async function turn(
  ended: readonly Running[] = [],
  { by = worker, most = 100, fail = false, shards }: TurnOf = {},
): Promise<Running[]> {
  claim += 1;
  const outcomes = ended.map((one) => (fail ? failed : done)(one.row, one.claim));
  const rows = await sendTurn(store, {
    worker: by,
    claim,
    limit: most,
    outcomes,
    ...(shards !== undefined && { shards }),
  });
  return rows.filter((row) => row.id !== null).map((row) => ({ row, claim }));
}

const places = (running: readonly Running[]) => running.map(({ row }) => row.payload);
const stateOf = async (id: string | undefined) =>
  (await store.rows<{ state: string }>("select state from pawl.task_v1 where id = $1", [id]))[0]
    ?.state;

describe("R71: concurrency per limit key", () => {
  test("of a key only so many run at once, and the tasks behind them are not held up", async () => {
    await limit({ key_concurrency: 2 });
    await put("aaaaabbbac");
    const first = await turn();
    expect(places(first)).toEqual([0, 1, 5, 6, 9]);
    expect(await turn()).toEqual([]);
    const [a] = first;
    if (a === undefined) throw new Error("none");
    const second = await turn([a]);
    expect(places(second)).toEqual([2]); // at once, the oldest of the key
    expect(places(await turn(first.slice(1)))).toEqual([3, 7]);
  });

  test("tasks without a limit key have no such limit", async () => {
    await limit({ key_concurrency: 1 });
    await enqueueSql(
      store,
      [0, 1, 2].map((payload) => ({ kind: "k", payload })),
    );
    expect(places(await turn())).toEqual([0, 1, 2]);
  });

  test("a claim takes what it asked for, however many tasks at their limit lie before it", async () => {
    await limit({ key_concurrency: 1 });
    await put(`${"a".repeat(300)}bcdef`);
    expect(places(await turn([], { most: 3 }))).toEqual([0, 300, 301]);
    expect(places(await turn([], { most: 10 }))).toEqual([302, 303, 304]);
  });

  test("a held task is moved once, and nothing touches it again until its turn", async () => {
    await limit({ key_concurrency: 1 });
    await put("a".repeat(500));
    const [a] = await turn();
    const rows = () =>
      store.rows(
        "select id, ctid::text, xmin::text from pawl.task where state = 'limited' order by id",
      );
    const held = await rows();
    expect(held).toHaveLength(499);
    await put("b".repeat(3));
    await put("a".repeat(3)); // behind what waits: at once, not by a claim
    const late = (await rows()).slice(499);
    expect(late).toHaveLength(3);
    const b = await turn();
    await turn(b);
    await admit(store, 100);
    expect((await rows()).slice(0, 499)).toEqual(held);
    if (a === undefined) throw new Error("none");
    expect(places(await turn([a]))).toEqual([1]);
    expect((await rows()).slice(0, 498)).toEqual(held.slice(1));
  });

  test("two claims at once take no more than the key has places: the second counts what the first took", async () => {
    await limit({ key_concurrency: 3 });
    await put("aaaaaaaa");
    await waitForLocks(store, "turn_v1");
    const other = await newWorker(store);
    const [one, two] = [await openTransaction(store.url), await openTransaction(store.url)];
    const first = await sendTurn(executorOn(one), { worker, claim: 1, limit: 2 });
    const second = sendTurn(executorOn(two), { worker: other, claim: 1, limit: 8 });
    await until("the second waits for the first", async () => {
      const waiting = "datname = current_database() and wait_event_type = 'Lock'";
      return (await store.rows(`select from pg_stat_activity where ${waiting}`)).length === 1;
    });
    await one.query("commit");
    expect(first).toHaveLength(2);
    expect(await second).toHaveLength(1);
    await two.query("commit");
    await Promise.all([one.end(), two.end()]);
  });

  test("a task that failed leaves its place to the next, and waits for one when it is due", async () => {
    await limit({ key_concurrency: 1 });
    const [first] = await put("aa");
    const running = await turn();
    const next = await turn(running, { fail: true });
    expect(places(next)).toEqual([1]);
    await promote(store, 10);
    expect(await turn()).toEqual([]);
    expect(await stateOf(first?.id)).toBe("limited");
    expect(places(await turn(next))).toEqual([0]);
  });

  test("the places of a worker that died are free once its tasks were rescued", async () => {
    await limit({ key_concurrency: 2 });
    await put("aaaaa");
    const dead = await newWorker(store);
    expect(places(await turn([], { by: dead }))).toEqual([0, 1]);
    expect(await turn()).toEqual([]);
    await endLease(store, dead);
    await rescue(store);
    await promote(store, 10);
    const again = await turn();
    expect(again).toHaveLength(2);
    expect(await count(store, "claim")).toBe(1);
  });

  test("a kind that nobody claims keeps no other kind of the same key from its places", async () => {
    await limit({ key_concurrency: 1 }, ["k", "l"]);
    const kinds = ["l", "k", "k", "l", "k", "l"];
    await enqueueSql(
      store,
      kinds.map((kind, payload) => ({ kind, payload, limit_key: "a" })),
    );
    const shards = await store.rows<{ id: number; kind: string }>(
      "select h.id, st.kind from pawl.shard h join pawl.stream st on st.id = h.stream_id",
    );
    const ofL = shards.filter((one) => one.kind === "l").map((one) => one.id);
    const all = shards.map((one) => one.id);
    let running = await turn([], { shards: all });
    const seen = places(running);
    for (let n = 0; n < 6; n += 1) {
      expect(running.length).toBeLessThanOrEqual(1);
      running = await turn(running, { shards: ofL });
      seen.push(...places(running));
    }
    expect(seen.filter((n) => kinds[n as number] === "l")).toEqual([0, 3, 5]);
  });

  test("what is cancelled, moved or retried by a person keeps the limit", async () => {
    await limit({ key_concurrency: 1 });
    const [, second, third] = await put("aaaa");
    const running = await turn();
    await store.rows("select pawl.cancel_v1(array[$1::bigint], 'me', null)", [second?.id]);
    expect(await stateOf(second?.id)).toBe("cancelled");
    await store.rows(
      "select pawl.change_tasks_v1(array[$1::bigint], pawl.now(), null, 'me', null)",
      [third?.id],
    );
    expect(await turn()).toEqual([]);
    expect(await stateOf(third?.id)).toBe("limited");
    const [a] = running;
    if (a === undefined) throw new Error("none");
    expect(places(await turn([a]))).toEqual([2]);
  });

  test("a dead letter that is retried still counts against its key", async () => {
    await limit({ key_concurrency: 1, retry: { ...QUICK_RETRY, attempts: 1 } });
    const [first] = await put("aa");
    const next = await turn(await turn(), { fail: true });
    expect(places(next)).toEqual([1]);
    await store.rows("select pawl.retry_dead_v1(array[$1::bigint], 'me', null)", [first?.id]);
    expect(await turn()).toEqual([]);
    expect(places(await turn(next))).toEqual([0]);
  });

  test("in a lane the order holds, and a head at the limit holds up its lane only", async () => {
    await limit({ key_concurrency: 1 });
    await enqueueSql(store, [
      { kind: "k", payload: "a1", limit_key: "a", lane: "x" },
      { kind: "k", payload: "a2", limit_key: "a", lane: "y" },
      { kind: "k", payload: "b1", limit_key: "b", lane: "y" },
      { kind: "k", payload: "b2", limit_key: "b", lane: "z" },
    ]);
    await sortLanes(store, 100);
    const first = await turn();
    expect(places(first)).toEqual(["a1", "b2"]);
    const second = await turn(first);
    expect(places(second)).toEqual(["a2"]);
    const third = await turn(second);
    expect(places(third)).toEqual(["b1"]);
  });

  test("without the limit everything comes back", async () => {
    await limit({ key_concurrency: 1 });
    await put("aaaa");
    const running = await turn();
    await limit({});
    await admit(store, 100);
    expect(places(await turn())).toEqual([1, 2, 3]);
    expect(running).toHaveLength(1);
  });

  test("what made room without seeing a task is found by going over the keys", async () => {
    await limit({ key_concurrency: 1 });
    await put("aabb");
    const running = await turn();
    await store.rows("delete from pawl.task t where t.id = any ($1)", [
      running.map(({ row }) => row.id),
    ]);
    await store.rows("delete from pawl.claim");
    expect(await turn()).toEqual([]);
    const first = await admit(store, 1);
    expect(first).toMatchObject({ admitted: 1, after_key: "a" });
    expect(places(await turn())).toEqual([1]);
    expect(await admit(store, 1, first)).toMatchObject({ admitted: 1, after_key: "b" });
    expect(places(await turn())).toEqual([3]);
  });

  test("why says whose limit it is, and how many come before", async () => {
    await limit({ key_concurrency: 1 });
    const ids = await put("aaa");
    await turn();
    const [why] = await store.rows("select reason, detail from pawl.why_task_v1($1)", [ids[2]?.id]);
    expect(why).toMatchObject({
      reason: "limit_key",
      detail: { key: "a", limit: 1, running: 1, before: 1, rate: null },
    });
  });
});

describe("R71: rate per limit key", () => {
  const RATE = { limit: 10, per_ms: 1_000, burst: 2 };

  test("a key starts its burst, then one for each gap; another key has a rate of its own", async () => {
    const clock = await movableClock(store, { isSlow: true });
    await limit({ key_rate: RATE });
    await put("aaaaaabb");
    expect(places(await turn())).toEqual([0, 1, 6, 7]);
    const seen: number[] = [];
    for (let n = 0; n < 40; n += 1) {
      await clock.advance(10);
      await admit(store, 100);
      seen.push((await turn()).length);
    }
    expect(seen.reduce((sum, one) => sum + one, 0)).toBe(4);
    const at = seen.flatMap((many, n) => (many > 0 ? [n] : []));
    expect(at).toHaveLength(4);
    for (const [i, n] of at.entries())
      expect(Math.abs(n - (10 * i + 9))).toBeLessThanOrEqual(1 + i);
  });

  test("the time of the next start is known, and nothing comes back before", async () => {
    const clock = await movableClock(store, { isSlow: true });
    await limit({ key_rate: { limit: 1, per_ms: 60_000, burst: 1 } });
    await put("aa");
    expect(await turn()).toHaveLength(1);
    const early = await admit(store, 100);
    expect(early.admitted).toBe(0);
    expect(early.next_ms).toBeGreaterThan(50_000);
    expect(early.next_ms).toBeLessThanOrEqual(60_000);
    await clock.advance(early.next_ms ?? 0);
    expect(await admit(store, 100)).toMatchObject({ admitted: 1 });
    expect(await turn()).toHaveLength(1);
  });

  test("a retry is a start too", async () => {
    const clock = await movableClock(store, { isSlow: true });
    await limit({ key_rate: { limit: 1, per_ms: 1_000, burst: 1 } });
    await put("a");
    await turn(await turn(), { fail: true });
    await clock.advance(10);
    await promote(store, 10);
    expect(await turn()).toEqual([]);
    await clock.advance(1_000);
    await admit(store, 10);
    expect(await turn()).toHaveLength(1);
  });

  test.each([
    ["is moved", "update pawl.key_pace set due_at = tat"],
    ["is forgotten", "delete from pawl.key_pace"],
  ])(
    "a start is counted, though the pace of its key %s while the claim waits for it",
    async (_what, change) => {
      await movableClock(store, { isSlow: true });
      await waitForLocks(store, "turn_v1");
      await limit({ key_rate: { limit: 1, per_ms: 60_000, burst: 3 } });
      await put("aaaa");
      expect(await turn([], { most: 1 })).toHaveLength(1);
      const other = await openTransaction(store.url);
      await other.query(change);
      const waiting = turn([], { most: 2 });
      await until("the turn waits", async () => {
        const rows = await store.rows(
          "select from pg_stat_activity a where a.datname = current_database() and a.wait_event_type = 'Lock'",
        );
        return rows.length > 0;
      });
      await other.query("commit");
      await other.end();
      expect(await waiting).toHaveLength(2);
      const [pace] = await store.rows<{ ahead: number }>(
        "select round(extract(epoch from tat - pawl.now()) / 60)::int as ahead from pawl.key_pace",
      );
      expect(pace?.ahead).toBe(3);
    },
  );

  test("the pace of keys that have been quiet is forgotten", async () => {
    const clock = await movableClock(store, { isSlow: true });
    await limit({ key_rate: RATE });
    await put("abc");
    await turn();
    expect(await count(store, "key_pace")).toBe(3);
    await forgetPaces(store, 100);
    expect(await count(store, "key_pace")).toBe(3);
    await clock.advance(120_000);
    await forgetPaces(store, 100);
    expect(await count(store, "key_pace")).toBe(0);
  });
});
