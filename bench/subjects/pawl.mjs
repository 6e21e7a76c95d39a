// Pawl through its public API: one job with a trivial handler, history kept in full.
import pg from "pg";
import { connect, defineApp, defineJob, jsonLogger } from "../../dist/index.js";
import { DrainClock } from "./drain-clock.mjs";
import { timeEnqueue } from "./payload.mjs";

const SHARDS = 8;
const GRACE = "10s";

const anything = { "~standard": { version: 1, vendor: "bench", validate: (value) => ({ value }) } };

/** `workers` is how many `work()` loops this process runs. */
export async function open({ url, concurrency, turns, workers = 1 }) {
  let clock = new DrainClock(0);
  const noop = defineJob({ name: "noop", input: anything, run: async () => clock.handled() });
  const app = defineApp({ name: "bench", jobs: [noop], queues: { normal: { shards: SHARDS } } });
  const pawl = await connect(app, {
    databaseUrl: url,
    migrate: true,
    connections: Math.max(10, workers * 4),
    log: jsonLogger("error"),
  });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  let running = [];

  const start = async (tasks) => {
    clock = new DrainClock(tasks);
    const options = { concurrency, ...(turns !== undefined && { turns }) };
    running = await Promise.all(Array.from({ length: workers }, () => pawl.work(options)));
    clock.workerIsUp();
  };
  const stop = () => Promise.all(running.splice(0).map((worker) => worker.stop(GRACE)));
  const isEmpty = async () => (await client.query(IS_EMPTY)).rows[0].is_empty;

  return {
    enqueue: (tasks) => timeEnqueue(tasks, (batch) => pawl.enqueueMany(noop, batch)),
    drain: async (tasks) => {
      await start(tasks);
      const ms = await clock.finished(isEmpty);
      await stop();
      return ms;
    },
    // for drains shared by several processes: the runner keeps the time
    start,
    stop,
    done: async () => clock.done,
    isEmpty,
    check: async (total) => {
      const { rows } = await client.query(COUNTS);
      const { finished, waiting } = rows[0];
      if (finished !== total || waiting !== 0)
        throw new Error(`pawl: ${finished} of ${total} tasks finished, ${waiting} waiting`);
    },
    close: async () => {
      await stop();
      await client.end();
      await pawl.close();
    },
  };
}

// Asked through the cursors: under a pinned horizon the table itself is full of dead rows, and reading them would be
// what is measured.
const IS_EMPTY = `
  select not exists (select from pawl.claim)
     and not exists (select from pawl.shard h where exists (
       select from pawl.task t where t.shard_id = h.id and t.state = 'ready' and t.seq > h.cursor)) as is_empty`;
const COUNTS = `
  select (select count(*)::int from pawl.finished where outcome = 'done') as finished,
    (select count(*)::int from pawl.task) as waiting`;
