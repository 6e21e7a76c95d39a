// Single enqueues on many connections through the SQL function, and through the same function without its wake-up.
// The worker is busy (all its slots are taken, it wants no news), idle (it runs another queue and waits for that), or
// free (it runs these very tasks, and is told of them whenever it has run out).
import { setTimeout as wait } from "node:timers/promises";
import pg from "pg";
import { connect, defineApp, defineJob, jsonLogger } from "../../dist/index.js";

const CONNECTIONS = 32;
const PART_MS = 3_000;
const IDLE_POLL_MS = 50;
const WAKE = /^\s*perform pawl\.wake_v1\(.*\);$/m;
const FREE_SLOTS = 100;

const anything = { "~standard": { version: 1, vendor: "bench", validate: (value) => ({ value }) } };

export async function open({ url, worker }) {
  const noop = defineJob({ name: "noop", input: anything, run: () => undefined });
  const hold = defineJob({ name: "hold", queue: "other", input: anything, run: held });
  const app = defineApp({
    name: "bench",
    jobs: [noop, hold],
    queues: { normal: { shards: 8 }, other: {} },
  });
  const pawl = await connect(app, { databaseUrl: url, migrate: true, log: jsonLogger("error") });
  const clients = Array.from(
    { length: CONNECTIONS },
    () => new pg.Client({ connectionString: url }),
  );
  await Promise.all(clients.map((client) => client.connect()));
  const [client] = clients;
  await makeSilentTwin(client);
  if (worker === "busy") await pawl.enqueue(hold, {});
  const running = await pawl.work(
    worker === "free"
      ? { queues: ["normal"], concurrency: FREE_SLOTS }
      : { queues: ["other"], concurrency: 1 },
  );
  while (!(await isAsWanted(client, running, worker))) await wait(IDLE_POLL_MS);

  return {
    /** Rates of both, one after the other, in an order that changes. */
    round: async () => {
      const names = ["enqueue_many_v1", "bench_enqueue_silently"];
      const rates = {};
      for (const name of Math.random() < 0.5 ? names : names.toReversed()) {
        rates[name] = await rate(clients, name);
        if (!(await isAsWanted(client, running, worker)))
          throw new Error(`the worker is not ${worker}`);
      }
      return { announced: rates.enqueue_many_v1, silent: rates.bench_enqueue_silently };
    },
    close: async () => {
      await Promise.all(clients.map((one) => one.end()));
      await running.stop("1s");
      await pawl.close();
    },
  };
}

/** From the function's own definition, so that the two differ in nothing else. */
async function makeSilentTwin(client) {
  const { rows } = await client.query(
    "select pg_get_functiondef('pawl.enqueue_many_v1'::regproc) as definition",
  );
  const { definition } = rows[0];
  if (definition.split(WAKE).length !== 2)
    throw new Error("expected one wake-up in enqueue_many_v1");
  await client.query(
    definition.replace(WAKE, "").replace("pawl.enqueue_many_v1(", "pawl.bench_enqueue_silently("),
  );
}

async function isAsWanted(client, running, worker) {
  if (worker === "free") return true;
  const { rows } = await client.query("select idle from pawl.worker where ended_at is null");
  return worker === "idle" ? rows[0].idle : running.running === 1 && !rows[0].idle;
}

/** Commits a second. */
async function rate(clients, name) {
  const query = {
    name,
    text: `select * from pawl.${name}($1, $2)`,
    values: ['{"kind": "noop", "queue": "normal"}', '[{"to": "someone@example.com"}]'],
  };
  const start = performance.now();
  const end = start + PART_MS;
  const counts = await Promise.all(
    clients.map(async (client) => {
      let count = 0;
      for (; performance.now() < end; count++) await client.query(query);
      return count;
    }),
  );
  return (counts.reduce((sum, one) => sum + one, 0) / (performance.now() - start)) * 1_000;
}

function held(_input, { signal }) {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
