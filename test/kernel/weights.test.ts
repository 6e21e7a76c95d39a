import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl } from "../../src/index.ts";
import { Candidates } from "../../src/kernel/candidates.ts";
import { FairShares } from "../../src/kernel/fair-shares.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const order: string[] = [];
const job = (name: string, queue: string) =>
  defineJob({ name, queue, input: z.object({}), run: () => void order.push(name) });
const [high, normal, low] = [job("h", "high"), job("n", "normal"), job("l", "low")];

const row = (shard: number) => ({
  shard_id: shard,
  stream_id: shard,
  priority: 1,
  solo: false,
  is_ready: true,
  is_limited: false,
  is_watched: false,
});

/** Claims so many tasks at a time from queues that always have more; returns how many each got. */
function served(weights: readonly number[], batches: readonly number[]): number[] {
  const candidates = new Candidates(new FairShares(new Map(weights.entries())));
  candidates.replace(
    weights.map((_, shard) => row(shard)),
    (stream) => stream,
  );
  const tasks = weights.map(() => 0);
  for (const batch of batches) {
    const [first] = candidates.next(8, batch, true, () => 1_000).shards;
    if (first === undefined) throw new Error("nothing to claim");
    tasks[first.shard] = (tasks[first.shard] ?? 0) + batch;
    candidates.claimed(
      [first],
      Array.from({ length: batch }, () => ({ shard_id: first.shard })),
    );
    candidates.hit(first.shard, true);
  }
  return tasks;
}

describe("R73: weighted queues", () => {
  let pawl: Pawl;
  beforeAll(async () => {
    const { url } = await freshDatabase({ longLeases: true });
    const app = defineApp({ jobs: [high, normal, low] });
    pawl = await connect(app, { databaseUrl: url, log: silentLogger });
    atEnd(() => pawl.close());
  });

  test("low gets its share while high always has work", async () => {
    await pawl.enqueueMany(high, Array(100).fill({}));
    await pawl.enqueueMany(low, Array(100).fill({}));
    const worker = await pawl.work({ weights: { high: 4, low: 1 }, concurrency: 1, limit: 50 });
    await worker.stopped;
    expect(order).toHaveLength(50);
    const early = order.slice(0, 10).filter((one) => one === "l").length;
    const all = order.filter((one) => one === "l").length;
    expect(early).toBeGreaterThanOrEqual(1);
    expect(all).toBeGreaterThanOrEqual(9);
    expect(all).toBeLessThanOrEqual(11);
  });

  test("without weights the order of queues is strict", async () => {
    order.length = 0;
    const worker = await pawl.work({ concurrency: 1, limit: 20 });
    await worker.stopped;
    expect(order).toEqual(Array(20).fill("h"));
  });

  test("R56: a queue that is excluded is served by others only", async () => {
    order.length = 0;
    await pawl.enqueue(normal, {});
    const worker = await pawl.work({ exclude: ["high", "low"] });
    await until("the only task of another queue ran", () => order.length > 0);
    await worker.stop();
    expect(order).toEqual(["n"]);
  });

  test("names that are no queues, and weights of a queue that is not served, are refused", async () => {
    const refused = async (options: object, message: RegExp) =>
      expect(pawl.work(options)).rejects.toThrow(message);
    await refused({ weights: { hihg: 1 } }, /no queue "hihg"; did you mean "high"/);
    await refused({ exclude: ["lwo"] }, /no queue "lwo"; did you mean "low"/);
    await refused({ queues: ["high"], weights: { low: 1 } }, /"low", which this worker does not/);
    await refused({ weights: { low: 0 } }, /integers from 1 to 1000/);
    await refused({ weights: "low=1" }, /an object of integers/);
  });
});

test("shares of starts are as the weights, however many tasks a claim takes", () => {
  const even = served([5, 3, 1], Array(90).fill(10));
  expect(even).toEqual([500, 300, 100]);
  const sizes = Array.from({ length: 600 }, (_, i) => 1 + ((i * 37) % 50));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const [first = 0, second = 0, third = 0] = served([5, 3, 1], sizes);
  for (const [tasks, weight] of [
    [first, 5],
    [second, 3],
    [third, 1],
  ] as const)
    expect(Math.abs(tasks - (total * weight) / 9)).toBeLessThanOrEqual(2 * 50 * weight);
});

test("a queue that had no work gets no credit for it", () => {
  const fair = new FairShares(new Map());
  fair.started(0, 1_000);
  fair.started(0, 1);
  expect(fair.reached(1)).toBe(1_000);
});
