// A crowd that is written by SQL in the shape that pawl.enqueue writes, and the kernel's own calls timed beside it, one
// after the other on one connection, through the statements of dist.
import pg from "pg";
import { connect, defineApp, defineJob, jsonLogger } from "../../dist/index.js";
import {
  heartbeat,
  look,
  promote,
  startWorker,
  streams,
  turn,
  useShards,
} from "../../dist/kernel/sql.js";

const SHARDS = 8;
const STREAMS = 1_000;
const TURN_TASKS = 100;
const HEARTBEAT_MS = 2_000;
const PROMOTE_LIMIT = 2_000;
const FILL_BATCH = 500_000;

const anything = { "~standard": { version: 1, vendor: "bench", validate: (value) => ({ value }) } };

export async function open({ url }) {
  const job = (name, queue) => defineJob({ name, queue, input: anything, run: () => undefined });
  const many = Array.from({ length: STREAMS }, (_, i) => job(`many-${i}`, "many"));
  const app = defineApp({
    name: "bench",
    jobs: [job("ready", "normal"), job("scheduled", "scheduled"), job("held", "held"), ...many],
    queues: {
      normal: { shards: SHARDS },
      scheduled: { shards: SHARDS },
      held: { shards: SHARDS },
      many: {},
    },
  });
  const pawl = await connect(app, { databaseUrl: url, migrate: true, log: jsonLogger("error") });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const all = await streams(pawl.store);
  const few = idsOf(all.filter((one) => one.queue !== "many"));
  const turns = turner(pawl.store, client, idsOf(all));

  return {
    fill: (tasks) => fill(client, tasks),
    /** One ready task for each of the many streams: their shards are in use from now on. */
    open: async () => {
      for (let i = 0; i < STREAMS; i++) await client.query(FILL, [`many-${i}`, "ready", 1]);
      await useShards(pawl.store);
      await client.query("analyze pawl.task");
    },
    turns: async (samples) => {
      await turns(Math.ceil(samples / 10)); // warms up
      return turns(samples);
    },
    statistics: (samples) => timed(samples, { work: () => pawl.stats() }),
    looks: (samples) => timed(samples, { work: () => look(pawl.store, few) }),
    looksOfAll: (samples) => timed(samples, { work: () => look(pawl.store, idsOf(all)) }),
    promotions: (samples) => timed(samples, { work: () => promote(pawl.store, PROMOTE_LIMIT) }),
    close: async () => {
      await client.end();
      await pawl.close();
    },
  };
}

function idsOf(rows) {
  return rows.map((one) => one.id);
}

/** Answers the milliseconds. */
async function fill(client, { scheduled, held, ready }) {
  const start = performance.now();
  const parts = [
    ["scheduled", "scheduled", scheduled],
    ["held", "ready", held],
    ["ready", "ready", ready],
  ];
  for (const [kind, state, tasks] of parts)
    for (let done = 0; done < tasks; done += FILL_BATCH)
      await client.query(FILL, [kind, state, Math.min(FILL_BATCH, tasks - done)]);
  await client.query("select pawl.off_v1('queue:held', 'bench', 'a crowd that waits', null)");
  await client.query("select pawl.use_shards_v1()");
  // what autovacuum would do, at a time of its own choosing
  await client.query("vacuum (analyze) pawl.task");
  return performance.now() - start;
}

/** Each turn settles what the one before claimed, and claims as many. A turn that claims less than that fails the run. */
function turner(store, client, streamIds) {
  const claimed = { worker: undefined, shards: [], claim: 1, held: [], beatAt: 0 };
  return async (samples) => {
    claimed.worker ??= await startWorker(store, workerInfo(streamIds));
    claimed.shards = (await client.query(SHARDS_OF, ["ready"])).rows.map((one) => one.id);
    return timed(samples, {
      before: () => keepLease(store, claimed),
      work: () => oneTurn(store, claimed),
    });
  };
}

async function oneTurn(store, claimed) {
  const { worker, shards, claim, held } = claimed;
  const first = claim % shards.length;
  const rows = await turn(store, {
    worker,
    outcomes: held.map(({ id, seq }) => ({
      ok: true,
      result: null,
      task: { id, seq, claim: claim - 1 },
    })),
    gone: claim > 2 ? [claim - 2] : [],
    claim,
    limit: TURN_TASKS,
    shards: [...shards.slice(first), ...shards.slice(0, first)],
    solo: true,
  });
  claimed.held = rows.filter((row) => row.shard_id !== null);
  claimed.claim += 1;
  if (claimed.held.length !== TURN_TASKS || rows.length !== TURN_TASKS)
    throw new Error(`turn ${claim}: ${claimed.held.length} tasks, ${rows.length} rows`);
}

async function keepLease(store, claimed) {
  if (performance.now() - claimed.beatAt < HEARTBEAT_MS) return;
  claimed.beatAt = performance.now();
  const { worker, claim, held } = claimed;
  await heartbeat(store, {
    worker,
    known: [claim - 2, claim - 1],
    next: claim,
    running: held.length,
    refused: 0,
    tally: [],
    streams: null,
    offHere: null,
  });
}

function workerInfo(streamIds) {
  return {
    host: "bench",
    pid: process.pid,
    application: "bench",
    revision: 0,
    queues: [],
    concurrency: TURN_TASKS,
    refused: 0,
    streams: streamIds,
    off_here: [],
  };
}

/** Milliseconds of each. */
async function timed(samples, { work, before = async () => undefined }) {
  const times = [];
  for (let i = 0; i < samples; i++) {
    await before();
    const start = performance.now();
    await work();
    times.push(performance.now() - start);
  }
  return times;
}

const SHARDS_OF = `
  select s.id from pawl.shard s join pawl.stream st on st.id = s.stream_id
   where st.kind = $1 and s.priority = 1 and not s.solo order by s.id`;
const FILL = `
  with target as materialized (
    select st.queue_id, array_agg(s.id order by s.place) as shards
      from pawl.stream st join pawl.shard s on s.stream_id = st.id and s.priority = 1 and not s.solo
     where st.kind = $1 group by st.queue_id
  ), numbered as materialized (
    select nextval('pawl.seq') as seq, g as n from generate_series(1, $3::int) g
  )
  insert into pawl.task (shard_id, queue_id, seq, state, run_at, created_at, payload)
  select g.shards[1 + n.seq % cardinality(g.shards)], g.queue_id, n.seq, $2,
         case $2 when 'scheduled' then pawl.now() + interval '30 days' + n.n * interval '1 s' else pawl.now() end,
         pawl.now(), jsonb_build_object('id', n.n, 'to', 'someone@example.com', 'subject', 'hello world from bench')
    from numbered n cross join target g`;
