/** Schedules fire: each due time once, whatever happens beside. The clock stands still, and the tests move it. */

import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import {
  defineJob,
  defineProcess,
  defineSchedule,
  type Pawl,
  type Schedule,
} from "../../src/index.ts";
import { fireDue } from "../../src/schedule/scheduler.ts";
import { isLockAwaited, openTransaction, rawClient } from "../support/database.ts";
import { present } from "../support/present.ts";
import { nextOf, type ScheduleBench, scheduleBench, startedOf } from "../support/schedules.ts";
import { until } from "../support/until.ts";

const DAY = "2026-05-05T";
const at = (time: string) => `${DAY}${time}:00Z`;
const iso = (time: string) => `${DAY}${time}:00.000Z`;

let bench: ScheduleBench;
let count = 0;

beforeAll(async () => {
  bench = await scheduleBench(at("00:00"));
});

const clean = defineJob({
  name: "clean",
  input: z.object({ n: z.number() }),
  run: () => undefined,
});
const order = defineProcess({
  name: "order",
  version: 1,
  input: z.object({}),
  steps: (s) => s.tx("only", () => undefined),
});

type More = Partial<Parameters<typeof defineSchedule>[0]>;

/** Schedules of an app of their own, first due at 01:00. */
async function scheduled(more: More = {}): Promise<{ pawl: Pawl; name: string; app: string }> {
  count += 1;
  const name = `s${count}`;
  await bench.store.rows("update pawl.schedule set is_enabled = false"); // those of the tests before
  await bench.at(at("00:00"));
  const app = `app${count}`;
  const job = { ...clean, name: `clean${count}` };
  const schedule = defineSchedule({
    name,
    cron: "0 * * * *",
    job,
    input: { n: 1 },
    ...more,
  } as never);
  const pawl = await bench.app({ name: app, jobs: [job], schedules: [schedule] });
  return { pawl, name, app };
}

const tasksOf = async (pawl: Pawl, name: string) =>
  (await pawl.tasks.list({ limit: 1_000 })).filter((task) => task.kind === `clean${name.slice(1)}`);
const outcomes = async (pawl: Pawl, name: string) =>
  (await present(pawl.schedules.show(name))).runs.map(
    ({ outcome, amount }) => `${outcome} ${amount}`,
  );

/** As if its task had been run. */
async function end(pawl: Pawl, name: string): Promise<void> {
  for (const { id } of await tasksOf(pawl, name)) await pawl.cancel(id);
}

test("R66: a due time starts one task, which says which due time it is, and the next one follows", async () => {
  const { pawl, name } = await scheduled();
  expect(await nextOf(pawl, name)).toBe(iso("01:00"));
  await bench.at(at("00:59"));
  expect(await bench.fire()).toEqual([]);
  await bench.at(at("01:00"));
  expect(await bench.fire()).toMatchObject([{ name, outcome: "started" }]);
  const [task] = await tasksOf(pawl, name);
  const { payload, meta } = await present(pawl.task(present2(task).id));
  expect(payload).toEqual({ n: 1 });
  expect(meta).toEqual({ schedule: { name, dueAt: iso("01:00") } });
  expect(await nextOf(pawl, name)).toBe(iso("02:00"));
});

function present2<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("nothing is there");
  return value;
}

test("R66: a schedule starts a run of a process", async () => {
  await bench.at(at("00:00"));
  const schedule = defineSchedule({ name: "orders", cron: "0 * * * *", process: order, input: {} });
  const pawl = await bench.app({ name: "orders", processes: [order], schedules: [schedule] });
  await bench.at(at("01:00"));
  await bench.fire();
  const [run] = await pawl.processes.list();
  expect(run).toMatchObject({ process: "order", status: "pending" });
});

test("R66: of schedulers that all see a due time, one fires it; a stopped transaction keeps the others from it", async () => {
  const { pawl, name } = await scheduled({ overlap: "all" });
  for (const hour of ["01", "02", "03", "04", "05"]) {
    await bench.at(at(`${hour}:00`));
    const rounds = await Promise.all(Array.from({ length: 8 }, () => fireDue(bench.store)));
    expect(rounds.flatMap(({ fired }) => fired).filter((one) => one.name === name)).toHaveLength(1);
  }
  // a worker that was killed before it committed: its transaction is rolled back, and another one fires
  await bench.at(at("06:00"));
  const killed = await openTransaction(bench.url);
  await killed.query("select 1 from pawl.schedule where name = $1 for update", [name]);
  expect((await fireDue(bench.store)).fired.filter((one) => one.name === name)).toEqual([]);
  await killed.query("rollback");
  await bench.fire();
  const hours = ["01", "02", "03", "04", "05", "06"].map((hour) => iso(`${hour}:00`));
  expect(await startedOf(bench, name)).toEqual(hours);
  expect(await tasksOf(pawl, name)).toHaveLength(6);
});

test("R66: a clock that goes back fires nothing twice, and one that jumps ahead has missed what lies between", async () => {
  const { pawl, name } = await scheduled({ overlap: "all", missed: { all: "2h" } });
  await bench.at(at("02:00"));
  await bench.fire();
  await bench.at(at("01:00"));
  expect(await bench.fire()).toEqual([]);
  await bench.at(at("02:00"));
  expect(await bench.fire()).toEqual([]);
  await bench.at(at("08:30"));
  await bench.fire();
  expect(await startedOf(bench, name)).toEqual(
    ["01", "02", "07", "08"].map((hour) => iso(`${hour}:00`)),
  );
  expect(await outcomes(pawl, name)).toEqual([
    "started 1",
    "started 1",
    "missed 4",
    "started 1",
    "started 1",
  ]);
});

test.each([
  ["skip", { started: [], runs: ["missed 4"] }],
  ["last", { started: ["04"], runs: ["started 1", "missed 3"] }],
  [{ all: "2h" }, { started: ["03", "04"], runs: ["started 1", "started 1", "missed 2"] }],
] as const)(
  "R66: while a schedule is off its due times are missed, and %o decides when it is on again",
  async (missed, expected) => {
    const { pawl, name } = await scheduled({ missed, overlap: "all" });
    await pawl.schedules.pause(name, { by: "ada", why: "stocktaking" });
    await bench.at(at("04:30"));
    expect(await bench.fire()).toEqual([]);
    expect((await pawl.schedules.why(name)).line).toMatch(
      /off since .* by ada \(stocktaking\): `pawl schedules resume/,
    );
    await pawl.schedules.resume(name);
    await bench.fire();
    expect(await startedOf(bench, name)).toEqual(expected.started.map((hour) => iso(`${hour}:00`)));
    expect(await outcomes(pawl, name)).toEqual(expected.runs);
  },
);

test("a switch that ends by itself, `off all`, quiet hours and a switch on this host hold a schedule", async () => {
  const { pawl, name } = await scheduled({ overlap: "all" });
  const isHeld = async (offHere: string[] = []) =>
    (await fireDue(bench.store, offHere)).fired.every((one) => one.name !== name);
  await pawl.off(`schedule:${name}`, { until: new Date(at("01:30")) });
  await bench.at(at("01:00"));
  expect(await isHeld()).toBe(true);
  await bench.at(at("01:30"));
  expect(await isHeld([`schedule:${name}`])).toBe(true);
  expect(await isHeld(["all"])).toBe(true);
  await pawl.off("all");
  expect(await isHeld()).toBe(true);
  await pawl.on("all");
  expect(await isHeld()).toBe(false);
  const closing = { from: "02:00", to: "03:00", timeZone: "UTC", holds: [`schedule:${name}`] };
  const held = await bench.app({
    name: `quiet${name}`,
    quietHours: { [`closing${name}`]: closing },
  });
  await bench.at(at("02:00"));
  expect(await isHeld()).toBe(true);
  expect((await held.schedules.why(name)).line).toContain("quiet hours");
  await bench.at(at("03:00"));
  expect(await isHeld()).toBe(false);
  expect(await startedOf(bench, name)).toEqual([iso("01:00"), iso("03:00")]);
});

test("once `off` has returned a schedule fires no more: a scheduler that saw it due before asks again", async () => {
  const { pawl, name } = await scheduled({ overlap: "all" });
  await bench.at(at("01:00"));
  const firing = await openTransaction(bench.url);
  await firing.query("select pg_advisory_xact_lock_shared(pawl.gate_lock())");
  let isOff = false;
  const off = pawl.off(`schedule:${name}`).then(() => {
    isOff = true;
  });
  const watcher = await rawClient(bench.url);
  await until("`off` waits for what is being fired", () => isLockAwaited(watcher));
  expect(isOff).toBe(false);
  await firing.query("commit");
  await off;
  await bench.fire();
  expect(await tasksOf(pawl, name)).toEqual([]);
});

test("R66: overlap `skip`: what comes due while the last task lives is left out", async () => {
  const { pawl, name } = await scheduled({ overlap: "skip" });
  for (const hour of ["01", "02", "03"]) {
    await bench.at(at(`${hour}:00`));
    await bench.fire();
  }
  expect(await startedOf(bench, name)).toEqual([iso("01:00")]);
  await end(pawl, name);
  await bench.at(at("04:00"));
  await bench.fire();
  expect(await startedOf(bench, name)).toEqual([iso("01:00"), iso("04:00")]);
  expect(await outcomes(pawl, name)).toEqual(["started 1", "overlap 1", "overlap 1", "started 1"]);
});

test("R66: overlap `queue`: one due time waits for the end of the last task, the latest", async () => {
  const { pawl, name } = await scheduled({ overlap: "queue" });
  for (const hour of ["01", "02", "03"]) {
    await bench.at(at(`${hour}:00`));
    await bench.fire();
  }
  expect((await pawl.schedules.why(name)).line).toContain(
    `the due time ${iso("03:00")} waits until task`,
  );
  expect(await tasksOf(pawl, name)).toHaveLength(1);
  await end(pawl, name);
  await bench.at(at("03:10"));
  await bench.fire();
  expect(await startedOf(bench, name)).toEqual([iso("01:00"), iso("03:00")]);
  await end(pawl, name);
  expect(await bench.fire()).toEqual([]);
});

test("R66: overlap `cancel`: the last task is cancelled, and the due time starts when it has ended", async () => {
  const { pawl, name } = await scheduled({ overlap: "cancel" });
  for (const hour of ["01", "02"]) {
    await bench.at(at(`${hour}:00`));
    await bench.fire();
  }
  expect(await startedOf(bench, name)).toEqual([iso("01:00"), iso("02:00")]);
  expect(await tasksOf(pawl, name)).toHaveLength(1);
  const { runs } = await present(pawl.schedules.show(name));
  expect(runs.map((run) => run.taskState)).toEqual(["ready", "cancelled"]);
});

test("R66: overlap `all`: each due time starts its task beside the others", async () => {
  const { pawl, name } = await scheduled({ overlap: "all" });
  for (const hour of ["01", "02"]) {
    await bench.at(at(`${hour}:00`));
    await bench.fire();
  }
  expect(await tasksOf(pawl, name)).toHaveLength(2);
});

test("a start that the database refuses is told, and neither stops the others nor is tried for ever", async () => {
  const bad = await scheduled({ overlap: "all" });
  const good = await scheduled({ overlap: "all" });
  await bench.store.rows("update pawl.schedule set is_enabled = true where name = $1", [bad.name]);
  await bench.store.rows(
    'update pawl.schedule set task = task || \'{"lane": ""}\' where name = $1',
    [bad.name],
  );
  await bench.at(at("01:00"));
  const fired = (await bench.fire()).filter(({ name }) => [bad.name, good.name].includes(name));
  expect(fired.map(({ name, outcome }) => [name, outcome])).toEqual([
    [bad.name, "failed"],
    [good.name, "started"],
  ]);
  expect(await bench.fire()).toEqual([]);
  expect((await bad.pawl.schedules.why(bad.name)).line).toContain(
    "last: failed: task no. 1 of the call: bad lane",
  );
  expect(await nextOf(bad.pawl, bad.name)).toBe(iso("02:00"));
});

test("a restart with the same definition goes on where it was; other times begin now; what is not defined any more never fires", async () => {
  const { name, app, pawl } = await scheduled({ missed: { all: "1d" }, overlap: "all" });
  const job = pawl.app.jobs[0];
  const again = (schedules: Schedule[]) =>
    bench.app({ name: app, jobs: job ? [job] : [], schedules });
  const [schedule] = pawl.app.schedules as Schedule[];
  await bench.at(at("02:30"));
  await register(await again(schedule ? [schedule] : []));
  expect(await nextOf(pawl, name)).toBe(iso("01:00"));
  await register(
    await again(schedule ? [{ ...schedule, timing: { cron: "15 * * * *", timeZone: "UTC" } }] : []),
  );
  expect(await nextOf(pawl, name)).toBe(iso("03:15"));
  await register(await again([]));
  await bench.at(at("05:00"));
  expect(await bench.fire()).toEqual([]);
  expect((await present(pawl.schedules.show(name))).schedule.status).toBe("undefined");
  await register(await again(schedule ? [schedule] : []));
  expect(await nextOf(pawl, name)).toBe(iso("06:00"));
});

/** A worker registers at its start; so does the client when it connects. */
async function register(pawl: Pawl): Promise<void> {
  await pawl.schedules.list();
}

test("`enabled: false` is known and never due; on again it begins now", async () => {
  const { pawl, name } = await scheduled({ enabled: false });
  await bench.at(at("03:00"));
  expect(await bench.fire()).toEqual([]);
  expect((await pawl.schedules.why(name)).line).toContain("enabled: false");
});

test("R66: run now starts its task beside the due times, unless the last one lives", async () => {
  const { pawl, name } = await scheduled();
  const { taskId } = await pawl.schedules.run(name, { by: "ada", why: "a drill" });
  expect((await present(pawl.task(taskId))).meta).toMatchObject({ schedule: { name } });
  await expect(pawl.schedules.run(name)).rejects.toThrow(/its last task \d+ has not ended/);
  await pawl.schedules.run(name, { beside: true });
  expect(await nextOf(pawl, name)).toBe(iso("01:00"));
  await expect(pawl.schedules.run("nosuch")).rejects.toMatchObject({ code: "schedule_not_found" });
});

test("an input that the schema refuses ends the start of the app, and names the schedule", async () => {
  const schedule = {
    ...defineSchedule({ name: "odd", cron: "0 * * * *", job: clean, input: { n: 1 } }),
    input: { n: "x" },
  };
  await expect(bench.app({ name: "odd", jobs: [clean], schedules: [schedule] })).rejects.toThrow(
    /schedule "odd".*n/,
  );
});

test("R20: a worker that ends when nothing is left waits for what is due now, and not for what comes due later", async () => {
  const { pawl, name } = await scheduled({ overlap: "all" });
  await bench.at(at("01:00"));
  const holder = await openTransaction(bench.url);
  await holder.query("select from pawl.schedule where name = $1 for update", [name]);
  const worker = await pawl.work({ queues: ["low"] });
  expect(await worker.isWorkLeft(0)).toBe(true);
  await holder.query("rollback");
  await until("it has been fired", async () => !(await worker.isWorkLeft(3_600_000)));
  expect(await startedOf(bench, name)).toEqual([iso("01:00")]);
  await worker.stop();
});

test.each([
  [{ replace: true }, "started"],
  [{ debounce: "2h" }, "started"],
  [undefined, "duplicate"],
] as const)(
  "R66 R70b: a due time whose task has the key of one that waits, with unique %j, is noted as %s",
  async (unique, outcome) => {
    count += 1;
    const name = `keyed${count}`;
    await bench.at(at("00:00"));
    const job = defineJob({
      name,
      input: z.object({ n: z.number() }),
      key: () => "one",
      ...(unique !== undefined && { unique }),
      run: () => undefined,
    });
    const schedule = defineSchedule({
      name,
      cron: "0 * * * *",
      job,
      input: { n: 1 },
      overlap: "all",
    });
    const pawl = await bench.app({ name, jobs: [job], schedules: [schedule] });
    for (const hour of ["01", "02"]) {
      await bench.at(at(`${hour}:00`));
      await bench.fire();
    }
    const { runs } = await present(pawl.schedules.show(name));
    expect(runs.map((run) => run.outcome)).toEqual([outcome, "started"]);
  },
);

test("R20: a due time that cannot be computed on this machine keeps no worker that ends when nothing is left", async () => {
  const { pawl, name } = await scheduled({ overlap: "all" });
  await bench.store.rows("update pawl.schedule set time_zone = 'Mars/Olympus' where name = $1", [
    name,
  ]);
  await bench.at(at("01:00"));
  const worker = await pawl.work({ queues: ["low"] });
  await until("nothing is left that it can do", async () => !(await worker.isWorkLeft(0)));
  expect(await startedOf(bench, name)).toEqual([]);
  await worker.stop();
});
