// graphile-worker at its fastest documented settings: jobs fetched 500 at a time into a local queue, completions batched.
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { DrainClock } from "./drain-clock.mjs";
import { timeEnqueue } from "./payload.mjs";

export async function open({ url, concurrency }) {
  const logger = new Logger(() => () => {});
  const utils = await makeWorkerUtils({ connectionString: url, logger });
  await utils.migrate();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const worker = {
    connectionString: url,
    concurrentJobs: concurrency,
    maxPoolSize: 10,
    localQueue: { size: 500, refetchDelay: { durationMs: 10 } },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  };
  const isEmpty = async () => (await client.query(IS_EMPTY, [before])).rows[0].is_empty;
  let handled = 0;
  let before = 0;

  return {
    enqueue: (tasks) =>
      timeEnqueue(tasks, (batch) =>
        utils.addJobs(batch.map((payload) => ({ identifier: "noop", payload }))),
      ),
    drain: async (tasks) => {
      before = handled;
      const clock = new DrainClock(tasks);
      const noop = () => clock.handled();
      const runner = await run({
        preset: { worker },
        logger,
        noHandleSignals: true,
        taskList: { noop },
      });
      clock.workerIsUp();
      const ms = await clock.finished(isEmpty);
      handled += clock.done;
      await runner.stop();
      return ms;
    },
    check: async (total) => {
      if (handled !== total || !(await isEmpty()))
        throw new Error(`graphile-worker: ${handled} of ${total} jobs handled, or some left`);
    },
    close: async () => {
      await client.end();
      await utils.release();
    },
  };
}

// Ids rise by one a job: only this round's dead rows are walked over, not those of all rounds.
const IS_EMPTY =
  "select not exists (select from graphile_worker._private_jobs where id > $1) as is_empty";
