import { beforeEach, expect, test } from "vitest";
import { sortLanes } from "../../../src/kernel/sql.ts";
import { Unrecoverable } from "../../../src/kernel/thrown.ts";
import { openTransaction } from "../../support/database.ts";
import { failed, sendTurn } from "../../support/kernel.ts";
import { until } from "../../support/until.ts";
import { type Bench, bench } from "./fixture.ts";

let at: Bench;
const OF_LANES = { queue: "unblocked", max_attempts: 1 };

beforeEach(async () => {
  at = await bench();
});

/** One dead letter for each, in the order of their ids. */
async function died(tasks: readonly object[]): Promise<string[]> {
  const ids: string[] = [];
  for (const task of tasks) ids.push(await at.enqueue({ ...OF_LANES, ...task }));
  const worker = await at.worker();
  for (let claim = 1; ; claim += 1) {
    await sortLanes(at.store, 100);
    const rows = await sendTurn(at.store, { worker, claim, limit: 100 });
    if (rows.length === 0) return ids;
    const outcomes = rows.map((row) => failed(row, claim, new Unrecoverable("no")));
    await sendTurn(at.store, { worker, outcomes, gone: [claim] });
  }
}

const RETRY = "select id::text, outcome from pawl.retry_dead_v1($1, 'ada', null)";
const ENQUEUE = "select id::text, outcome from pawl.enqueue($1::text::jsonb)";
const keyed = (...keys: string[]) =>
  JSON.stringify(keys.map((key) => ({ kind: "k", queue: "unblocked", payload: {}, key })));

/** Holds the key until it is rolled back, so that a retry stops at it. */
async function holding(key: string) {
  const held = await openTransaction(at.url);
  await held.query(ENQUEUE, [keyed(key)]);
  return held;
}

test("R102: two retries of many dead letters, of the same lanes in opposite order, never wait for each other", async () => {
  const [a1, p, b1, b2, a2] = await died([
    { lane: "a" },
    { key: "p" },
    { lane: "b" },
    { lane: "b" },
    { lane: "a" },
  ]);
  const later = await at.enqueue({ delay_ms: 3_600_000 });
  const heads = [];
  for (const lane of ["a", "b"])
    heads.push(await at.enqueue({ ...OF_LANES, lane, after: [later] }));
  await sortLanes(at.store, 100);
  const held = await holding("p");
  const [one, other] = [await openTransaction(at.url), await openTransaction(at.url)];
  const first = one
    .query(RETRY, [[a1, p, b1]])
    .then(({ rows }) => one.query("commit").then(() => rows));
  await untilWaiting(1);
  const second = other
    .query(RETRY, [[b2, a2]])
    .then(({ rows }) => other.query("commit").then(() => rows));
  await untilWaiting(2, second);
  await held.query("rollback");
  expect((await first).map(({ outcome }) => outcome)).toEqual(["retried", "retried", "retried"]);
  expect(await second).toEqual([
    { id: b2, outcome: "retried" },
    { id: a2, outcome: "retried" },
  ]);
  // the parked ones stand behind what is older
  const states = await at.store.rows(
    "select lane, state, id = any ($1) as is_parked, count(*)::int from pawl.task where lane is not null group by 1, 2, 3 order by 1, 2, 3",
    [heads],
  );
  expect(states).toEqual(
    ["a", "b"].flatMap((lane) => [
      { lane, state: "arrived", is_parked: false, count: 1 },
      { lane, state: "ready", is_parked: false, count: 1 },
      { lane, state: "waiting", is_parked: true, count: 1 },
    ]),
  );
});

test("R102: a retry of many dead letters takes their keys in the order in which enqueue does", async () => {
  const [y, p, x] = await died([{ key: "y" }, { key: "p" }, { key: "x" }]);
  const held = await holding("p");
  const [one, other] = [await openTransaction(at.url), await openTransaction(at.url)];
  const first = one
    .query(RETRY, [[y, p, x]])
    .then(({ rows }) => one.query("commit").then(() => rows));
  await untilWaiting(1);
  const second = other
    .query(ENQUEUE, [keyed("x", "y")])
    .then(({ rows }) => other.query("commit").then(() => rows));
  await untilWaiting(2, second);
  await held.query("rollback");
  expect(await first).toEqual([
    { id: y, outcome: "duplicate" },
    { id: p, outcome: "retried" },
    { id: x, outcome: "duplicate" },
  ]);
  expect((await second).map(({ outcome }) => outcome)).toEqual(["created", "created"]);
});

/** Until so many sessions of this database wait for a lock, that of a transaction's end too; or `other` is done. */
async function untilWaiting(count: number, other?: Promise<unknown>): Promise<void> {
  let isDone = false;
  const done = () => {
    isDone = true;
  };
  other?.then(done, done);
  await until(`${count} wait`, async () => {
    if (isDone) return true;
    const rows = await at.store.rows(
      "select from pg_stat_activity a where a.datname = current_database() and a.wait_event_type = 'Lock'",
    );
    return rows.length === count;
  });
}
