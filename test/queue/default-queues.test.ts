/** The three queues that every app has, with the retries of each, as the database keeps to them. */

import { expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob } from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore } from "../support/database.ts";
import { LONG_LEASE } from "../support/kernel.ts";
import { until } from "../support/until.ts";

const QUEUES = ["high", "normal", "low"] as const;
/** Seconds, before jitter. */
const DELAYS = { high: [1, 2, 4], normal: [5, 15, 45], low: [30, 60] };
const JITTER = 0.1;

interface Waiting {
  queue: string;
  attempt: number;
  seconds: number;
}

test("R52, R54: a task of each default queue is tried again after the delays of its queue, and then lies among the dead letters", async () => {
  const store = await freshStore({ max: 4 });
  const clock = await movableClock(store, { isSlow: true });
  await store.rows(LONG_LEASE);
  const jobs = QUEUES.map((queue) =>
    defineJob({
      name: `of-${queue}`,
      queue,
      input: z.object({}),
      run: () => {
        throw new Error("it fails each time");
      },
    }),
  );
  const pawl = await connect(defineApp({ jobs }), { databaseUrl: store.url, log: silentLogger });
  atEnd(() => pawl.close());
  for (const job of jobs) await pawl.enqueue(job, {});
  await pawl.work();
  const seen: Record<string, number[]> = { high: [], normal: [], low: [] };
  const dead = async () => (await pawl.dead.list()).map(({ queue }) => queue);
  for (const round of [0, 1, 2]) {
    const rows = await until("each has failed or is dead", async () => {
      const waiting = await store.rows<Waiting>(
        `select q.name as queue, t.attempt, extract(epoch from t.run_at - a.ended_at)::float8 as seconds
           from pawl.task t join pawl.queue q on q.id = t.queue_id
           join pawl.attempt a on a.task_id = t.id and a.attempt = t.attempt
          where t.state = 'scheduled' and t.attempt = $1`,
        [round + 1],
      );
      return waiting.length + (await dead()).length === QUEUES.length && waiting;
    });
    for (const { queue, seconds } of rows) seen[queue]?.push(seconds);
    await clock.advance(70_000);
  }
  await until("all are dead", async () => (await dead()).length === QUEUES.length);
  expect((await dead()).toSorted()).toEqual([...QUEUES].toSorted());
  for (const queue of QUEUES) {
    const delays = DELAYS[queue];
    expect(seen[queue]).toHaveLength(delays.length);
    for (const [n, seconds] of (seen[queue] ?? []).entries())
      expect(Math.abs(seconds - (delays[n] ?? 0))).toBeLessThanOrEqual(
        JITTER * (delays[n] ?? 0) + 0.01,
      );
  }
  for (const { attempt, queue } of await pawl.dead.list())
    expect(attempt).toBe(DELAYS[queue as keyof typeof DELAYS].length + 1);
});
