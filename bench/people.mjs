// `people`: what an operator asks, on a database with 5,000 queues and a long backlog: how long each answer takes, and how far the
// counts are from the truth. Beside it the count that a plain GROUP BY takes.
import { connect, defineApp } from "../dist/index.js";
import { measured, median } from "./report.mjs";

const QUEUES = 5_000;
const TASKS = 1_000_000;
const CALLS = 5;
const TARGET_MS = 50;
/** Of all tasks. */
const SHARES = [
  ["ready", "q1", 0.5, "null"],
  ["scheduled", "q2", 0.2, "null"],
  ["waiting", "q3", 0.2, "'one'"],
  ["ready", "q4", 0.05, "null"],
];
const RUNS = 20;

export async function people({ server, say, tasks = TASKS }) {
  return server.withDatabase(async (url) => {
    const pawl = await connect(defineApp({ name: "bench" }), { databaseUrl: url, migrate: true });
    try {
      return await server.withClient(url, async (client) => {
        await fill(client, tasks);
        say(`${tasks} tasks in ${QUEUES} queues`);
        return await measure(pawl, client, tasks);
      });
    } finally {
      await pawl.close();
    }
  });
}

async function fill(client, tasks) {
  const queues = Array.from({ length: QUEUES }, (_, i) => ({ name: `q${i}`, shards: 1 }));
  const streams = queues.map(({ name }) => ({ queue: name, kind: `of-${name}` }));
  const definitions = {
    application: "bench",
    revision: 0,
    payload_bytes_max: 1_048_576,
    queues,
    streams,
  };
  await client.query("select pawl.register_v1($1)", [JSON.stringify(definitions)]);
  for (let run = 0; run < RUNS; run++)
    for (const [state, queue, share, lane] of SHARES) {
      await client.query(
        `insert into pawl.task (shard_id, queue_id, seq, state, run_at, created_at, payload, lane)
         select h.id, q.id, nextval('pawl.seq'), $3, now(), now(), '{"n": 1}', ${lane}
           from pawl.queue q join pawl.shard h on h.queue_id = q.id and h.priority = 1
           cross join generate_series(1, $2::int) g where q.name = $1`,
        [queue, Math.round((tasks * share) / RUNS), state],
      );
    }
  // and a few in each seventh queue
  await client.query(
    `insert into pawl.task (shard_id, queue_id, seq, state, run_at, created_at, payload)
     select h.id, h.queue_id, nextval('pawl.seq'), 'ready', now(), now(), '{}'
       from pawl.shard h cross join generate_series(1, $1::int) g where h.priority = 1 and h.queue_id % 7 = 0`,
    [Math.round((tasks * 0.05 * 7) / QUEUES)],
  );
  await client.query("vacuum analyze pawl.task");
}

async function measure(pawl, client, tasks) {
  const { rows } = await client.query(
    "select max(id)::text as id from pawl.task where state = 'waiting'",
  );
  const questions = {
    stats: () => pawl.stats(),
    "why, a task": () => pawl.why(rows[0].id),
    "list of tasks": () => client.query("select * from pawl.tasks_v1(null, null, null, 50)"),
    "list of queues": () => client.query("select * from pawl.queues_v1()"),
    "(a plain count of all)": () =>
      client.query("select shard_id, state, count(*) from pawl.task group by 1, 2"),
  };
  const answers = [];
  for (const [name, ask] of Object.entries(questions)) {
    await ask();
    const times = [];
    for (let call = 0; call < CALLS; call++) {
      const since = performance.now();
      await ask();
      times.push(performance.now() - since);
    }
    const value = median(times);
    answers.push({
      ...measured({ name, unit: "ms", value }),
      ...(name.startsWith("(") ? {} : { target: TARGET_MS }),
    });
  }
  return [...answers, ...(await errors(pawl, tasks))];
}

/** By how much the worst of a few answers was wrong. */
async function errors(pawl, tasks) {
  const worst = new Map(SHARES.map(([, queue]) => [queue, 0]));
  for (let call = 0; call < CALLS; call++) {
    const of = new Map((await pawl.stats()).queues.map((one) => [one.queue, one]));
    for (const [state, queue, share] of SHARES) {
      const truth = RUNS * Math.round((tasks * share) / RUNS);
      const error = Math.abs(of.get(queue)[state] / truth - 1) * 100;
      worst.set(queue, Math.max(worst.get(queue), error));
    }
  }
  return SHARES.map(([state, queue]) =>
    measured({ name: `worst error, ${state} of ${queue}`, unit: "%", value: worst.get(queue) }),
  );
}
