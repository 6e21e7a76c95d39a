import { expect, test } from "vitest";
import type { Pawl } from "../../src/index.ts";
import { rawClient } from "../support/database.ts";
import { type Fleet, fleet } from "../support/fleet.ts";
import { count, enqueueSql, executorOn } from "../support/kernel.ts";
import { type Random, random } from "../support/random.ts";
import { size } from "../support/size.ts";
import { until } from "../support/until.ts";

const TASKS = size(1_800, 10_000);
const KILLS = size(6, 30);
const WORKERS = 3;
const PRODUCERS = 4;
/** The workers do so many in a moment. */
const SHORT = 200;
/** Starting processes and waiting for leases that run out, on a busy machine. */
const PATIENCE_MS = 400_000;

interface Run {
  readonly pawl: Pawl;
  /** The next number of a task. */
  next: number;
  /** All kills are done: until then there has to be something to do. */
  isKilled: boolean;
}

/** Writes tasks and their intents in one transaction each; one in ten rolls back. Returns what was committed. */
async function produce(run: Run, { next, whole }: Random) {
  const { pawl } = run;
  const client = await rawClient(pawl.store.url);
  const executor = executorOn(client);
  const committed: number[] = [];
  while (run.next < TASKS || !run.isKilled) {
    if (run.next >= TASKS) await until("little is left to do", () => isShort(run), PATIENCE_MS);
    const numbers = Array.from({ length: whole(1, 60) }, (_, i) => run.next + i);
    run.next += numbers.length;
    await client.query("begin");
    await client.query("insert into intent select unnest($1::int[])", [numbers]);
    await enqueueSql(
      executor,
      numbers.map((n) => ({ kind: "short", payload: { ms: n % 12 }, ref: String(n) })),
    );
    const isCommitted = next() >= 0.1;
    await client.query(isCommitted ? "commit" : "rollback");
    if (isCommitted) committed.push(...numbers);
  }
  return committed;
}

async function isShort(run: Run): Promise<boolean> {
  return run.isKilled || (await count(run.pawl.store, "task")) < SHORT;
}

/** Kills a process that is in the middle of tasks: it is stopped first, as they may end before the kill. */
async function killOne(workers: Fleet, { whole }: Random): Promise<void> {
  await until("a worker is stopped in the middle of tasks", async () => {
    const rows = await workers.pawl.store.rows<{ pid: number }>(
      `select distinct w.pid from pawl.worker w join pawl.claim c on c.worker_id = w.id
        where w.ended_at is null order by w.pid`,
    );
    const busy = rows.map((row) => row.pid).filter((pid) => workers.live.includes(pid));
    const victim = busy[whole(0, Math.max(busy.length - 1, 0))];
    if (victim === undefined) return false;
    process.kill(victim, "SIGSTOP");
    const claims = await workers.pawl.store.rows("select from pawl.claim where worker_id = $1", [
      await workers.workerOf(victim),
    ]);
    if (claims.length === 0) process.kill(victim, "SIGCONT");
    else await workers.kill(victim);
    return claims.length > 0;
  });
}

/** Spread over the run. */
async function killAll(
  run: Run,
  workers: Fleet,
  starting: Promise<unknown>,
  chance: Random,
): Promise<void> {
  await starting;
  const { store } = workers.pawl;
  const respawned: Promise<number>[] = [];
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const due = (TASKS * 0.75 * kill) / KILLS;
    const isDue = async () => (await count(store, "finished")) >= due;
    await until("some more are finished", isDue, PATIENCE_MS);
    await killOne(workers, chance);
    respawned.push(workers.start());
  }
  run.isKilled = true;
  await Promise.all(respawned);
}

test(`R98 R64: ${KILLS} workers killed in the middle of ${TASKS} tasks: every committed one ends once, rolled-back ones never were`, async () => {
  const chance = random();
  const workers = await fleet();
  const { pawl } = workers;
  const { store } = pawl;
  try {
    await store.rows("create table intent (n int primary key)");
    const starting = Promise.all(Array.from({ length: WORKERS }, () => workers.start()));
    const run: Run = { pawl, next: 0, isKilled: false };
    const producing = Promise.all(
      Array.from({ length: PRODUCERS }, (_, i) => produce(run, random(chance.seed + i))),
    );
    // beside the producers, which workers on a busy machine may keep up with
    const killing = killAll(run, workers, starting, chance);
    const [committed] = await Promise.all([producing.then((parts) => parts.flat()), killing]);
    await until(
      "nothing is left to do",
      async () => (await count(store, "task")) === 0,
      PATIENCE_MS,
    );

    const lost = await store.rows<{ n: number }>(
      "select count(*)::int as n from pawl.attempt where outcome = 'lost'",
    );
    console.log(
      `seed ${chance.seed}: ${committed.length} committed, ${run.next - committed.length} rolled back, ${KILLS} kills, ${lost[0]?.n} attempts lost with them`,
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
}, 900_000);
