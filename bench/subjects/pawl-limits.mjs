// Pawl with limits per key that nobody reaches: the same trivial tasks in a queue without limits, and in queues with some.
import { connect, defineApp, defineJob, jsonLogger } from "../../dist/index.js";
import { DrainClock } from "./drain-clock.mjs";
import { batches } from "./payload.mjs";

const SHARDS = 8;
const GRACE = "10s";
const SLOTS = 1_000;
const RATE = { limit: 10_000, per: "1s", burst: 1_000 };
const LIMITS = {
  none: {},
  concurrency: { keyConcurrency: 50 },
  rate: { keyRate: RATE },
  both: { keyConcurrency: 50, keyRate: RATE },
};

const anything = { "~standard": { version: 1, vendor: "bench", validate: (value) => ({ value }) } };

export async function open({ url, keys }) {
  let clock = new DrainClock(0);
  const jobs = Object.keys(LIMITS).map((name) =>
    defineJob({
      name,
      queue: name,
      input: anything,
      ...(name !== "none" && { limitKey: ({ id }) => `tenant-${id % keys}` }),
      run: async () => clock.handled(),
    }),
  );
  const queues = Object.fromEntries(
    Object.entries(LIMITS).map(([name, limits]) => [name, { ...limits, shards: SHARDS }]),
  );
  const pawl = await connect(defineApp({ name: "bench", jobs, queues }), {
    databaseUrl: url,
    migrate: true,
    log: jsonLogger("error"),
  });
  const isEmpty = async () => {
    const [row] = await pawl.store.rows("select not exists (select from pawl.task) as is_empty");
    return row.is_empty;
  };
  return {
    enqueue: async ({ limits, tasks }) => {
      const job = jobs.find(({ name }) => name === limits);
      for (const batch of batches(tasks)) await pawl.enqueueMany(job, batch);
      await pawl.store.rows("analyze");
    },
    drain: async ({ limits, tasks }) => {
      clock = new DrainClock(tasks);
      const worker = await pawl.work({ queues: [limits], concurrency: SLOTS });
      clock.workerIsUp();
      const ms = await clock.finished(isEmpty);
      await worker.stop(GRACE);
      return ms;
    },
    close: () => pawl.close(),
  };
}
