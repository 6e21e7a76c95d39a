// `queue`: how fast trivial tasks are written and drained. Rounds are interleaved, each run is a process and a database
// of its own, and every subject first drains a small batch, so that no one is measured cold.
import { setTimeout as wait } from "node:timers/promises";
import { startSubject } from "./child.mjs";
import { median, perSecond, row } from "./report.mjs";
import { tryQuery } from "./server.mjs";

const WARM_UP_TASKS = 5_000;
const WIDE = 1_000;
const SLOTS = 24;
const COMMIT_DELAY_US = 2_000;
const SLOW_PROCESSES = 4;
const SLOW_WORKERS_PER_PROCESS = 4;
const COUNT_POLL_MS = 2;

/** What is run in a round, in this order; a peer's better setting counts. */
const RUNS = [
  { subject: "pawl", label: "1,000 slots", settings: { concurrency: WIDE } },
  { subject: "graphile-worker", label: "24 jobs", settings: { concurrency: SLOTS } },
  { subject: "pg-boss", label: "batches of 500", settings: { batchSize: 500 } },
  { subject: "pawl", label: "24 slots", settings: { concurrency: SLOTS } },
  { subject: "graphile-worker", label: "1,000 jobs", settings: { concurrency: WIDE } },
  { subject: "pg-boss", label: "batches of 1,000", settings: { batchSize: 1_000 } },
];

export async function queue(bench) {
  const results = new Map(RUNS.map((run) => [run, { enqueue: [], drain: [], wal: [] }]));
  const slow = [];
  for (let round = 1; round <= bench.rounds; round++) {
    for (const run of RUNS) {
      const measured = await measure(bench, run);
      const { enqueue, drain, wal } = measured;
      bench.say(
        `round ${round}: ${run.subject}, ${run.label}: enqueue ${Math.round(enqueue)}/s, drain ${Math.round(drain)}/s, ${Math.round(wal)} B of WAL a task`,
      );
      for (const [name, value] of Object.entries(measured)) results.get(run)[name].push(value);
    }
    const rate = await measureSlowCommits(bench);
    if (rate === undefined) continue;
    bench.say(
      `round ${round}: pawl, commits ${COMMIT_DELAY_US / 1_000} ms slower: ${Math.round(rate)}/s`,
    );
    slow.push(rate);
  }
  return rows(results, slow);
}

function rows(results, slow) {
  const best = (subject, name, accept = () => true) => {
    const runs = RUNS.filter((run) => run.subject === subject && accept(run));
    return Math.max(...runs.map((run) => median(results.get(run)[name])));
  };
  const [wide, narrow] = RUNS.filter((run) => run.subject === "pawl").map((run) =>
    results.get(run),
  );
  const isNarrow = (run) => run.settings.concurrency === SLOTS;
  const tasks = { unit: "tasks/s" };
  return [
    row({
      name: "bulk enqueue",
      ...tasks,
      pawl: median([...wide.enqueue, ...narrow.enqueue]),
      peers: {
        "graphile-worker": best("graphile-worker", "enqueue"),
        "pg-boss": best("pg-boss", "enqueue"),
      },
    }),
    row({
      name: "drain",
      ...tasks,
      pawl: median(wide.drain),
      peers: {
        "graphile-worker": best("graphile-worker", "drain"),
        "pg-boss": best("pg-boss", "drain"),
      },
    }),
    row({
      name: "drain at concurrency 24",
      ...tasks,
      pawl: median(narrow.drain),
      peers: {
        "graphile-worker": best("graphile-worker", "drain", isNarrow),
        "pg-boss": best("pg-boss", "drain"),
      },
    }),
    row({ name: "wal per task drained", unit: "B", pawl: median(wide.wal) }),
    row({
      name: "drain with commits 2 ms slower",
      ...tasks,
      pawl: slow.length === 0 ? null : median(slow),
    }),
  ];
}

/** Rates of one run: tasks written a second, tasks drained a second, bytes of WAL a task drained. */
function measure({ server, tasks, turns }, { subject, settings }) {
  return server.withDatabase(async (url) => {
    const child = await startSubject(subject, { url, ...settings, ...turns });
    try {
      await warmUp(child);
      // no checkpoint of an earlier run's making falls into this one
      await tryQuery(server.admin, "checkpoint");
      const enqueueMs = await child.call("enqueue", tasks);
      await analyze(server, url);
      const before = await walPosition(server.admin);
      const drainMs = await child.call("drain", tasks);
      const wal = (await walPosition(server.admin)) - before;
      await child.call("check", WARM_UP_TASKS + tasks);
      await child.call("close");
      return {
        enqueue: perSecond(tasks, enqueueMs),
        drain: perSecond(tasks, drainMs),
        wal: wal / tasks,
      };
    } finally {
      await child.end();
    }
  });
}

/** Answers how many tasks that were. */
export async function warmUp(child) {
  await child.call("enqueue", WARM_UP_TASKS);
  await child.call("drain", WARM_UP_TASKS);
  return WARM_UP_TASKS;
}

/** Bench databases are small: every table has its statistics before a drain, as autovacuum would give it. */
export async function analyze(server, url) {
  await server.withClient(url, (client) => client.query("analyze"));
}

async function walPosition(admin) {
  const { rows } = await admin.query("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn as bytes");
  return Number(rows[0].bytes);
}

/** 16 workers of 24 slots in 4 processes, each commit delayed. Undefined when the role may not set the delay. */
function measureSlowCommits({ server, tasks, turns, say }) {
  return server.withDatabase(async (url, name) => {
    for (const setting of [`commit_delay = ${COMMIT_DELAY_US}`, "commit_siblings = 0"]) {
      if (await tryQuery(server.admin, `alter database ${name} set ${setting}`)) continue;
      say("skipped: this role may not delay commits (superuser)");
      return undefined;
    }
    const settings = {
      url,
      concurrency: SLOTS,
      workers: SLOW_WORKERS_PER_PROCESS,
      ...turns,
    };
    const children = [];
    try {
      for (let i = 0; i < SLOW_PROCESSES; i++) children.push(await startSubject("pawl", settings));
      const [first] = children;
      for (const child of children) await warmUp(child);
      await tryQuery(server.admin, "checkpoint");
      await first.call("enqueue", tasks);
      await analyze(server, url);
      const ms = await drainTogether(children, tasks);
      await Promise.all(children.map((child) => child.call("stop")));
      await first.call("check", children.length * WARM_UP_TASKS + tasks);
      await Promise.all(children.map((child) => child.call("close")));
      return perSecond(tasks, ms);
    } finally {
      await Promise.all(children.map((child) => child.end()));
    }
  });
}

async function drainTogether(children, tasks) {
  const start = performance.now();
  await Promise.all(children.map((child) => child.call("start", tasks)));
  for (;;) {
    const done = await Promise.all(children.map((child) => child.call("done")));
    if (done.reduce((sum, one) => sum + one, 0) >= tasks) break;
    await wait(COUNT_POLL_MS);
  }
  while (!(await children[0].call("isEmpty"))) await wait(1);
  return performance.now() - start;
}
