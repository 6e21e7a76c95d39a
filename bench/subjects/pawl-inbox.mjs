// Pawl's inbox: one source in this process is loaded by one worker, then stored by one worker.
import { setTimeout as wait } from "node:timers/promises";
import pg from "pg";
import { connect, defineApp, defineSource, jsonLogger } from "../../dist/index.js";
import { eventPage } from "./event-pages.mjs";

const POLL_MS = 5;
const GRACE = "5s";
const NO_LIMIT = 1_000_000_000;

export async function open({ url, page, handled = false }) {
  let count = 0;
  const orders = defineSource({
    name: "orders",
    gap: 0,
    idle: 20,
    limit: page,
    highWater: NO_LIMIT,
    ...(handled && { store: insertOwn }),
    fetch: async (after, limit) => eventPage(after, limit, count),
  });
  const app = defineApp({ name: "bench", sources: [orders] });
  const pawl = await connect(app, { databaseUrl: url, migrate: true, log: jsonLogger("error") });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("create table own_event (id text primary key, payload jsonb not null)");
  const run = async (roles, isDone) => {
    const start = performance.now();
    const worker = await pawl.work({ roles });
    while (!isDone((await client.query(PROGRESS)).rows[0])) await wait(POLL_MS);
    const ms = performance.now() - start;
    await worker.stop(GRACE);
    return ms;
  };
  return {
    /** Answers the milliseconds until so many events more are in the inbox. */
    load: async ({ events }) => {
      count += events;
      return run(["loader"], (at) => Number(at.received) === count);
    },
    store: () => run(["mover"], (at) => Number(at.taken) === count),
    both: async ({ events }) => {
      count += events;
      return run(["loader", "mover"], (at) => Number(at.taken) === count);
    },
    memory: async () => {
      globalThis.gc?.();
      return process.memoryUsage().rss;
    },
    check: async () => {
      const { rows } = await client.query(COUNTS);
      const { stored, own, waiting } = rows[0];
      if ((handled ? own : stored) === count && waiting === 0) return;
      throw new Error(`inbox: ${stored} stored and ${own} handled of ${count}, ${waiting} waiting`);
    },
    close: async () => {
      await client.end();
      await pawl.close();
    },
  };
}

async function insertOwn(events, { tx }) {
  await tx.query("insert into own_event select * from unnest($1::text[], $2::jsonb[])", [
    events.map((event) => event.id),
    events.map((event) => JSON.stringify(event.payload)),
  ]);
}

const PROGRESS = `
  select s.received, t.taken from pawl.source s join pawl.source_storage t on t.source_id = s.id`;
const COUNTS = `
  select (select count(*)::int from pawl.stored_event) as stored,
    (select count(*)::int from own_event) as own, (select count(*)::int from pawl.inbox) as waiting`;
