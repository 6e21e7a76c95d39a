// pg-boss by its bare `fetch` and `complete`, since its `work()` polls every 0.5 s at best: no handler is called at all.
import pg from "pg";
import { PgBoss } from "pg-boss";
import { DrainClock } from "./drain-clock.mjs";
import { timeEnqueue } from "./payload.mjs";

const LOOPS = 4;

export async function open({ url, batchSize }) {
  const boss = new PgBoss({ connectionString: url, max: 10, supervise: false, schedule: false });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  await boss.createQueue("noop");
  const client = new pg.Client({ connectionString: url });
  await client.connect();

  const loop = async (clock) => {
    for (;;) {
      const jobs = await boss.fetch("noop", { batchSize });
      if (jobs.length === 0) return;
      await boss.complete(
        "noop",
        jobs.map((job) => job.id),
      );
      for (let i = 0; i < jobs.length; i++) clock.handled();
    }
  };

  return {
    enqueue: (tasks) =>
      timeEnqueue(tasks, (batch) =>
        boss.insert(
          "noop",
          batch.map((data) => ({ data })),
        ),
      ),
    drain: async (tasks) => {
      const clock = new DrainClock(tasks);
      clock.workerIsUp();
      const loops = Array.from({ length: LOOPS }, () => loop(clock));
      const ms = await clock.finished(async () => true); // a job is counted after it was completed
      await Promise.all(loops);
      return ms;
    },
    check: async (total) => {
      const { rows } = await client.query(COUNTS);
      const { completed, others } = rows[0];
      if (completed !== total || others !== 0)
        throw new Error(`pg-boss: ${completed} of ${total} jobs completed, ${others} others`);
    },
    close: async () => {
      await client.end();
      await boss.stop({ graceful: false });
    },
  };
}

const COUNTS = `
  select count(*) filter (where state = 'completed')::int as completed,
    count(*) filter (where state <> 'completed')::int as others
  from pgboss.job where name = 'noop'`;
