/**
 * A worker in a process of its own, for tests that kill or freeze it. Its jobs tell what they did in the table
 * `began (task, pid, at)`; the first attempt of `hold` waits until a row of `released` names its task.
 */

import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { type App, defineApp, defineJob, type Pawl } from "../../src/index.ts";
import { asWorker } from "./as-worker.ts";

const RETRY = { attempts: 30, delays: ["10ms"], jitter: 0 };
let pawl: Pawl | undefined;

async function began(task: string): Promise<void> {
  await pawl?.store.rows("insert into began (task, pid, at) values ($1, $2, clock_timestamp())", [
    task,
    process.pid,
  ]);
}

/** Takes as long as it is told. */
export const shortJob = defineJob({
  name: "short",
  input: z.object({ ms: z.number() }),
  retry: RETRY,
  run: ({ ms }) => pause(ms),
});

export const holdJob = defineJob({
  name: "hold",
  input: z.object({}),
  retry: RETRY,
  run: async (_, context) => {
    await began(context.taskId);
    while (context.attempt === 1) {
      const rows = await pawl?.store.rows("select 1 from released where task = $1", [
        context.taskId,
      ]);
      if (rows?.length !== 0) break;
      await pause(20);
    }
    return { pid: process.pid };
  },
});

let neighbours = 0;

/** Its first attempt waits for its worker's death. */
export const neighbourJob = defineJob({
  name: "neighbour",
  input: z.object({}),
  retry: RETRY,
  run: async (_, { attempt, signal }) => {
    neighbours += 1;
    await pause(attempt === 1 ? 600_000 : 200, undefined, { signal });
  },
});

/** Its first attempt kills the worker as soon as a neighbour runs there. */
export const poisonJob = defineJob({
  name: "poison",
  input: z.object({}),
  retry: RETRY,
  run: async (_, { attempt }) => {
    while (attempt === 1 && neighbours === 0) await pause(20);
    process.kill(process.pid, "SIGKILL");
    return new Promise(() => undefined);
  },
});

/** Takes ten at once; one that is poison kills the worker, and what is beside it. */
export const bulkJob = defineJob({
  name: "bulk",
  input: z.object({ isPoison: z.boolean() }),
  batch: { max: 10 },
  retry: RETRY,
  run: async (tasks) => {
    await Promise.all(tasks.map(({ taskId }) => began(taskId)));
    if (!tasks.some(({ input }) => input.isPoison)) return undefined;
    process.kill(process.pid, "SIGKILL");
    return new Promise(() => undefined);
  },
});

export const faultApp: App = defineApp({
  jobs: [shortJob, holdJob, neighbourJob, poisonJob, bulkJob],
});

await asWorker(faultApp, (connected) => {
  pawl = connected;
});
