// `late`: tasks of a transaction that commits long after others have been claimed beyond them: how soon after its commit each
// starts. `idle`: what a worker that has nothing to do asks of the database.
import { setTimeout as wait } from "node:timers/promises";
import { connect, defineApp, defineJob } from "../dist/index.js";
import { measured, percentile } from "./report.mjs";

const LATE = 200;
const OPEN_S = 100;
/** Of the tasks beside them. */
const BATCH = 250;
const BATCH_EVERY_MS = 100;
const TARGET_MS = 1_000;
const IDLE_S = 60;
const SETTLING_S = 30;
const IDLE_TARGET = 2;

const anything = { "~standard": { version: 1, vendor: "bench", validate: (value) => ({ value }) } };

export function late({ server, say }) {
  return withWorker(server, async ({ pawl, client, job, run }) => {
    await client.query("begin");
    const many = Array.from({ length: LATE }, () => ({ isLate: true }));
    await pawl.enqueueMany(job, many, { tx: client });
    const end = performance.now() + OPEN_S * 1_000;
    while (performance.now() < end) {
      const pause = wait(BATCH_EVERY_MS);
      await pawl.enqueueMany(
        job,
        Array.from({ length: BATCH }, () => ({})),
      );
      await pause;
    }
    say(`${run.others} other tasks ended in ${OPEN_S} s`);
    const since = performance.now();
    await client.query("commit");
    await run.allLate;
    const delays = run.late.map((at) => at - since);
    return [
      measured({
        name: "others, meanwhile",
        unit: "tasks/s",
        value: run.others / OPEN_S,
        digits: 0,
      }),
      row("late task, commit to start, p50", "ms", percentile(delays, 0.5)),
      { ...row("late task, commit to start, most", "ms", Math.max(...delays)), target: TARGET_MS },
    ];
  });
}

export function idle({ server, say }) {
  return withWorker(server, async ({ client }) => {
    const transactions = async () => {
      const { rows } = await client.query(
        "select xact_commit + xact_rollback as n from pg_stat_database where datname = current_database()",
      );
      return Number(rows[0].n);
    };
    await wait(SETTLING_S * 1_000);
    const before = await transactions();
    await wait(IDLE_S * 1_000);
    const perSecond = ((await transactions()) - before) / IDLE_S;
    say(`${perSecond.toFixed(2)} transactions a second`);
    return [{ ...row("idle worker, transactions", "1/s", perSecond), target: IDLE_TARGET }];
  });
}

function row(name, unit, value) {
  return measured({ name, unit, value });
}

function withWorker(server, work) {
  return server.withDatabase(async (url) => {
    const run = { others: 0, late: [] };
    run.allLate = new Promise((resolve) => {
      run.started = () => run.late.push(performance.now()) === LATE && resolve();
    });
    const job = defineJob({
      name: "job",
      input: anything,
      run: ({ isLate }) => {
        if (isLate) run.started();
        else run.others += 1;
      },
    });
    const pawl = await connect(defineApp({ name: "bench", jobs: [job] }), {
      databaseUrl: url,
      migrate: true,
    });
    try {
      await pawl.work({ concurrency: 50 });
      return await server.withClient(url, (client) => work({ pawl, client, job, run }));
    } finally {
      await pawl.close();
    }
  });
}
