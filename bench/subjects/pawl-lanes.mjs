// Pawl with ordered tasks: one job whose lane is in its input, a trivial handler, history kept in full. Each handler
// sees to it that its lane runs forwards as this process sees it; the database is asked for the whole order afterwards.
import { setTimeout as wait } from "node:timers/promises";
import pg from "pg";
import { connect, defineApp, defineJob, jsonLogger } from "../../dist/index.js";
import { BATCH } from "./payload.mjs";

const SHARDS = 8;
/** Only a held handler needs it. */
const GRACE = "1s";
const SORTED_POLL_MS = 50;
const CROWD = "crowd";
const CROWD_DELAY = "1d";

const anything = { "~standard": { version: 1, vendor: "bench", validate: (value) => ({ value }) } };

/** `workers` is how many `work()` loops this process runs, of `slots` each. */
export async function open({ url, slots, turns, workers = 0, shards = SHARDS }) {
  const order = { done: 0, last: new Map(), backwards: 0 };
  const step = defineJob({
    name: "step",
    input: anything,
    lane: ({ lane }) => lane,
    run: async (input, { signal }) => (input.holds ? held(signal) : ran(order, input)),
  });
  const app = defineApp({ name: "bench", jobs: [step], queues: { normal: { shards } } });
  const pawl = await connect(app, {
    databaseUrl: url,
    migrate: true,
    connections: Math.max(10, workers * 4),
    log: jsonLogger("error"),
  });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  let running = [];
  const stop = () => Promise.all(running.splice(0).map((worker) => worker.stop(GRACE)));

  return {
    enqueue: (load) => enqueue(pawl, step, load),
    crowd: (crowd) => makeCrowd(pawl, step, client, crowd),
    start: async () => {
      order.done = 0;
      const options = { concurrency: slots, ...(turns !== undefined && { turns }) };
      running = await Promise.all(Array.from({ length: workers }, () => pawl.work(options)));
    },
    done: async () => order.done,
    stop,
    isDrained: async () => (await client.query(IS_DRAINED, [CROWD])).rows[0].is_drained,
    check: (expected) => check(client, order, expected),
    close: async () => {
      await stop();
      await client.end();
      await pawl.close();
    },
  };
}

function ran(order, { lane, n }) {
  order.done += 1;
  if (lane === undefined) return;
  if (order.last.get(lane) >= n) order.backwards += 1;
  order.last.set(lane, n);
}

function held(signal) {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** The lanes take turns, so every batch has tasks of many; 0: no lanes. Answers the milliseconds. */
async function enqueue(pawl, step, { tasks, lanes, first = 0 }) {
  const start = performance.now();
  for (let n = first; n < first + tasks; n += BATCH) {
    const size = Math.min(BATCH, first + tasks - n);
    await pawl.enqueueMany(
      step,
      Array.from({ length: size }, (_, i) => ({
        ...(lanes > 0 && { lane: `lane-${(n + i) % lanes}` }),
        n: n + i,
        to: "someone@example.com",
        subject: "hello world from bench",
      })),
    );
  }
  return performance.now() - start;
}

/** One lane with many tasks behind a head that is scheduled far ahead, or that stays in its handler. */
async function makeCrowd(pawl, step, client, { tasks, head }) {
  const isHeld = head === "held";
  await pawl.enqueue(
    step,
    { lane: CROWD, n: 0, holds: isHeld },
    isHeld ? {} : { delay: CROWD_DELAY },
  );
  for (let n = 1; n < tasks; n += BATCH) {
    const size = Math.min(BATCH, tasks - n);
    await pawl.enqueueMany(
      step,
      Array.from({ length: size }, (_, i) => ({ lane: CROWD, n: n + i })),
    );
  }
  const sorter = await pawl.work({ concurrency: 1 });
  while ((await client.query(ARE_ARRIVED)).rows[0].are_arrived) await wait(SORTED_POLL_MS);
  await sorter.stop(GRACE);
}

/** @throws when a lane did not run in the order of its ids, or when the books do not add up */
async function check(client, order, { tasks, crowd }) {
  const { rows } = await client.query(BOOKS, [CROWD]);
  const books = { ...rows[0], backwards: order.backwards };
  const wanted = { finished: tasks, left: 0, crowd, unordered: 0, backwards: 0 };
  const wrong = Object.keys(wanted).filter((name) => books[name] !== wanted[name]);
  if (wrong.length > 0)
    throw new Error(`lanes: expected ${JSON.stringify(wanted)}, got ${JSON.stringify(books)}`);
}

const ARE_ARRIVED =
  "select exists (select from pawl.task t where t.state = 'arrived') as are_arrived";
// all handlers have run by then: nothing waits any more, so what is left is ready
const IS_DRAINED =
  "select not exists (select from pawl.task t where t.state = 'ready' and t.lane is distinct from $1) as is_drained";
// a task starts only after the one before it was settled, so their ends differ
const BOOKS = `
  select count(*) filter (where f.outcome = 'done')::int as finished,
         count(*) filter (where f.lane is not null and f.id_before is not null
           and (f.n_before >= f.n or f.seq_before >= f.seq or f.finished_before >= f.finished_at))::int as unordered,
         (select count(*)::int from pawl.task t where t.lane is distinct from $1) as left,
         (select count(*)::int from pawl.task t where t.lane = $1) as crowd
    from (select f.id, f.seq, f.lane, f.outcome, f.finished_at, (f.payload ->> 'n')::int as n,
                 lag(f.id) over lane as id_before, lag(f.seq) over lane as seq_before,
                 lag(f.finished_at) over lane as finished_before,
                 lag((f.payload ->> 'n')::int) over lane as n_before
            from pawl.finished f window lane as (partition by f.lane order by f.id)) f`;
