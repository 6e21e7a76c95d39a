import { expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import type { TaskHandler } from "../../src/kernel/task.ts";
import { freshStore } from "../support/database.ts";
import { count, defineKinds, enqueueCount, LONG_LEASE } from "../support/kernel.ts";
import { lossy, workerOn } from "../support/lossy.ts";
import { random } from "../support/random.ts";
import { until } from "../support/until.ts";

test("R99: lost answers make no attempt count twice", async () => {
  const chance = random();
  const store = await freshStore();
  await defineKinds(store);
  await store.rows(LONG_LEASE); // a lease that a busy machine lost would count one more
  await enqueueCount(store, 500);
  const cut = lossy(store, chance);
  const runs = new Map<string, number>();
  const run: TaskHandler["run"] = async (_, { taskId }) => {
    const times = (runs.get(taskId) ?? 0) + 1;
    runs.set(taskId, times);
    // the work itself takes a while, some longer than their neighbours in the claim
    if (chance.next() < 0.5)
      await new Promise((resolve) => setTimeout(resolve, chance.whole(1, 30)));
    if (times <= Number(taskId) % 3) throw new Error("no");
  };
  const handler = { queue: "q", kind: "k", version: 1, timeoutMs: 600_000, run };
  const worker = workerOn(cut.store, handler, 20);
  await worker.start();
  await until("all are done", async () => (await count(store, "task")) === 0);
  await worker.stop(10_000);
  expect(await count(store, "dead")).toBe(0);
  const rows = await store.rows<{ id: string; attempt: number; kept: number }>(
    "select f.id, f.attempt, (select count(*)::int from pawl.attempt a where a.task_id = f.id) as kept from pawl.finished f",
  );
  expect(rows).toHaveLength(500);
  expect(
    rows.filter((row) => row.attempt !== runs.get(row.id) || row.kept !== row.attempt - 1),
  ).toEqual([]);
  expect(await store.rows("select refused::int from pawl.worker")).toEqual([{ refused: 0 }]);
});

test("R98: with thousands of outcomes waiting behind failed turns, no claim goes before its outcomes are recorded", async () => {
  const store = await freshStore({ max: 12 });
  await defineKinds(store);
  await store.rows(LONG_LEASE);
  await enqueueCount(store, 6_000);
  let isDown = false;
  let failures = 0;
  const prepared = async <Row>(text: string, values: readonly unknown[]): Promise<Row[]> => {
    if (isDown && text.includes("turn_v1")) {
      failures += 1;
      throw new PawlError("database_unreachable", "down");
    }
    return store.prepared<Row>(text, values);
  };
  const waiting: (() => void)[] = [];
  let runs = 0;
  const run: TaskHandler["run"] = () => {
    runs += 1;
    if (runs > 6_000) return undefined;
    return new Promise<void>((resolve) => waiting.push(resolve));
  };
  const handler = { queue: "q", kind: "k", version: 1, timeoutMs: 600_000, run };
  const worker = workerOn({ ...store, prepared }, handler, 6_000);
  await worker.start();
  await until("all run", () => waiting.length === 6_000);
  isDown = true;
  for (const go of waiting) go();
  await until("nothing runs any more", () => worker.running === 0);
  await until("a few turns failed", () => failures >= 4);
  isDown = false;
  await until("all are done", async () => (await count(store, "task")) === 0);
  await worker.stop(10_000);
  expect(runs).toBe(6_000);
  expect(await store.rows("select refused::int from pawl.worker")).toEqual([{ refused: 0 }]);
});
