// One worker that is idle between tasks, in the process that enqueues: both ends of a delay are read from one clock.
import { setTimeout as wait } from "node:timers/promises";
import { connect, defineApp, defineJob, jsonLogger } from "../../dist/index.js";

const WARM_UP_SAMPLES = 20;
const PAUSE_MS = { min: 20, max: 120 };
const START_MS_MAX = 10_000;

const anything = { "~standard": { version: 1, vendor: "bench", validate: (value) => ({ value }) } };

export async function open({ url }) {
  const started = new Map();
  const run = async ({ n }) => started.get(n)(performance.now());
  const plain = defineJob({ name: "plain", input: anything, run });
  const laned = defineJob({
    name: "laned",
    input: anything,
    lane: ({ n }) => `lane-${n % 7}`,
    run,
  });
  const jobs = { plain, laned };
  const app = defineApp({ name: "bench", jobs: [plain, laned] });
  const pawl = await connect(app, { databaseUrl: url, migrate: true, log: jsonLogger("error") });
  const worker = await pawl.work();
  let n = 0;

  /** From the answer of the commit to the first line of the handler; 0 when the handler was first. */
  const startDelay = async (job) => {
    n += 1;
    const start = new Promise((resolve) => started.set(n, resolve));
    await pawl.enqueue(job, { n });
    const committedAt = performance.now();
    const startedAt = await Promise.race([start, wait(START_MS_MAX, undefined, { ref: false })]);
    if (startedAt === undefined)
      throw new Error(`task ${n} did not start within ${START_MS_MAX} ms`);
    return Math.max(startedAt - committedAt, 0);
  };

  return {
    startDelays: async ({ kind, samples }) => {
      const delays = [];
      for (let i = -WARM_UP_SAMPLES; i < samples; i++) {
        await wait(PAUSE_MS.min + Math.random() * (PAUSE_MS.max - PAUSE_MS.min));
        const delay = await startDelay(jobs[kind]);
        if (i >= 0) delays.push(delay);
      }
      return delays;
    },
    close: async () => {
      await worker.stop();
      await pawl.close();
    },
  };
}
