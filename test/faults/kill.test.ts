import { expect, test } from "vitest";
import type { Pawl } from "../../src/index.ts";
import { rawClient } from "../support/database.ts";
import { type Fleet, fleet } from "../support/fleet.ts";
import { count, enqueueSql, executorOn } from "../support/kernel.ts";
import { type Random, random } from "../support/random.ts";
import { until } from "../support/until.ts";

const TASKS = 10_000;
const KILLS = 30;
const WORKERS = 3;
const PRODUCERS = 4;

/** Writes tasks and their intents in one transaction each; one in ten rolls back. Returns what was committed. */
async function produce(pawl: Pawl, from: number, to: number, { next, whole }: Random) {
  const client = await rawClient(pawl.store.url);
  const executor = executorOn(client);
  const committed: number[] = [];
  for (let start = from; start < to; ) {
    const end = Math.min(start + whole(1, 60), to);
    const numbers = Array.from({ length: end - start }, (_, i) => start + i);
    await client.query("begin");
    await client.query("insert into intent select unnest($1::int[])", [numbers]);
    await enqueueSql(
      executor,
      numbers.map((n) => ({ kind: "short", payload: { ms: n % 12 }, ref: String(n) })),
    );
    const isCommitted = next() >= 0.1;
    await client.query(isCommitted ? "commit" : "rollback");
    if (isCommitted) committed.push(...numbers);
    start = end;
  }
  return committed;
}

/** Kills a process that is in the middle of tasks, and starts another in its place. */
async function killOne(workers: Fleet, { whole }: Random): Promise<number> {
  const victim = await until("a worker runs tasks", async () => {
    const rows = await workers.pawl.store.rows<{ pid: number }>(
      `select distinct w.pid from pawl.worker w join pawl.claim c on c.worker_id = w.id
        where w.ended_at is null order by w.pid`,
    );
    const busy = rows.map((row) => row.pid).filter((pid) => workers.live.includes(pid));
    return busy[whole(0, Math.max(busy.length - 1, 0))];
  });
  await workers.kill(victim);
  return victim;
}

/** Spread over the run, with enough left that every kill meets running tasks. */
async function killAll(workers: Fleet, starting: Promise<unknown>, chance: Random): Promise<void> {
  await starting;
  const { store } = workers.pawl;
  const respawned: Promise<number>[] = [];
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const due = (TASKS * 0.75 * kill) / KILLS; // one in ten is rolled back, by chance some more
    await until("some more are finished", async () => (await count(store, "finished")) >= due);
    await killOne(workers, chance);
    respawned.push(workers.start());
  }
  await Promise.all(respawned);
}

test("R98 R64: 30 workers killed in the middle of 10,000 tasks: every committed one ends once, rolled-back ones never were", async () => {
  const chance = random();
  const workers = await fleet();
  const { pawl } = workers;
  const { store } = pawl;
  try {
    await store.rows("create table intent (n int primary key)");
    const starting = Promise.all(Array.from({ length: WORKERS }, () => workers.start()));
    const share = TASKS / PRODUCERS;
    const producing = Promise.all(
      Array.from({ length: PRODUCERS }, (_, i) =>
        produce(pawl, i * share, (i + 1) * share, random(chance.seed + i)),
      ),
    );
    // beside the producers, which workers on a busy machine may keep up with
    const killing = killAll(workers, starting, chance);
    const [committed] = await Promise.all([producing.then((parts) => parts.flat()), killing]);
    await until("nothing is left to do", async () => (await count(store, "task")) === 0, 120_000);

    const lost = await store.rows<{ n: number }>(
      "select count(*)::int as n from pawl.attempt where outcome = 'lost'",
    );
    console.log(
      `seed ${chance.seed}: ${committed.length} committed, ${TASKS - committed.length} rolled back, ${KILLS} kills, ${lost[0]?.n} attempts lost with them`,
    );
    expect(lost[0]?.n).toBeGreaterThan(0);
    const ends = await store.rows<{ ref: string }>("select ref from pawl.finished");
    const intents = await store.rows<{ n: number }>("select n from intent");
    const numbers = (rows: number[]) => rows.toSorted((a, b) => a - b);
    expect(numbers(intents.map((row) => row.n))).toEqual(numbers(committed));
    expect(numbers(ends.map((row) => Number(row.ref)))).toEqual(numbers(committed));
    expect(await count(store, "dead")).toBe(0);
    // two turns may have recorded its last tasks at once: then a third one removes the claim
    await until("no claim is left", async () => (await count(store, "claim")) === 0);
    const miscounted = await store.rows(
      `select f.id from pawl.finished f
        where f.attempt <> 1 + (select count(*) from pawl.attempt a where a.task_id = f.id)`,
    );
    expect(miscounted).toEqual([]);
  } finally {
    await workers.stop();
  }
}, 600_000);
