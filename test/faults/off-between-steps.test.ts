/** Turned off at any moment, while many runs are between two of their steps. */

import { expect, test } from "vitest";
import type { Pawl } from "../../src/index.ts";
import { type Fleet, fleet } from "../support/fleet.ts";
import { runningOf } from "../support/kernel.ts";
import { type Random, random } from "../support/random.ts";
import { size } from "../support/size.ts";
import {
  alphaProcess,
  betaProcess,
  ROUNDS_OF_RUN,
  removeSteps,
  type StepStart,
  stepApp,
  stepsOf,
} from "../support/step-child.ts";
import { until } from "../support/until.ts";

const WORKERS = 3;
const ROUNDS = size(10, 100);
/** Of each process, kept in stock: while this process stands still the workers may do all that there is. */
const STOCK = 60;
const PATIENCE_MS = 300_000;
const SCOPES = ["process:alpha", "all", "queue:processes"];

interface Off {
  scope: string;
  /** Workers were frozen beyond their leases: one may have been so between its last look and the first line of a step. */
  isBeyondLease: boolean;
  from: number;
  to: number;
}

async function fill(pawl: Pawl): Promise<void> {
  for (const process of [alphaProcess, betaProcess]) {
    const rows = await pawl.store.rows(
      "select from pawl.task_live_v1 where queue = 'processes' and kind = $1 limit $2",
      [process.name, STOCK],
    );
    for (let more = rows.length; more < STOCK; more += 1) await pawl.start(process, {});
  }
}

/** Waits until so many more steps have begun. */
async function moreSteps({ pawl, live }: Fleet, more: number): Promise<void> {
  const before = (await stepsOf(live)).length;
  await until(
    `${more} more steps have begun`,
    async () => {
      await fill(pawl);
      return (await stepsOf(live)).length >= before + more;
    },
    PATIENCE_MS,
  );
}

/** Off at any moment; in some rounds the workers are frozen meanwhile, in the last one beyond their leases. */
async function offAndOn(workers: Fleet, round: number, chance: Random): Promise<Off> {
  const { pawl, live } = workers;
  const scope = SCOPES[round % SCOPES.length] ?? "all";
  await moreSteps(workers, chance.whole(1, 40));
  const isBeyondLease = round === ROUNDS - 1;
  const isFrozen = isBeyondLease || round % 4 === 3;
  if (isFrozen) for (const pid of live) process.kill(pid, "SIGSTOP");
  const turning = pawl.off(scope).then(() => Date.now());
  if (isFrozen && !isBeyondLease) {
    await until("it is off", async () => {
      return (await pawl.store.rows("select from pawl.switch")).length === 1;
    });
    for (const pid of live) process.kill(pid, "SIGCONT");
  }
  const from = await turning;
  if (isBeyondLease) {
    for (const pid of live) process.kill(pid, "SIGCONT");
    await until("each has a live worker that has seen it", async () => {
      const rows = await pawl.store.rows(
        `select from pawl.worker where ended_at is null and lease_until > pawl.now()
            and off_seen = (select epoch from pawl.off_epoch)`,
      );
      return rows.length === live.length;
    });
  } else {
    const isStopped = async () => (await runningOf(pawl.store, scope)) === 0;
    await until("what ran has stopped before its next step", isStopped, PATIENCE_MS);
    if (scope === "process:alpha") await moreSteps(workers, 3); // the other one's
  }
  const to = Date.now();
  await pawl.on(scope);
  return { scope, isBeyondLease, from, to };
}

function late(offs: readonly Off[], steps: readonly StepStart[]): unknown[] {
  return offs.flatMap((off) =>
    steps.filter(
      ({ at, process }) =>
        at > off.from &&
        at < off.to &&
        (off.scope !== "process:alpha" || process === alphaProcess.name),
    ),
  );
}

test("busy workers with runs of many steps, turned off again and again, all or one process: once off has returned no step begins until on", async () => {
  const workers = await fleet({ app: stepApp, child: "step-child.ts", setUp: [] });
  const chance = random();
  const { pawl } = workers;
  try {
    await fill(pawl);
    await Promise.all(Array.from({ length: WORKERS }, () => workers.start(4)));
    const offs: Off[] = [];
    for (let round = 0; round < ROUNDS; round += 1)
      offs.push(await offAndOn(workers, round, chance));
    await moreSteps(workers, 50);
    const steps = await stepsOf(workers.live);
    const of = (is: boolean) => offs.filter((off) => off.isBeyondLease === is);
    expect(late(of(false), steps)).toEqual([]);
    expect(late(of(true), steps).length).toBeLessThanOrEqual(WORKERS);
    await everyRunIsWhole(pawl);
    console.log(`seed ${chance.seed}: ${steps.length} steps, ${offs.length} times off`);
  } finally {
    const pids = [...workers.live];
    await workers.stop();
    await removeSteps(pids);
  }
}, 900_000);

/** A run that was stopped again and again has done each of its steps as often as it had to, and was never held. */
async function everyRunIsWhole(pawl: Pawl): Promise<void> {
  await until(
    "runs have ended",
    async () => {
      await fill(pawl);
      const ended = await pawl.store.rows(
        "select from pawl.task_v1 where queue = 'processes' and state = 'done' limit 10",
      );
      return ended.length === 10;
    },
    PATIENCE_MS,
  );
  const odd = await pawl.store.rows(
    `select t.id, s.step, count(*)::int from pawl.task_v1 t join pawl.process_step s on s.run_id = t.id
      where t.queue = 'processes' and t.state = 'done' and s.outcome = 'done'
      group by 1, 2 having count(*) <> $1`,
    [ROUNDS_OF_RUN],
  );
  expect(odd).toEqual([]);
}
