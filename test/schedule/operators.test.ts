/** What operators do to schedules: their own, and those of the code. */

import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { defineCommand, defineJob, defineSchedule, type Pawl } from "../../src/index.ts";
import { waitForLocks } from "../support/kernel.ts";
import { present } from "../support/present.ts";
import { type ScheduleBench, scheduleBench, startedOf } from "../support/schedules.ts";

const at = (time: string) => `2026-05-05T${time}:00Z`;
const iso = (time: string) => `2026-05-05T${time}:00.000Z`;

const report = defineJob({ name: "report", input: z.object({}).loose(), run: () => undefined });
const typed = defineJob({
  name: "typed",
  input: z.object({ days: z.number().default(7) }),
  limitKey: ({ days }) => `of ${days}`,
  run: () => undefined,
});
const load = defineCommand({ name: "load", params: [10, 20], run: () => undefined });

let bench: ScheduleBench;
let pawl: Pawl;

beforeAll(async () => {
  bench = await scheduleBench(at("00:00"));
  pawl = await bench.app({
    jobs: [report, typed],
    commands: [load],
    schedules: [
      defineSchedule({ name: "coded", cron: "0 * * * *", job: report, input: {}, overlap: "all" }),
      defineSchedule({ name: "loading", cron: "30 12 * * *", command: load, param: 10 }),
    ],
  });
});

test("R66: a schedule asks a worker to run a command, for its parameter, and once while it waits", async () => {
  await bench.at(at("12:30"));
  await bench.fire();
  const [task, ...others] = await pawl.tasks.list({ queue: "commands" });
  expect(others).toEqual([]);
  const { payload, meta, key } = await present(pawl.task(present2(task).id));
  expect({ payload, key }).toEqual({
    payload: { param: "10", by: "schedule:loading", why: null },
    key: "load:10",
  });
  expect(meta).toMatchObject({ schedule: { name: "loading", dueAt: iso("12:30") } });
});

function present2<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("nothing is there");
  return value;
}

test("a command's parameter is one that it has", () => {
  const given = { name: "odd", cron: "@daily", command: load } as const;
  expect(() => defineSchedule(given)).toThrow(/`param` to be one of 10, 20/);
  expect(() => defineSchedule({ ...given, param: 30 })).toThrow(/one of 10, 20, got 30/);
  expect(() => defineSchedule({ ...given, param: 10, input: {} } as never)).toThrow(
    /`input` is for a job/,
  );
});

test("operators add, change and remove schedules of their own, by name; each act is in the audit", async () => {
  await bench.at(at("13:00"));
  await pawl.schedules.add("weekly", {
    cron: "0 6 * * 1",
    timeZone: "Europe/Prague",
    job: "report",
    input: { days: 7 },
    overlap: "all",
    by: "ada",
    why: "the boss asks",
  });
  expect((await present(pawl.schedules.show("weekly"))).schedule).toMatchObject({
    application: null,
    nextAt: new Date("2026-05-11T04:00:00Z"),
    missed: "last",
  });
  await pawl.schedules.edit("weekly", { cron: "15 13 * * *", missed: { all: "1d" } });
  expect((await present(pawl.schedules.show("weekly"))).schedule).toMatchObject({
    timeZone: "Europe/Prague",
    overlap: "all",
    nextAt: new Date("2026-05-06T11:15:00Z"),
  });
  await pawl.schedules.edit("weekly", { timeZone: "UTC", input: { days: 1 } });
  await bench.at(at("13:15"));
  await bench.fire();
  const [run] = (await present(pawl.schedules.show("weekly"))).runs;
  expect((await present(pawl.task(run?.taskId ?? ""))).payload).toEqual({ days: 1 });
  await expect(pawl.schedules.add("weekly", { every: "1h", job: "report" })).rejects.toMatchObject({
    code: "duplicate_name",
  });
  await pawl.schedules.pause("weekly");
  await pawl.schedules.remove("weekly");
  expect(await pawl.schedules.show("weekly")).toBeUndefined();
  await pawl.schedules.add("weekly", { every: "1h", job: "report" });
  expect((await present(pawl.schedules.show("weekly"))).schedule.status).toBe("on");
  const acts = (await pawl.audit.list({ target: "schedule:weekly" })).map((row) => row.action);
  expect(acts.reverse().slice(0, 3)).toEqual(["schedules.add", "schedules.edit", "schedules.edit"]);
});

test("a schedule is removed whatever rows stand before and after it", async () => {
  for (const name of ["before", "between", "behind"])
    await pawl.schedules.add(name, { every: "1h", job: "report" });
  await pawl.schedules.remove("between");
  const left = (await pawl.schedules.list()).map(({ name }) => name);
  expect(left).toEqual(expect.arrayContaining(["before", "behind"]));
  expect(left).not.toContain("between");
  for (const name of ["before", "behind"]) await pawl.schedules.remove(name);
});

test("an operator's schedule in the way of a new one of the code is named, and stays", async () => {
  await pawl.schedules.add("taken", { every: "1h", job: "report" });
  const schedule = defineSchedule({ name: "taken", every: "1d", job: report, input: {} });
  await expect(
    bench.app({
      name: "other",
      jobs: [{ ...report, name: "report2" }, report],
      schedules: [schedule],
    }),
  ).rejects.toMatchObject({ code: "owned_by_code" });
});

test.each([
  ["a job that nobody defines", { cron: "@daily", job: "reprot" }, "unknown_kind"],
  ["a process that nobody defines", { cron: "@daily", process: "order" }, "unknown_kind"],
  ["a command without its parameter", { cron: "@daily", command: "load" }, "unknown_kind"],
  ["a wrong expression", { cron: "61 * * * *", job: "report" }, "invalid_option"],
  ["nothing to start", { cron: "@daily" }, "invalid_option"],
  ["two things to start", { cron: "@daily", job: "report", process: "order" }, "invalid_option"],
])("R66: %s is refused by add", async (_what, given, code) => {
  await expect(pawl.schedules.add("refused", given)).rejects.toMatchObject({ code });
});

test("what the code defines operators may pause and run, and not change", async () => {
  const code = "owned_by_code";
  await expect(pawl.schedules.edit("coded", { every: "1h" })).rejects.toMatchObject({ code });
  await expect(pawl.schedules.remove("coded")).rejects.toMatchObject({ code });
  await pawl.schedules.pause("coded");
  await pawl.schedules.resume("coded");
});

test("backfill starts what was missed, each due time once, and nothing that was started before", async () => {
  await bench.at(at("18:30"));
  await bench.fire();
  const before = await startedOf(bench, "coded");
  expect(before).toContain(iso("18:00"));
  const between = { from: new Date(at("15:00")), to: new Date(at("18:00")) };
  const dry = await pawl.schedules.backfill("coded", { ...between, dryRun: true });
  expect(dry.map(({ outcome }) => outcome)).toEqual(["started", "started", "started", "already"]);
  expect(await startedOf(bench, "coded")).toEqual(before);
  await waitForLocks(bench.store, "backfill_schedule_v1"); // one waits for the other
  const both = await Promise.all([1, 2].map(() => pawl.schedules.backfill("coded", between)));
  expect(both.flat().filter(({ outcome }) => outcome === "started")).toHaveLength(3);
  expect(await startedOf(bench, "coded")).toEqual(
    [...new Set([...before, iso("15:00"), iso("16:00"), iso("17:00")])].sort(),
  );
  const later = { from: new Date(at("15:00")), to: new Date(at("20:00")) };
  await expect(pawl.schedules.backfill("coded", later)).rejects.toThrow(/in the past/);
  const long = { from: new Date(0), to: new Date(at("18:00")) };
  await expect(pawl.schedules.backfill("coded", long)).rejects.toThrow(/more than 1000/);
});

test("an operator's input is checked by the job that this app defines, and its task is what an enqueue would make", async () => {
  const times = { every: "1h", job: "typed" } as const;
  await expect(
    pawl.schedules.add("wrong", { ...times, input: { days: "many" } }),
  ).rejects.toMatchObject({
    code: "invalid_payload",
    message: expect.stringContaining('schedule "wrong"'),
  });
  await pawl.schedules.add("checked", { ...times, input: { days: 3 } });
  const wrong = { input: { days: "many" } };
  await expect(pawl.schedules.edit("checked", wrong)).rejects.toMatchObject({
    code: "invalid_payload",
  });
  const { taskId } = await pawl.schedules.run("checked");
  expect(await present(pawl.task(taskId))).toMatchObject({ payload: { days: 3 } });
  const [row] = await bench.store.rows("select limit_key from pawl.task where id = $1", [taskId]);
  expect(row).toEqual({ limit_key: "of 3" });
  await pawl.schedules.remove("checked");
});

test("schedules are listed by status and by what they start, a page at a time", async () => {
  for (const n of [1, 2, 3])
    await pawl.schedules.add(`page-${n}`, { cron: "0 0 1 1 *", job: "typed" });
  await pawl.schedules.pause("page-2");
  const names = async (filter: Parameters<typeof pawl.schedules.list>[0]) =>
    (await pawl.schedules.list(filter)).map(({ name }) => name);
  expect(await names({ target: "typed" })).toEqual(["page-1", "page-2", "page-3"]);
  expect(await names({ target: "typed", limit: 2 })).toEqual(["page-1", "page-2"]);
  expect(await names({ target: "typed", status: "off" })).toEqual(["page-2"]);
  expect(await names({ target: "load" })).toEqual(["loading"]);
  expect(await names({ target: "load", status: "off" })).toEqual([]);
  await expect(names({ target: "typd" })).rejects.toMatchObject({
    code: "unknown_kind",
    message: expect.stringContaining('did you mean "typed"'),
  });
  await expect(names({ status: "of" as "off" })).rejects.toThrow(/one of on, off, quiet/);
});

test("a schedule that is due and not fired is told as late, by the clock of the database", async () => {
  await bench.at(at("22:00"));
  await bench.fire();
  const line = async () => (await pawl.schedules.why("coded")).line;
  expect(await line()).toMatch(
    new RegExp(`^next due ${iso("23:00")}; a worker .* has to run then`),
  );
  await bench.at(at("23:00"));
  expect(await line()).toMatch(/^next due /);
  await bench.at(at("23:01"));
  expect(await line()).toMatch(
    new RegExp(`^was due ${iso("23:00")}, and is not fired yet: .*\`pawl workers list\``),
  );
  expect((await present(pawl.schedules.show("coded"))).line).toBe(await line());
  await bench.fire();
  expect(await line()).toMatch(/^next due 2026-05-06T00:00/);
});
