import { beforeEach, describe, expect, test } from "vitest";
import { heartbeat, promote, rescue, type TurnRow } from "../../src/kernel/sql.ts";
import type { Store } from "../../src/store/store.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore, openTransaction } from "../support/database.ts";
import {
  claimed,
  count,
  defineKinds,
  done,
  endLease,
  enqueueCount,
  enqueueSql,
  executorOn,
  failed,
  idsOf,
  leasedWorker,
  newWorker,
  sendTurn,
} from "../support/kernel.ts";
import { until } from "../support/until.ts";

let store: Store;

beforeEach(async () => {
  store = await freshStore({ max: 4 });
  await defineKinds(store);
});

describe("the claim", () => {
  test("takes no more than asked for, in the order of arrival, and touches no task row", async () => {
    const all = await enqueueCount(store, 25);
    const worker = await newWorker(store);
    const before = await store.rows("select ctid, xmin::text, * from pawl.task order by id");
    const first = await sendTurn(store, { worker, claim: 1, limit: 10 });
    const second = await sendTurn(store, { worker, claim: 2, limit: 10 });
    const third = await sendTurn(store, { worker, claim: 3, limit: 10 });
    expect([idsOf(first), idsOf(second), idsOf(third)]).toEqual([
      all.slice(0, 10),
      all.slice(10, 20),
      all.slice(20),
    ]);
    expect(await store.rows("select ctid, xmin::text, * from pawl.task order by id")).toEqual(
      before,
    );
    expect(await count(store, "claim")).toBe(3);
  });

  test("priority 0 goes before 1, 2 and 3", async () => {
    const tasks = [3, 1, 0, 2].map((priority) => ({ kind: "k", priority }));
    const [low, usual, first, third] = (await enqueueSql(store, tasks)).map((row) => row.id);
    const worker = await newWorker(store);
    const order: string[] = [];
    for (const claim of [1, 2, 3, 4]) {
      order.push(...idsOf(await sendTurn(store, { worker, claim, limit: 10 })));
    }
    expect(order).toEqual([first, usual, third, low]);
  });

  test("two workers never get the same task, even while the first has not committed", async () => {
    const all = await enqueueCount(store, 20);
    const [a, b] = [await newWorker(store), await newWorker(store)];
    const slow = await openTransaction(store.url);
    const first = await sendTurn(executorOn(slow), { worker: a, claim: 1, limit: 10 });
    // the shard is locked: the other passes by instead of waiting
    expect(await sendTurn(store, { worker: b, claim: 1, limit: 10 })).toEqual([]);
    await slow.query("commit");
    const second = await sendTurn(store, { worker: b, claim: 1, limit: 10 });
    expect([...idsOf(first), ...idsOf(second)]).toEqual(all);
  });

  test("a claim that was rolled back leaves its tasks to the next", async () => {
    const all = await enqueueCount(store, 5);
    const worker = await newWorker(store);
    const slow = await openTransaction(store.url);
    await sendTurn(executorOn(slow), { worker, claim: 1, limit: 10 });
    await slow.query("rollback");
    expect(idsOf(await sendTurn(store, { worker, claim: 2, limit: 10 }))).toEqual(all);
  });

  test("many workers at once on several shards share all tasks without one twice", async () => {
    await defineKinds(store, { shards: 4 });
    const all = await enqueueCount(store, 600);
    let taken = 0;
    const claims = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const worker = await newWorker(store);
        const got: string[] = [];
        // one that holds a shard may stand still while the others pass by in vain, many times
        for (let claim = 1; taken < all.length; claim += 1) {
          const ids = idsOf(await sendTurn(store, { worker, claim, limit: 7 }));
          taken += ids.length;
          got.push(...ids);
        }
        return got;
      }),
    );
    const got = claims.flat();
    expect(new Set(got).size).toBe(got.length);
    expect(got.toSorted()).toEqual(all.toSorted());
  });
});

describe("the fence", () => {
  test("R100: a worker whose lease ran out cannot settle, nor claim", async () => {
    const clock = await movableClock(store, { isSlow: true });
    await enqueueCount(store, 2);
    const worker = await leasedWorker(store);
    const [row, other] = await sendTurn(store, { worker, claim: 1, limit: 2 });
    if (row === undefined || other === undefined) throw new Error("nothing claimed");
    await clock.advance(9_900);
    await sendTurn(store, { worker, outcomes: [done(row, 1)] });
    await clock.advance(200);
    await expect(sendTurn(store, { worker, outcomes: [done(other, 1)] })).rejects.toMatchObject({
      code: "lease_lost",
    });
    await expect(sendTurn(store, { worker, claim: 2, limit: 2 })).rejects.toMatchObject({
      code: "lease_lost",
    });
    expect(await count(store, "finished")).toBe(1);
  });

  test("R100: an expired worker never revives: its heartbeat is refused as well", async () => {
    const worker = await newWorker(store);
    await endLease(store, worker);
    const beat = {
      worker,
      known: [],
      next: 1,
      running: 0,
      refused: 0,
      tally: [],
      streams: null,
      offHere: null,
    };
    await expect(heartbeat(store, beat)).rejects.toMatchObject({ code: "lease_lost" });
    // the refused heartbeat's transaction may still be ending: then a rescue passes by the worker
    await until("the worker is rescued", async () => (await rescue(store)).length > 0);
    await store.rows("update pawl.worker set lease_until = pawl.now() + interval '1 hour'");
    await expect(heartbeat(store, beat)).rejects.toMatchObject({ code: "lease_lost" });
  });

  test("R100: an outcome with an old number is refused and said to be", async () => {
    await enqueueCount(store, 1);
    const worker = await newWorker(store);
    const [row] = await sendTurn(store, { worker, claim: 1, limit: 1 });
    if (row === undefined) throw new Error("nothing claimed");
    // the answer of the claim was lost: the heartbeat gives the task back, with a new number
    const beat = {
      worker,
      known: [],
      next: 2,
      running: 0,
      refused: 0,
      tally: [],
      streams: null,
      offHere: null,
    };
    expect(await heartbeat(store, beat)).toMatchObject({ orphans: 1 });
    for (const outcome of [done(row, 1), failed(row, 1)]) {
      const answer = await sendTurn(store, { worker, outcomes: [outcome] });
      expect(answer).toMatchObject([{ shard_id: null, id: row.id, seq: row.seq }]);
    }
    const [again] = await sendTurn(store, { worker, claim: 2, limit: 1 });
    expect(again).toMatchObject({ id: row.id, attempt: 0 });
    expect(again?.seq).not.toBe(row.seq);
    expect(await count(store, "finished")).toBe(0);
  });

  test("R100: another worker cannot settle a task that it did not claim", async () => {
    await enqueueCount(store, 1);
    const [owner, thief] = [await newWorker(store), await newWorker(store)];
    const [row] = await sendTurn(store, { worker: owner, claim: 1, limit: 1 });
    if (row === undefined) throw new Error("nothing claimed");
    const answer = await sendTurn(store, { worker: thief, outcomes: [done(row, 1)] });
    expect(answer).toMatchObject([{ shard_id: null, id: row.id }]);
    expect(await count(store, "finished")).toBe(0);
  });

  test("R100: an outcome of an attempt that has failed already does not touch the next attempt", async () => {
    await enqueueCount(store, 2);
    const [worker, next] = [await newWorker(store), await newWorker(store)];
    const [row] = await sendTurn(store, { worker, claim: 1, limit: 2 });
    if (row === undefined) throw new Error("nothing claimed");
    await sendTurn(store, { worker, outcomes: [failed(row, 1)] }); // its neighbour runs on: the claim stays
    await promote(store, 10);
    const [again] = await sendTurn(store, { worker: next, claim: 1, limit: 1 });
    expect(again).toMatchObject({ id: row.id, attempt: 1 });
    for (const late of [done(row, 1), failed(row, 1)]) {
      await sendTurn(store, { worker, outcomes: [late] });
    }
    expect(await count(store, "finished")).toBe(0);
    expect(await count(store, "attempt")).toBe(1);
    if (again === undefined) throw new Error("nothing claimed");
    expect(await sendTurn(store, { worker: next, outcomes: [done(again, 1)] })).toEqual([]);
    expect(await count(store, "finished")).toBe(1);
  });

  test("outcomes sent again because the answer was lost are neither refused nor recorded twice", async () => {
    await enqueueCount(store, 3);
    const worker = await newWorker(store);
    const [a, b, c] = await sendTurn(store, { worker, claim: 1, limit: 3 });
    if (a === undefined || b === undefined || c === undefined) throw new Error("nothing claimed");
    const fatal = { ...claimed(b, 1), error: { name: "Error", message: "no" } };
    const outcomes = [
      done(a, 1),
      { ok: false as const, task: fatal, kind: "unrecoverable" as const, error: fatal.error },
      failed(c, 1),
    ];
    expect(await sendTurn(store, { worker, outcomes, gone: [1] })).toEqual([]);
    expect(await sendTurn(store, { worker, outcomes, gone: [1] })).toEqual([]);
    expect(await count(store, "finished")).toBe(1);
    expect(await count(store, "dead")).toBe(1);
    expect(await count(store, "attempt")).toBe(1);
  });

  test("a rescue and a late turn of the same worker never both count", async () => {
    await enqueueCount(store, 1);
    const worker = await newWorker(store);
    const [row] = await sendTurn(store, { worker, claim: 1, limit: 1 });
    if (row === undefined) throw new Error("nothing claimed");
    const slow = await openTransaction(store.url); // settles in time, commits late
    await sendTurn(executorOn(slow), { worker, outcomes: [done(row, 1)], gone: [1] });
    await endLease(store, worker);
    expect(await rescue(store)).toEqual([]); // passes by the worker while its turn is open
    await slow.query("commit");
    expect(await rescue(store)).toEqual([{ worker_id: worker, tasks: 0 }]);
    expect(await count(store, "finished")).toBe(1);
    expect(await count(store, "task")).toBe(0);
  });
});

describe("what goes back", () => {
  test("a claim row goes with its last task", async () => {
    await enqueueCount(store, 2);
    const worker = await newWorker(store);
    const [a, b] = await sendTurn(store, { worker, claim: 1, limit: 2 });
    if (a === undefined || b === undefined) throw new Error("nothing claimed");
    await sendTurn(store, { worker, outcomes: [done(a, 1)] });
    expect(await count(store, "claim")).toBe(1);
    await sendTurn(store, { worker, outcomes: [done(b, 1)], gone: [1] });
    expect(await count(store, "claim")).toBe(0);
    expect(await count(store, "task")).toBe(0);
  });

  test("the heartbeat gives back orphans only: neither what runs nor what is being asked for", async () => {
    await enqueueCount(store, 3);
    const worker = await newWorker(store);
    for (const claim of [1, 2, 5]) await sendTurn(store, { worker, claim, limit: 1 });
    const beat = {
      worker,
      known: [2],
      next: 5,
      running: 1,
      refused: 0,
      tally: [],
      streams: null,
      offHere: null,
    };
    expect(await heartbeat(store, beat)).toMatchObject({ orphans: 1 });
    const left = await store.rows("select no::int from pawl.claim order by no");
    expect(left).toEqual([{ no: 2 }, { no: 5 }]);
    const [task] = await store.rows("select attempt, state from pawl.task order by id limit 1");
    expect(task).toEqual({ attempt: 0, state: "ready" });
  });

  test("R57: what a stopping worker gives back keeps its order and is not counted", async () => {
    const all = await enqueueCount(store, 6);
    const worker = await newWorker(store);
    await sendTurn(store, { worker, claim: 1, limit: 6 });
    await store.rows("select pawl.end_worker_v1($1)", [worker]);
    const next = await newWorker(store);
    const rows = await sendTurn(store, { worker: next, claim: 1, limit: 6 });
    expect(idsOf(rows)).toEqual(all);
    expect(rows.every((row) => row.attempt === 0)).toBe(true);
    expect(await count(store, "attempt")).toBe(0);
  });

  test("R64: what was lost once is counted and runs again at once, all of it; what is lost again is claimed one at a time", async () => {
    const all = await enqueueCount(store, 3);
    const lose = async (claimedAtOnce: number) => {
      const worker = await newWorker(store);
      const rows = await sendTurn(store, { worker, claim: 1, limit: 10 });
      expect(rows).toHaveLength(claimedAtOnce);
      await endLease(store, worker);
      expect(await rescue(store)).toEqual([{ worker_id: worker, tasks: claimedAtOnce }]);
      expect(await count(store, "claim")).toBe(0);
    };
    await lose(3);
    expect((await promote(store, 100)).promoted).toBe(3); // due: the lease was the pause
    await lose(3);
    await until("all are due", async () => {
      await promote(store, 100);
      return (await count(store, "task where state = 'ready'")) === 3;
    });
    const next = await newWorker(store);
    const busy = await sendTurn(store, { worker: next, claim: 1, limit: 10, solo: false });
    expect(busy).toEqual([]); // a worker that watches one already takes no second
    const seen: TurnRow[] = [];
    for (const claim of [2, 3, 4]) {
      const rows = await sendTurn(store, { worker: next, claim, limit: 10 });
      expect(rows).toHaveLength(1);
      seen.push(...rows);
    }
    expect(idsOf(seen).toSorted()).toEqual(all.toSorted());
    expect(seen.every((row) => row.attempt === 2)).toBe(true);
    expect(await store.rows("select distinct outcome from pawl.attempt")).toEqual([
      { outcome: "lost" },
    ]);
  });

  test("R64: three crashes while alone set a task aside as crashed", async () => {
    await defineKinds(store, {
      retry: { attempts: 20, delays_ms: [0], jitter: 0, until_ms: null },
    });
    const [id] = await enqueueCount(store, 1);
    for (let crash = 0; crash < 4; crash += 1) {
      expect(await count(store, "dead")).toBe(0);
      const worker = await newWorker(store);
      expect(await sendTurn(store, { worker, claim: 1, limit: 5 })).toHaveLength(1);
      await endLease(store, worker);
      await rescue(store);
      await promote(store, 10);
    }
    expect(await store.rows("select id, reason, attempt, crashes from pawl.dead")).toEqual([
      { id, reason: "crashed", attempt: 4, crashes: 3 },
    ]);
  });
});
