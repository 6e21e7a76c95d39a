// Processes of three trivial steps: started one by one, many at once, and run by a worker in the same process, until all of them are
// recorded as ended. Also one step alone, and jobs beside runs that are parked.
import { setTimeout as wait } from "node:timers/promises";
import pg from "pg";
import { connect, defineApp, defineJob, defineProcess, jsonLogger } from "../../dist/index.js";

const STARTERS = 100;
const CONCURRENCY = 1_000;
const POLL_MS = 2;
const BATCH = 1_000;

const anything = { "~standard": { version: 1, vendor: "bench", validate: (value) => ({ value }) } };

export async function open({ url, kind }) {
  const trivial = {
    call: (n) => async () => n,
    tx:
      (n) =>
      async ({ tx }) =>
        void (await tx.query("select 1")) ?? n,
  };
  const work = trivial[kind];
  const three = defineProcess({
    name: "three",
    version: 1,
    input: anything,
    steps: (s) => s[kind]("a", work(0))[kind]("b", work(1))[kind]("c", work(2)),
  });
  const times = [];
  const alone = defineProcess({
    name: "alone",
    version: 1,
    input: anything,
    steps: (s) =>
      s
        .tx("one", async ({ tx }) => {
          times.push(performance.now());
          await tx.query("select 1");
        })
        .tx("again", async ({ input, goto }) => {
          times.push(performance.now());
          return times.length < input.samples ? goto("one") : undefined;
        }),
  });
  const waiting = defineProcess({
    name: "waiting",
    version: 1,
    input: anything,
    steps: (s) => s.wait("word"),
  });
  let handled = 0;
  const noop = defineJob({
    name: "noop",
    input: anything,
    run: async () => {
      handled += 1;
    },
  });
  const app = defineApp({ name: "bench", processes: [three, alone, waiting], jobs: [noop] });
  const pawl = await connect(app, { databaseUrl: url, migrate: true, log: jsonLogger("error") });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  let worker = await pawl.work({ concurrency: CONCURRENCY });
  const finished = async () =>
    Number(
      (await client.query("select count(*) as n from pawl.finished where outcome = 'done'")).rows[0]
        .n,
    );

  return {
    run: async (runs) => {
      const before = await finished();
      const startedAt = performance.now();
      let next = 0;
      const starter = async () => {
        while (next < runs) await pawl.start(three, next++);
      };
      await Promise.all(Array.from({ length: STARTERS }, starter));
      while ((await finished()) < before + runs) await wait(POLL_MS * 5);
      return performance.now() - startedAt;
    },
    idleTx: async (samples) => {
      await pawl.start(alone, { samples: samples + 20 });
      while ((await finished()) < 1) await wait(50);
      return times.slice(20).map((at, i) => at - times[i + 19]);
    },
    park: async (count) => {
      const { id } = await pawl.start(waiting, {});
      while ((await pawl.task(id))?.state !== "parked") await wait(20);
      const { rows } = await client.query(
        `select string_agg(quote_ident(attname), ', ') as names from pg_attribute
          where attrelid = 'pawl.task'::regclass and attnum > 0 and not attisdropped and attname not in ('id', 'seq')`,
      );
      for (let made = 0; made < count; made += BATCH * 100)
        await client.query(
          `insert into pawl.task (seq, ${rows[0].names}) select nextval('pawl.seq'), ${rows[0].names}
             from pawl.task cross join generate_series(1, $2::int) where id = $1`,
          [id, Math.min(BATCH * 100, count - made)],
        );
      await client.query("vacuum analyze pawl.task");
    },
    drain: async (tasks) => {
      await worker.stop();
      for (let i = 0; i < tasks; i += BATCH)
        await pawl.enqueueMany(
          noop,
          Array.from({ length: Math.min(BATCH, tasks - i) }, (_, n) => ({ n })),
        );
      handled = 0;
      const startedAt = performance.now();
      worker = await pawl.work({ concurrency: CONCURRENCY });
      while (handled < tasks) await wait(POLL_MS);
      return performance.now() - startedAt;
    },
    close: async () => {
      await worker.stop();
      await client.end();
      await pawl.close();
    },
  };
}
