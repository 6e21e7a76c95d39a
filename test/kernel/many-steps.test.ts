/** What the kernel gives to tasks of many steps: attempts that are counted anew, parking and waking, and the fence in between. */

import { beforeEach, expect, test } from "vitest";
import { stats } from "../../src/kernel/operator/sql.ts";
import { whyTask } from "../../src/kernel/operator/why.ts";
import { expire, promote, sortLanes, type TurnRow } from "../../src/kernel/sql.ts";
import { Advance, UnderPolicy } from "../../src/kernel/thrown.ts";
import type { Store } from "../../src/store/store.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore } from "../support/database.ts";
import {
  count,
  defineKinds,
  enqueueCount,
  enqueueSql,
  failed,
  idsOf,
  newWorker,
  sendTurn,
} from "../support/kernel.ts";

let store: Store;
let worker: number;
let claim = 0;
beforeEach(async () => {
  store = await freshStore();
  await defineKinds(store);
  worker = await newWorker(store);
});

async function claimed(): Promise<TurnRow> {
  claim += 1;
  const [row] = await sendTurn(store, { worker, claim, limit: 1 });
  if (row === undefined) throw new Error("nothing was claimed");
  return row;
}

/** Records how the attempt of the last claim ended. */
async function ends(row: TurnRow, thrown: unknown): Promise<void> {
  const refused = await sendTurn(store, {
    worker,
    outcomes: [failed(row, claim, thrown)],
    gone: [claim],
  });
  expect(refused).toEqual([]);
}

async function taskNow(): Promise<Record<string, unknown> | undefined> {
  const [row] = await store.rows<Record<string, unknown>>(
    "select state, attempt, run_at from pawl.task_now_v1",
  );
  return row;
}

const wake = (id: string) => store.rows("select pawl.wake_tasks($1)", [[id]]);
const mine = async (row: TurnRow, anew: readonly string[] = []) => {
  const [answer] = await store.rows<{ ids: string[] }>(
    "select pawl.still_mine($1, $2, $3, $4, $5)::text[] as ids",
    [worker, [row.id], [row.seq], [claim], anew],
  );
  return answer?.ids;
};

test("a task that got on has its attempts counted anew, and is due when it says", async () => {
  await enqueueCount(store, 1);
  await ends(await claimed(), new Error("no"));
  await promote(store, 10);
  const second = await claimed();
  expect(second.attempt).toBe(1);
  await ends(second, new Advance(3_600_000));
  expect(await taskNow()).toMatchObject({ state: "scheduled", attempt: 0 });
  const [{ ms } = { ms: 0 }] = await store.rows<{ ms: number }>(
    "select extract(epoch from run_at - pawl.now())::float8 * 1000 as ms from pawl.task",
  );
  expect(ms).toBeGreaterThan(0);
  const outcomes = await store.rows("select outcome from pawl.attempt order by ended_at");
  expect(outcomes).toEqual([{ outcome: "retry" }, { outcome: "advance" }]);
});

test("a parked task is due never: nothing promotes it, lists and why say so, and it costs no look", async () => {
  const [id = ""] = await enqueueCount(store, 1);
  await ends(await claimed(), new Advance());
  expect(await taskNow()).toEqual({ state: "parked", attempt: 0, run_at: null });
  expect(await promote(store, 10)).toMatchObject({ promoted: 0, next_ms: null });
  expect((await whyTask(store, id))?.line).toContain("parked");
  const [row] = await store.rows("select state, run_at from pawl.task_live_v1");
  expect(row).toEqual({ state: "parked", run_at: null });
  expect(await stats(store)).toMatchObject([{ queue: "q", ready: 0 }]);
  await wake(id);
  expect(idsOf([await claimed()])).toEqual([id]);
});

test("what is woken while it runs is not parked after that, but once", async () => {
  const [id = ""] = await enqueueCount(store, 1);
  const row = await claimed();
  await wake(id);
  await ends(row, new Advance());
  expect(await taskNow()).toMatchObject({ state: "scheduled" });
  expect(await promote(store, 10)).toMatchObject({ promoted: 1 });
  await ends(await claimed(), new Advance());
  expect(await taskNow()).toMatchObject({ state: "parked" });
});

test("a parked head holds its lane, and what waits behind it goes on when it has ended", async () => {
  await enqueueSql(store, [
    { kind: "k", payload: 1, lane: "a" },
    { kind: "k", payload: 2, lane: "a" },
  ]);
  await sortLanes(store, 100);
  const head = await claimed();
  await ends(head, new Advance());
  claim += 1;
  expect(await sendTurn(store, { worker, claim, limit: 5 })).toEqual([]);
  await store.rows("select pawl.cancel_v1($1, 'ada', null)", [[head.id]]);
  expect((await claimed()).payload).toBe(2);
});

test("a parked task that has expired ends, and one that is cancelled too", async () => {
  const at = await movableClock(store);
  const [one] = await enqueueSql(store, [{ kind: "k", payload: 1, ttl_ms: 60_000 }]);
  await ends(await claimed(), new Advance());
  await at.advance(120_000);
  expect(await expire(store, 10)).toBe(1);
  const [row] = await store.rows("select id, outcome from pawl.finished");
  expect(row).toEqual({ id: one?.id, outcome: "expired" });
  expect(await count(store, "task")).toBe(0);
});

test("the fence in between answers a task only while it is this worker's at this seq, and counts its attempts anew", async () => {
  const [id = ""] = await enqueueCount(store, 1);
  await ends(await claimed(), new Error("no"));
  await promote(store, 10);
  const row = await claimed();
  expect(await mine(row)).toEqual([row.seq]);
  expect(await mine({ ...row, seq: "1" })).toEqual([]);
  expect(await mine(row, [id])).toEqual([row.seq]);
  await ends(row, new Error("of the next step"));
  expect(await taskNow()).toMatchObject({ attempt: 1 });
  await promote(store, 10);
  const lost = await claimed();
  await store.rows("update pawl.worker set lease_until = pawl.now() - interval '1 s'");
  await store.rows("select pawl.rescue_v1()");
  await expect(mine(lost)).rejects.toMatchObject({ code: "lease_lost" });
});

const under = (attempt: number) => ({
  attempts: 7,
  isSpent: attempt === 7,
  delayMs: 0,
  untilMs: null,
});

test("an attempt under a policy of its own is counted and delayed by that one, not by its queue's", async () => {
  await enqueueCount(store, 1);
  for (let attempt = 1; attempt <= 6; attempt += 1) {
    await promote(store, 10);
    await ends(await claimed(), new UnderPolicy(new Error("no"), under(attempt)));
  }
  expect(await taskNow()).toMatchObject({ attempt: 6 }); // the queue's policy has four
  await promote(store, 10);
  await ends(await claimed(), new UnderPolicy(new Error("no"), under(7)));
  expect(await store.rows("select attempt, reason from pawl.dead")).toEqual([
    { attempt: 7, reason: "attempts" },
  ]);
});

test("tasks of a kind and version are counted in whatever state they are, each once; those of another version are not", async () => {
  await enqueueSql(store, [{ kind: "k" }]);
  await enqueueSql(store, [{ kind: "k", delay_ms: 3_600_000 }]);
  for (let n = 0; n < 3; n += 1) await enqueueSql(store, [{ kind: "k", lane: "one" }]);
  await sortLanes(store, 100);
  await enqueueSql(store, [{ kind: "k", lane: "two" }]);
  const counted = async (version: number) =>
    (
      await store.rows(
        "select c.live::int, c.dead::int, pawl.has_tasks('q', 'k', $1) as are_any from pawl.count_tasks('q', 'k', $1) c",
        [version],
      )
    )[0];
  expect(await counted(1)).toEqual({ live: 6, dead: 0, are_any: true });
  expect(await counted(2)).toEqual({ live: 0, dead: 0, are_any: false });
});
