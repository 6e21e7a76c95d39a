import { expect, test } from "vitest";
import type { Pawl, QueryTransaction } from "../../src/index.ts";
import { dead, removeDead, retryDead } from "../../src/kernel/operator/dead/sql.ts";
import { cancelTasks, moveTasks } from "../../src/kernel/operator/sql.ts";
import { rawClient } from "../support/database.ts";
import { type Fleet, fleet } from "../support/fleet.ts";
import { count, LONG_LEASE } from "../support/kernel.ts";
import {
  type LaneTask,
  laneApp,
  lenientJob,
  STEP_TABLE,
  strictJob,
} from "../support/lane-child.ts";
import { inversions, overlaps, readClaims, readEnds, readSteps } from "../support/lane-history.ts";
import { type Random, random } from "../support/random.ts";
import { size } from "../support/size.ts";
import { until } from "../support/until.ts";

const TASKS = size(500, 2_000);
const WORKERS = 8;
const CONCURRENCY = 4;
const KILLS = size(3, 10);
const PRODUCERS = 4;
/** The workers do so many in a moment. */
const SHORT = 50;
const LANES = [
  ...Array.from({ length: 14 }, (_, n) => `strict-${n}`),
  ...Array.from({ length: 6 }, (_, n) => `lenient-${n}`),
];
const PATIENCE_MS = 400_000;
const OPERATOR = { by: "ada", why: "chaos" };

/** What a lane is about is a row: who records for it locks it, and so comes after whoever had locked it before. */
const SET_UP = [
  LONG_LEASE, // a process that stands still is none of those that were killed
  STEP_TABLE,
  "create table aggregate (lane text primary key)",
  `insert into aggregate values ${LANES.map((lane) => `('${lane}')`).join()}`,
];

interface Run {
  readonly workers: Fleet;
  readonly pawl: Pawl;
  readonly committed: string[];
  /** When the lease of a killed process ended. */
  readonly leaseEnds: Map<number, number>;
  /** Whatever may become of a task has become of one by now, and all kills are done. */
  isComplete: boolean;
  isOver: boolean;
}

/** Of tasks, and of attempts that were not the last one. What is dead has had its lane go on. */
const FATES = [
  "cancelled",
  "expired",
  "removed",
  "dead",
  "attempt: dead",
  "attempt: lost",
  "attempt: retry",
];

function laneTask(lane: string, { next, whole }: Random): LaneTask {
  return {
    lane,
    ms: next() < 0.04 ? whole(100, 300) : whole(0, 6),
    fails: next() < 0.15 ? whole(1, 2) : 0,
    dies: next() < 0.03,
  };
}

async function enqueueOne(
  pawl: Pawl,
  tx: QueryTransaction,
  lane: string,
  chance: Random,
): Promise<string> {
  const { next, whole } = chance;
  const job = lane.startsWith("strict") ? strictJob : lenientJob;
  const delay = next() < 0.05 ? "30ms" : 0;
  const expiresIn = next() < 0.05 ? "300ms" : "1h";
  const options = { tx, priority: whole(0, 3), delay, expiresIn };
  return (await pawl.enqueue(job, laneTask(lane, chance), options)).id;
}

/** Business transactions: each holds one to three aggregates and records tasks for them. One in ten rolls back. */
async function produce(run: Run, chance: Random): Promise<void> {
  const { pawl, committed } = run;
  const { next, whole } = chance;
  const client = await rawClient(pawl.store.url);
  while (committed.length < TASKS || !run.isComplete) {
    if (committed.length >= TASKS)
      await until("little is left to do", () => isShort(run), PATIENCE_MS);
    const lanes = Array.from({ length: whole(1, 3) }, () => LANES[whole(0, LANES.length - 1)]);
    await client.query("begin");
    await client.query(
      "select lane from aggregate where lane = any ($1) order by lane for update",
      [lanes],
    );
    const ids: string[] = [];
    for (let n = whole(1, 8); n > 0; n -= 1)
      ids.push(await enqueueOne(pawl, client, lanes[whole(0, lanes.length - 1)] ?? "", chance));
    const isCommitted = next() >= 0.1;
    await client.query(isCommitted ? "commit" : "rollback");
    if (isCommitted) committed.push(...ids);
  }
}

async function isShort({ pawl, isComplete }: Run): Promise<boolean> {
  return isComplete || (await count(pawl.store, "task")) < SHORT;
}

async function idsOf(pawl: Pawl, query: string, values: unknown[] = []): Promise<string[]> {
  return (await pawl.store.rows<{ id: string }>(query, values)).map((row) => row.id);
}

/** Cancels or moves tasks that wait, or cancels one that runs. */
async function disturb({ pawl }: Run, { next, whole }: Random): Promise<void> {
  const luck = next();
  const ids = await idsOf(
    pawl,
    luck < 0.4
      ? "select t.id from pawl.claim c join pawl.task t on t.seq = any (c.seqs) order by t.id limit 1 offset $1"
      : "select id from pawl.task where state <> 'blocked' order by id limit 2 offset $1",
    [whole(0, 5)],
  );
  if (ids.length === 0) return;
  if (luck < 0.7) await cancelTasks(pawl.store, ids, OPERATOR);
  else await moveTasks(pawl.store, ids, { priority: whole(0, 3), inMs: whole(0, 20), ...OPERATOR });
}

/** Looks at dead letters: what blocks a lane is retried or removed, some of the others are retried. */
async function clearDead({ pawl }: Run, { next }: Random): Promise<void> {
  for (const { id, isBlocking } of (await dead(pawl.store, { limit: 20 })).rows) {
    const luck = next();
    if (luck < (isBlocking ? 0.5 : 0.002)) await retryDead(pawl.store, [id], OPERATOR);
    else if (isBlocking) await removeDead(pawl.store, [id], OPERATOR);
  }
}

/** How many tries have begun. */
async function tries(pawl: Pawl): Promise<number> {
  const [row] = await pawl.store.rows<{ n: number }>(
    "select last_value::int as n from step_no_seq",
  );
  return row?.n ?? 0;
}

/** Each time that some more have begun: an operator's act, until the run is over. */
async function operate(run: Run, chance: Random): Promise<void> {
  let seen = 0;
  while (!run.isOver) {
    seen = await until(
      "some more have begun, or a lane is blocked",
      async () => {
        const begun = await tries(run.pawl);
        const stuck = await count(run.pawl.store, "task where state = 'blocked'");
        return (run.isOver || stuck > 0 || begun >= seen + 8) && begun;
      },
      PATIENCE_MS,
    );
    await disturb(run, chance);
    await clearDead(run, chance);
  }
}

async function clock(pawl: Pawl): Promise<number> {
  const [row] = await pawl.store.rows<{ us: number }>(
    "select (extract(epoch from clock_timestamp()) * 1000000)::float8 as us",
  );
  return row?.us ?? 0;
}

/** Kills a process that runs something, ends its lease at once, and starts another. */
async function killOne(run: Run, { whole }: Random): Promise<void> {
  const { workers, pawl } = run;
  const pid = await until("a worker runs tasks", async () => {
    const rows = await pawl.store.rows<{ pid: number }>(
      `select distinct w.pid from pawl.worker w join pawl.claim c on c.worker_id = w.id
        where w.ended_at is null order by w.pid`,
    );
    const busy = rows.map((row) => row.pid).filter((one) => workers.live.includes(one));
    return busy[whole(0, Math.max(busy.length - 1, 0))];
  });
  await workers.kill(pid);
  run.leaseEnds.set(pid, await clock(pawl));
  await workers.bury(pid);
}

/** Spread over the run, and then until every fate was seen: whoever is slow sees fewer in the same number of tasks. */
async function kills(run: Run, chance: Random): Promise<void> {
  const respawned: Promise<number>[] = [];
  const seen = new Set<string>();
  for (let kill = 1; kill <= KILLS || FATES.some((fate) => !seen.has(fate)); kill += 1) {
    const due = (TASKS * 0.7 * kill) / KILLS;
    await until("some more have begun", async () => (await tries(run.pawl)) >= due, PATIENCE_MS);
    await killOne(run, chance);
    respawned.push(run.workers.start(CONCURRENCY));
    for (const { what } of await fates(run.pawl)) seen.add(what);
  }
  run.isComplete = true;
  await Promise.all(respawned);
}

async function fates({ store }: Pawl): Promise<{ what: string; n: number }[]> {
  return store.rows(
    `select what, count(*)::int as n from (
       select outcome as what from pawl.finished union all select 'dead' from pawl.dead where lane like 'lenient%'
       union all select 'attempt: ' || outcome from pawl.attempt
       union all select 'act: ' || action from pawl.audit) w group by what order by what`,
  );
}

async function isDone({ pawl }: Run): Promise<boolean> {
  return (await count(pawl.store, "task")) === 0;
}

async function work(run: Run, seed: number): Promise<void> {
  try {
    const producing = Array.from({ length: PRODUCERS }, (_, i) =>
      produce(run, random(seed + 10 + i)),
    );
    await Promise.all([...producing, kills(run, random(seed + 2))]);
    await until("nothing is left to do", () => isDone(run), PATIENCE_MS);
  } finally {
    run.isOver = true;
  }
}

test("R106: 20 lanes in 8 processes with failures, kills, cancels, moves, expiries and dead heads: nothing overtakes, nothing is lost, nothing stays stuck", async () => {
  const chance = random();
  const workers = await fleet({ app: laneApp, child: "lane-child.ts", setUp: SET_UP });
  const { pawl } = workers;
  const run: Run = {
    workers,
    pawl,
    committed: [],
    leaseEnds: new Map(),
    isComplete: false,
    isOver: false,
  };
  try {
    await Promise.all(Array.from({ length: WORKERS }, () => workers.start(CONCURRENCY)));
    await Promise.all([operate(run, random(chance.seed + 1)), work(run, chance.seed)]);
    // the operator's last act, after the end of the work, may have brought back what was dead
    await until("nothing is left to do", () => isDone(run), PATIENCE_MS);
    await report(run, chance.seed);
  } finally {
    run.isOver = true;
    await workers.stop();
  }
}, 900_000);

async function report(run: Run, seed: number): Promise<void> {
  const { pawl, committed } = run;
  const steps = await readSteps(pawl.store);
  const ends = await readEnds(pawl.store);
  const tally = await fates(pawl);
  const tried = `${steps.length} tries, ${steps.filter((step) => step.ended === null).length} killed`;
  console.log(
    `seed ${seed}: ${committed.length} committed, ${tried}; ${tally.map(({ what, n }) => `${what} ${n}`).join(", ")}`,
  );
  expect(overlaps(steps, run.leaseEnds)).toEqual([]);
  expect(inversions(steps, ends)).toEqual([]);
  expect(inversions(await readClaims(pawl.store), ends)).toEqual([]);
  expect(ends.map((end) => end.id)).toEqual(committed.toSorted((a, b) => Number(a) - Number(b)));
  expect(await count(pawl.store, "dead where lane like 'strict%'")).toBe(0);
  // two turns may have recorded its last tasks at once: then a third one removes the claim
  await until("no claim is left", async () => (await count(pawl.store, "claim")) === 0);
}
