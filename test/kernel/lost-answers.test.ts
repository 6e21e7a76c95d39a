import { expect, test } from "vitest";
import type { TaskHandler } from "../../src/kernel/task.ts";
import { freshStore } from "../support/database.ts";
import { count, defineKinds, enqueueCount, LONG_LEASE } from "../support/kernel.ts";
import { lossy, workerOn } from "../support/lossy.ts";
import { random } from "../support/random.ts";
import { until } from "../support/until.ts";

test("R98: answers of the database that are lost make no task run twice, end twice, or be forgotten", async () => {
  const chance = random();
  const store = await freshStore();
  await defineKinds(store);
  await store.rows(LONG_LEASE); // a lease that a busy machine lost would run tasks again
  const all = await enqueueCount(store, 2_000);
  const cut = lossy(store, chance);
  const runs = new Map<string, number>();
  const run: TaskHandler["run"] = (_, { taskId }) => {
    runs.set(taskId, (runs.get(taskId) ?? 0) + 1);
  };
  const handler = { queue: "q", kind: "k", version: 1, timeoutMs: 600_000, run };
  const worker = workerOn(cut.store, handler, 20);
  await worker.start();
  await until("all are done", async () => (await count(store, "task")) === 0);
  await worker.stop(10_000);
  console.log(`seed ${chance.seed}: ${cut.lost()} answers lost`);
  expect(cut.lost()).toBeGreaterThan(5);
  expect([...runs.keys()].toSorted()).toEqual(all.toSorted());
  expect([...runs.values()].filter((times) => times !== 1)).toEqual([]);
  expect(await count(store, "finished")).toBe(2_000);
  expect(await count(store, "claim")).toBe(0);
  expect(await store.rows("select refused::int from pawl.worker")).toEqual([{ refused: 0 }]);
});
