import { beforeEach, describe, expect, test } from "vitest";
import {
  countDead,
  dead,
  deadGroups,
  deadIds,
  removeDead,
  retryDead,
  whichAreDead,
} from "../../../src/kernel/operator/dead/sql.ts";
import { findTask, stats } from "../../../src/kernel/operator/sql.ts";
import { whyTask } from "../../../src/kernel/operator/why.ts";
import { sortLanes } from "../../../src/kernel/sql.ts";
import { Unrecoverable } from "../../../src/kernel/thrown.ts";
import { auditRows } from "../../../src/operate/sql.ts";
import { enqueueSql, failed, sendTurn } from "../../support/kernel.ts";
import { ADA, type Bench, bench } from "./fixture.ts";

let at: Bench;

beforeEach(async () => {
  at = await bench();
});

/** Runs all that is ready once; each attempt fails as `thrown` says. */
async function failAll(thrown: unknown): Promise<void> {
  const worker = await at.worker();
  for (let claim = 1; ; claim += 1) {
    const rows = await sendTurn(at.store, { worker, claim, limit: 100 });
    if (rows.length === 0) return;
    const outcomes = rows.map((row) => failed(row, claim, thrown));
    await sendTurn(at.store, { worker, outcomes, gone: [claim] });
  }
}

async function deadTask(message: string, task: Record<string, unknown> = {}): Promise<string> {
  const id = await at.enqueue(task);
  await sortLanes(at.store, 100);
  await failAll(new Unrecoverable(message));
  return id;
}

const stateOf = async (id: string) => (await findTask(at.store, id))?.state;
const idsOf = (rows: readonly { id: string }[]) => rows.map((row) => row.id);

describe("R102: one view of all dead letters:", () => {
  test("each with its reason, queue, lane and error, found by any of them", async () => {
    const spent = await at.enqueue({ max_attempts: 1, queue: "low" });
    await failAll(new Error("timed out after 30 s"));
    const blocking = await deadTask("no such order", { lane: "order-7" });
    const skipped = await deadTask("no such order", { lane: "order-8", queue: "unblocked" });
    const all = (await dead(at.store, { limit: 10 })).rows;
    expect(idsOf(all)).toEqual([skipped, blocking, spent]);
    expect(all).toMatchObject([
      { queue: "unblocked", reason: "unrecoverable", lane: "order-8", isBlocking: false },
      { queue: "q", reason: "unrecoverable", lane: "order-7", isBlocking: true },
      { queue: "low", reason: "attempts", attempt: 1, lane: null, isBlocking: false },
    ]);
    expect(all[2]?.error?.message).toBe("timed out after 30 s");

    const found = async (filter: Parameters<typeof countDead>[1]) => {
      const ids = idsOf((await dead(at.store, { ...filter, limit: 10 })).rows);
      // a selection finds the same as the list
      expect(await countDead(at.store, filter)).toMatchObject({ count: ids.length });
      const range = { after: "0", last: "999", limit: 10 };
      expect(await deadIds(at.store, { ...filter, ...range })).toEqual([...ids].sort());
      return ids;
    };
    expect(await found({ reason: "attempts" })).toEqual([spent]);
    expect(await found({ reason: "crashed" })).toEqual([]);
    expect(await found({ lane: "order-7" })).toEqual([blocking]);
    expect(await found({ queue: "low" })).toEqual([spent]);
    expect(await found({ kind: "k", error: "no such" })).toEqual([skipped, blocking]);
    expect(await found({ queue: "q", reason: "attempts" })).toEqual([]);
    expect([...(await whichAreDead(at.store, [spent, "999"]))]).toEqual([spent]);
  });

  test("one, a selection, or all that match go back to their queues, or are removed, and the audit says by whom", async () => {
    const ids = [];
    for (const message of ["a 1", "a 2", "b 1", "b 2", "b 3"]) ids.push(await deadTask(message));
    const [first = "", second = "", third = "", fourth = "", fifth = ""] = ids;

    expect(await retryDead(at.store, [first], ADA)).toEqual([{ id: first, outcome: "retried" }]);
    expect(await removeDead(at.store, [second, third], ADA)).toEqual([
      { id: second, outcome: "removed" },
      { id: third, outcome: "removed" },
    ]);
    expect(await Promise.all(ids.map(stateOf))).toEqual([
      "ready",
      "removed",
      "removed",
      "dead",
      "dead",
    ]);

    const selection = { error: "b" };
    const { last } = await countDead(at.store, selection);
    const matching = await deadIds(at.store, { ...selection, after: "0", last, limit: 10 });
    expect(matching).toEqual([fourth, fifth]);
    await retryDead(at.store, matching, { by: "bob" });
    expect(await stateOf(fifth)).toBe("ready");
    expect((await dead(at.store, { limit: 10 })).rows.length).toBe(0);

    // none of them is dead any more
    expect(await retryDead(at.store, [first, second], ADA)).toEqual([]);
    expect(await removeDead(at.store, [first, second], ADA)).toEqual([]);
    const audit = await auditRows(at.store, { limit: 10 });
    expect(audit.map((row) => `${row.by} ${row.action} ${row.target}`).sort()).toEqual([
      `ada dead.remove task:${second}`,
      `ada dead.remove task:${third}`,
      `ada dead.retry task:${first}`,
      `bob dead.retry task:${fourth}`,
      `bob dead.retry task:${fifth}`,
    ]);
    expect(audit.find((row) => row.target === `task:${first}`)?.why).toBe("erp down");
  });

  test("those that died of the same are one group, whatever numbers their messages hold", async () => {
    for (const n of [1, 20, 300]) {
      await at.advance(1_000);
      await deadTask(`order ${n}: no such customer`, { lane: `order-${n}` });
    }
    const other = await deadTask("closed for good", { queue: "low" });
    const groups = await deadGroups(at.store, { limit: 10 });
    expect(groups).toMatchObject([
      {
        queue: "q",
        kind: "k",
        reason: "unrecoverable",
        error: "order #: no such customer",
        tasks: 3,
        blocking: 3,
      },
      { queue: "low", error: "closed for good", tasks: 1, blocking: 0, example: other },
    ]);
    expect(Number(groups[0]?.lastDiedAt)).toBeGreaterThan(Number(groups[0]?.firstDiedAt));
    expect(await deadGroups(at.store, { limit: 1 })).toHaveLength(1);
  });
});

test("R70a: a key is unique while its task lives: a second enqueue, and the retry of a dead letter whose key is taken, are duplicates", async () => {
  const id = await deadTask("no", { key: "order-7" });
  const other = await deadTask("no", { key: "order-8" });
  const live = await at.enqueue({ key: "order-7" });
  expect(live).not.toBe(id);
  const again = { kind: "k", queue: "q", payload: {}, key: "order-7" };
  expect(await enqueueSql(at.store, [again])).toEqual([{ id: live, outcome: "duplicate" }]);
  expect(await retryDead(at.store, [id, other], ADA)).toEqual([
    { id, outcome: "duplicate" },
    { id: other, outcome: "retried" },
  ]);
  expect([await stateOf(id), await stateOf(live), await stateOf(other)]).toEqual([
    "dead",
    "ready",
    "ready",
  ]);
  expect((await auditRows(at.store, { target: `task:${id}`, limit: 10 })).length).toBe(0);
  expect(await findTask(at.store, other)).toMatchObject({ key: "order-8", attempt: 0 });
});

test("a lane that a dead letter blocks goes on behind it when it is retried, and without it when it is removed", async () => {
  const lane = { lane: "order-7" };
  const head = await deadTask("no such customer", lane);
  const [second, third] = [await at.enqueue(lane), await at.enqueue(lane)];
  await sortLanes(at.store, 100);
  const low = async () => (await stats(at.store)).find((row) => row.queue === "q");
  expect(await low()).toMatchObject({ ready: 0, waiting: 2, blocked: 1, dead: 1 });
  expect(await findTask(at.store, second)).toMatchObject({ state: "waiting", lane: "order-7" });

  await retryDead(at.store, [head], ADA);
  expect(await low()).toMatchObject({ ready: 1, waiting: 2, blocked: 0, dead: 0 });
  expect((await whyTask(at.store, second))?.blockedBy).toMatchObject({ id: head });

  await failAll(new Unrecoverable("still not"));
  expect(await low()).toMatchObject({ ready: 0, waiting: 2, blocked: 1, dead: 1 });
  await removeDead(at.store, [head], ADA);
  expect(await low()).toMatchObject({ ready: 1, waiting: 1, blocked: 0, dead: 0 });
  expect(await stateOf(second)).toBe("ready");
  expect((await whyTask(at.store, third))?.blockedBy).toMatchObject({ id: second });
});

test("what has just arrived in a lane is waiting to people, in the list and alone", async () => {
  const id = await at.enqueue({ lane: "order-7" });
  expect(await stateOf(id)).toBe("waiting");
  expect((await stats(at.store)).find((row) => row.queue === "q")?.waiting).toBe(1);
});
