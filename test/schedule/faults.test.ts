/** A schedule that is at fault, or that somebody holds, keeps no other one from firing; what happens between a look and its firing counts. The clock stands still, and the tests move it. */

import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import type { Logger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl } from "../../src/index.ts";
import { fireDue } from "../../src/schedule/scheduler.ts";
import {
  cancelScheduled,
  type Firing,
  fireSchedules,
  lookAtSchedules,
} from "../../src/schedule/sql.ts";
import { atEnd } from "../support/at-end.ts";
import { isLockAwaited, openTransaction, rawClient } from "../support/database.ts";
import { waitForLocks } from "../support/kernel.ts";
import { present } from "../support/present.ts";
import { type ScheduleBench, scheduleBench, startedOf } from "../support/schedules.ts";
import { until } from "../support/until.ts";

const at = (time: string) => `2026-05-05T${time}:00Z`;
const iso = (time: string) => `2026-05-05T${time}:00.000Z`;
const tick = defineJob({ name: "tick", input: z.object({}), run: () => undefined });

let bench: ScheduleBench;
let pawl: Pawl;
let count = 0;

beforeAll(async () => {
  bench = await scheduleBench(at("00:00"));
  pawl = await bench.app({ jobs: [tick] });
});

/** Hourly schedules of an operator, first due at 01:00; those of the tests before are gone. */
async function hourly(
  more: { overlap: "skip" | "queue" | "cancel" | "all" },
  amount = 1,
): Promise<string[]> {
  await bench.at(at("00:00"));
  await bench.store.rows("delete from pawl.schedule");
  const names: string[] = [];
  for (let n = 0; n < amount; n += 1) {
    count += 1;
    names.push(`s${count}`);
    await pawl.schedules.add(`s${count}`, { cron: "0 * * * *", job: "tick", ...more });
  }
  return names;
}

const breakZone = (name: string) =>
  bench.store.rows("update pawl.schedule set time_zone = 'Mars/Olympus' where name = $1", [name]);
const refuse = (name: string) =>
  bench.store.rows('update pawl.schedule set task = task || \'{"lane": ""}\' where name = $1', [
    name,
  ]);
const runs = async (name: string) => (await present(pawl.schedules.show(name))).runs;

test("a time zone that this machine does not know keeps no other schedule from firing", async () => {
  const [bad = "", good = ""] = await hourly({ overlap: "all" }, 2);
  await breakZone(bad);
  await bench.at(at("01:00"));
  const { fired, faults } = await fireDue(bench.store);
  expect(fired).toMatchObject([{ name: good, outcome: "started" }]);
  expect(faults).toMatchObject([{ name: bad, error: expect.stringContaining("Mars/Olympus") }]);
});

test("schedules that cannot be computed are told once, and do not fill the looks of a worker", async () => {
  const [bad = "", good = ""] = await hourly({ overlap: "all" }, 2);
  await breakZone(bad);
  await bench.store.rows(
    `insert into pawl.schedule (name, cron, time_zone, jitter_ms, starts, target, task, missed, overlap, is_enabled, next_at, fire_at)
     select s.name || '-' || n, s.cron, s.time_zone, 0, s.starts, s.target, s.task, s.missed, s.overlap, true, s.next_at, s.fire_at - interval '1 s'
       from pawl.schedule s, generate_series(1, 2000) n where s.name = $1`,
    [bad],
  );
  await bench.at(at("01:00"));
  const told: string[] = [];
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (_data: unknown, message?: string) => told.push(message ?? ""),
  } as unknown as Logger;
  const worker = await connect(defineApp({ name: "shop", jobs: [tick] }), {
    databaseUrl: bench.url,
    log,
  });
  atEnd(() => worker.close());
  await worker.work();
  const fires = async (time: string) => {
    await until(`${time} has been fired`, async () =>
      (await startedOf(bench, good)).includes(iso(time)),
    );
  };
  await fires("01:00");
  await bench.at(at("02:00"));
  await fires("02:00");
  await worker.close();
  const ofBad = told.filter((text) => text.startsWith(`schedule "${bad}`));
  expect(ofBad).toHaveLength(2_001);
  expect(new Set(ofBad).size).toBe(2_001);
});

test("a task of overlap `cancel` that somebody holds keeps no schedule from firing, and no round waits for it", async () => {
  await waitForLocks(bench.store, "cancel_scheduled_v1"); // for ever, if it waits
  const [held = "", good = ""] = await hourly({ overlap: "cancel" }, 2);
  await bench.at(at("01:00"));
  await bench.fire();
  const taskId = (await runs(held))[0]?.taskId ?? "";
  for (const { taskId: id } of await runs(good)) await pawl.cancel(id ?? "");
  await bench.at(at("02:00"));
  const holder = await openTransaction(bench.url);
  await holder.query("select from pawl.task where id = $1 for update", [taskId]);
  const [both, cancelling] = [await fireDue(bench.store), await fireDue(bench.store)];
  expect(both.fired).toMatchObject([{ name: good, outcome: "started" }]);
  expect(cancelling.faults).toMatchObject([
    {
      name: held,
      doing: "cancelling its last task",
      error: `somebody holds the row of task ${taskId}`,
    },
  ]);
  await holder.query("rollback");
  await bench.fire();
  expect(await startedOf(bench, held)).toEqual([iso("01:00"), iso("02:00")]);
});

test("a schedule's row that somebody holds while its last task is to be cancelled is left for the next look", async () => {
  const [held = ""] = await hourly({ overlap: "cancel" });
  await bench.at(at("01:00"));
  await bench.fire();
  await bench.at(at("02:00"));
  await fireDue(bench.store);
  const holder = await openTransaction(bench.url);
  await holder.query("select from pawl.schedule where name = $1 for update", [held]);
  expect(await fireDue(bench.store)).toMatchObject({ cancelled: 0, faults: [] });
  await holder.query("rollback");
  await bench.fire();
  expect(await startedOf(bench, held)).toEqual([iso("01:00"), iso("02:00")]);
});

test.each([
  ["its last task never ends", async () => undefined],
  ["each start is refused", refuse],
])("what is kept of a schedule that starts nothing is bounded: %s", async (_why, before) => {
  const [name = ""] = await hourly({ overlap: "skip" });
  await before(name);
  await bench.store.rows(
    "create or replace function pawl.schedule_runs_kept() returns int language sql immutable return 3",
  );
  const kept = async () => (await bench.store.rows("select from pawl.schedule_run")).length;
  await bench.at(at("01:00"));
  await bench.fire();
  const start = Date.parse(at("01:00"));
  let hours = 0;
  // which firing trims is left to chance: one in twenty
  await until("some were removed", async () => {
    hours += 1;
    await bench.at(new Date(start + hours * 3_600_000).toISOString());
    await bench.fire();
    return (await kept()) < hours + 1;
  });
});

test("due times whose start is refused together are all told: how many, and since when", async () => {
  const [name = ""] = await hourly({ overlap: "all" });
  await pawl.schedules.edit(name, { missed: { all: "2h" } });
  await refuse(name);
  await bench.at(at("05:00"));
  await bench.fire();
  expect(await runs(name)).toMatchObject([
    { outcome: "failed", dueAt: new Date(at("05:00")), since: new Date(at("03:00")), amount: 3 },
    { outcome: "missed", dueAt: new Date(at("02:00")), since: new Date(at("01:00")), amount: 2 },
  ]);
});

/** What a scheduler makes of a due time that it has seen. */
async function firingOf(name: string, due: string, then: string): Promise<Firing> {
  const [row] = await bench.store.rows<{ id: number; version: number }>(
    "select id, version from pawl.schedule where name = $1",
    [name],
  );
  const [dueAt, thenAt] = [new Date(at(due)), new Date(at(then))];
  return {
    id: row?.id ?? 0,
    version: row?.version ?? 0,
    next_at: dueAt,
    dues: [dueAt],
    missed: 0,
    missed_since: null,
    missed_at: null,
    then_at: thenAt,
    then_fire_at: thenAt,
  };
}

test.each(["skip", "queue", "cancel"] as const)(
  "R66: overlap `%s`: a due time starts nothing beside a task that an operator starts while it is fired",
  async (overlap) => {
    const [name = ""] = await hourly({ overlap });
    await bench.at(at("01:00"));
    // the firing has its snapshot and waits for what is off; then the operator's task is committed
    const holder = await openTransaction(bench.url);
    await holder.query("lock table pawl.switch in access exclusive mode");
    await waitForLocks(bench.store, "fire_schedules_v1(jsonb, text[])");
    const firing = fireSchedules(bench.store, [await firingOf(name, "01:00", "02:00")], []);
    const watcher = await rawClient(bench.url);
    await until("it waits for what is off", () => isLockAwaited(watcher));
    await watcher.query(
      "select task_id from pawl.run_schedule_v1($1, false, 'anna', null, 'schedules.run')",
      [name],
    );
    await holder.query("rollback");
    await firing;
    expect(await startedOf(bench, name)).toHaveLength(1);
  },
);

test("R66: overlap `cancel`: what was turned off since the look keeps its running task", async () => {
  const [name = ""] = await hourly({ overlap: "cancel" });
  await bench.at(at("01:00"));
  await bench.fire();
  await bench.at(at("02:00"));
  await fireSchedules(bench.store, [await firingOf(name, "02:00", "03:00")], []);
  const { schedules } = await lookAtSchedules(bench.store, 10, []);
  const [seen] = schedules;
  await pawl.off(`schedule:${name}`);
  expect(await cancelScheduled(bench.store, [seen?.id ?? 0], [seen?.cancel ?? 0])).toEqual([]);
  const task = (await runs(name))[0]?.taskId ?? "";
  expect(await pawl.task(task)).toMatchObject({ state: "ready" });
  await pawl.on(`schedule:${name}`);
  await bench.fire();
  expect(await startedOf(bench, name)).toEqual([iso("01:00"), iso("02:00")]);
});
