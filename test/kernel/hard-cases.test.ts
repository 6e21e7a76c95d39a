import { beforeEach, expect, test } from "vitest";
import { makePartitions, promote, rescue } from "../../src/kernel/sql.ts";
import type { Store } from "../../src/store/store.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore } from "../support/database.ts";
import {
  count,
  defineKinds,
  done,
  endLease,
  enqueueCount,
  enqueueSql,
  failed,
  newWorker,
  sendTurn,
} from "../support/kernel.ts";

let store: Store;
beforeEach(async () => {
  store = await freshStore({ max: 4 });
  await defineKinds(store);
});

test("a failure sent again because the answer was lost is counted once, even while its claim is open", async () => {
  await enqueueCount(store, 2);
  const worker = await newWorker(store);
  const [a] = await sendTurn(store, { worker, claim: 1, limit: 2 });
  if (a === undefined) throw new Error("nothing claimed");
  const outcomes = [failed(a, 1)];
  expect(await sendTurn(store, { worker, outcomes })).toEqual([]);
  expect(await sendTurn(store, { worker, outcomes })).toEqual([]);
  expect(await count(store, "attempt")).toBe(1);
  expect(await store.rows("select attempt from pawl.task order by id")).toEqual([
    { attempt: 1 },
    { attempt: 0 },
  ]);
});

test("partitions are made ahead even when history of that day lies in the default partition already", async () => {
  const clock = await movableClock(store);
  await clock.advance(30 * 86_400_000); // no worker for a month
  await enqueueCount(store, 1);
  const worker = await newWorker(store);
  const [a] = await sendTurn(store, { worker, claim: 1, limit: 2 });
  if (a === undefined) throw new Error("nothing claimed");
  await sendTurn(store, { worker, outcomes: [done(a, 1)], gone: [1] });
  expect(await makePartitions(store, 7)).toBeGreaterThan(0);
});

test("R64: a task that ran alone is not counted as crashed when the normal task beside it killed the worker", async () => {
  await defineKinds(store, {
    kinds: ["k", "poison"],
    retry: { attempts: 20, delays_ms: [0], jitter: 0, until_ms: null },
  });
  const [innocent] = await enqueueCount(store, 1);
  const [first] = [await newWorker(store)];
  await sendTurn(store, { worker: first, claim: 1, limit: 5 });
  await endLease(store, first);
  await rescue(store);
  await promote(store, 10);
  for (let crash = 0; crash < 3; crash += 1) {
    await enqueueSql(store, [{ kind: "poison" }]);
    const worker = await newWorker(store);
    const got = [
      ...(await sendTurn(store, { worker, claim: 1, limit: 5 })),
      ...(await sendTurn(store, { worker, claim: 2, limit: 5, solo: false })),
      ...(await sendTurn(store, { worker, claim: 3, limit: 5, solo: true })),
    ];
    expect(got.some((row) => row.id === innocent)).toBe(true);
    await endLease(store, worker);
    await rescue(store);
    await promote(store, 10);
  }
  expect(await store.rows("select id, reason from pawl.dead where id = $1", [innocent])).toEqual(
    [],
  );
});

test.each([
  ["max_attempts", 0],
  ["max_attempts", 99_999],
  ["max_attempts", 1.5],
  ["run_at", "tomorrowish"],
  ["run_at", "infinity"],
  ["delay_ms", "x"],
  ["delay_ms", 1e18],
  ["meta", "text"],
])(
  "R112: through SQL a task with %s %s is refused with its place and its value",
  async (field, value) => {
    const refused = enqueueSql(store, [{ kind: "k" }, { kind: "k", [field]: value }]);
    await expect(refused).rejects.toMatchObject({
      code: "invalid_option",
      message: expect.stringContaining(`task no. 2 of the call: bad ${field}: ${value}`),
    });
    expect(await count(store, "task")).toBe(0);
  },
);
