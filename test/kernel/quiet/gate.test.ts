/** Quiet hours at the gate: what they hold, what could last into them, and what goes on. */

import { expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../../src/base/log.ts";
import {
  type AppOptions,
  connect,
  defineApp,
  defineJob,
  type Pawl,
  type QuietHoursOptions,
} from "../../../src/index.ts";
import { movableClock } from "../../support/clock.ts";
import { freshDatabase } from "../../support/database.ts";
import { until } from "../../support/until.ts";

const DAY = 86_400_000;
const MINUTE = 60_000;
const anything = {
  "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) },
} as const;

const CLOSING: QuietHoursOptions = { from: "12:00", to: "12:10", timeZone: "UTC", why: "books" };

async function pawlWith(options: AppOptions, databaseUrl?: string): Promise<Pawl> {
  const url = databaseUrl ?? (await freshDatabase()).url;
  const pawl = await connect(defineApp({ name: "shop", ...options }), {
    databaseUrl: url,
    log: silentLogger,
  });
  onTestFinished(() => pawl.close());
  return pawl;
}

/** Moves the clock to a time of tomorrow, in UTC. */
async function clockAt(pawl: Pawl, time: string) {
  const clock = await movableClock(pawl.store, { isSlow: true });
  const [row] = await pawl.store.rows<{ now: Date }>("select pawl.now() as now");
  const now = row?.now ?? new Date();
  const day = new Date(now.getTime() + DAY).toISOString().slice(0, 10);
  await clock.advance(Date.parse(`${day}T${time}:00Z`) - now.getTime());
  return clock;
}

test("R21: in quiet hours nothing starts, `why` and lists name them, and after their end it starts", async () => {
  const ran: string[] = [];
  const job = defineJob({
    name: "bill",
    input: anything,
    timeout: "1m",
    run: () => void ran.push("bill"),
  });
  const pawl = await pawlWith({ jobs: [job], quietHours: { closing: CLOSING } });
  const clock = await clockAt(pawl, "12:03");
  await pawl.work();
  const { id } = await pawl.enqueue(job, {});
  const why = await pawl.why(id);
  expect(why.line).toMatch(
    /^ready, held: quiet hours closing \("books"\) hold it until .*12:10:00/,
  );
  expect(why).toMatchObject({ reasons: [{ reason: "quiet", detail: { window: "closing" } }, {}] });
  expect(await pawl.quiet.list()).toMatchObject([
    { name: "closing", isQuiet: true, from: "12:00" },
  ]);
  const queue = (await pawl.queues.list()).find((one) => one.queue === "normal");
  expect(queue?.holds).toMatchObject([{ reason: "quiet" }]);
  expect(await pawl.store.rows("select * from pawl.claim")).toEqual([]);
  expect(ran).toEqual([]);
  await clock.advance(8 * MINUTE);
  await until("it has run", () => ran.length === 1);
});

test("what could last into quiet hours does not start before them; what ends in time does", async () => {
  const ran: string[] = [];
  const job = (name: string, timeout: "1m" | "10m") =>
    defineJob({ name, input: anything, timeout, run: () => void ran.push(name) });
  const [short, long] = [job("short", "1m"), job("long", "10m")];
  const pawl = await pawlWith({ jobs: [short, long], quietHours: { closing: CLOSING } });
  await clockAt(pawl, "11:55");
  const { id } = await pawl.enqueue(long, {});
  await pawl.enqueue(short, {});
  await pawl.work();
  await until("the short one has run", () => ran.includes("short"));
  expect((await pawl.why(id)).line).toMatch(
    /quiet hours closing \("books"\) begin in (?:4m|5m).*, before its attempt could end/,
  );
  expect(ran).toEqual(["short"]);
});

test("quiet hours hold only their scopes, and exempt ones go on", async () => {
  const ran: string[] = [];
  const job = (name: string, queue: string) =>
    defineJob({ name, queue, input: anything, run: () => void ran.push(name) });
  const jobs = [job("a", "high"), job("b", "normal"), job("c", "low")] as const;
  const pawl = await pawlWith({
    jobs,
    quietHours: {
      closing: { ...CLOSING, exempt: ["queue:high"] },
      other: { ...CLOSING, holds: ["queue:high"], from: "13:00", to: "14:00" },
    },
  });
  await clockAt(pawl, "12:03");
  const ids = await Promise.all(jobs.map((one) => pawl.enqueue(one, {})));
  await pawl.work();
  await until("the exempt one has run", () => ran.length === 1);
  expect(ran).toEqual(["a"]);
  for (const { id } of ids.slice(1)) expect((await pawl.why(id)).line).toContain("quiet");
});

test("an operator lets work start in spite of them, once, with a reason", async () => {
  const runs: string[] = [];
  const job = defineJob({ name: "bill", input: anything, run: () => void runs.push("bill") });
  const pawl = await pawlWith({ jobs: [job], quietHours: { closing: CLOSING } });
  const clock = await clockAt(pawl, "12:03");
  await pawl.work();
  await pawl.enqueue(job, {});
  await expect(pawl.quiet.force("closing", {} as never)).rejects.toMatchObject({
    code: "invalid_option",
  });
  await expect(pawl.quiet.force("closed", { why: "late" })).rejects.toMatchObject({
    code: "quiet_hours_not_found",
    message: expect.stringContaining('did you mean "closing"'),
  });
  expect(await pawl.quiet.force("closing", { why: "late invoices", by: "ada" })).toMatchObject({
    name: "closing",
    isPassed: true,
  });
  await until("it has run", () => runs.length === 1);
  expect(await pawl.quiet.list()).toMatchObject([
    { isQuiet: false, passedBy: "ada", passedWhy: "late invoices" },
  ]);
  const again = await pawl.quiet.force("closing", { why: "me too" });
  expect(await pawl.quiet.list()).toMatchObject([{ passedUntil: again.ends, passedBy: "ada" }]);
  expect(await pawl.audit.list({ target: "quiet:closing" })).toMatchObject([
    { action: "quiet.force", by: "ada", why: "late invoices" },
  ]);
  await clock.advance(DAY);
  const { id } = await pawl.enqueue(job, {});
  expect((await pawl.why(id)).line).toContain("quiet hours closing");
});

test("they go with the app's next definition, and two apps do not define the same ones", async () => {
  const { url } = await freshDatabase();
  const quietHours = { closing: CLOSING };
  const first = await pawlWith({ quietHours }, url);
  await first.work().then((worker) => worker.stop());
  await expect(
    pawlWith({ name: "other", quietHours }, url).then((pawl) => pawl.work()),
  ).rejects.toMatchObject({
    code: "owned_by_code",
    message: expect.stringContaining('quiet hours "closing" of app "shop"'),
  });
  const later = await pawlWith({ revision: 1 }, url);
  await later.work().then((worker) => worker.stop());
  expect(await later.quiet.list()).toEqual([]);
  await pawlWith({ quietHours }, url); // an older process that starts again
  expect(await later.quiet.list()).toEqual([]);
  await first.work().then((worker) => worker.stop());
  expect(await later.quiet.list()).toEqual([]);
});

test("what was let pass counts no more once the quiet hours have other times", async () => {
  const { url } = await freshDatabase();
  const pawl = await pawlWith({ quietHours: { closing: { ...CLOSING, days: ["last"] } } }, url);
  await pawl.quiet.force("closing", { why: "late invoices" });
  expect((await pawl.quiet.list())[0]?.passedUntil).not.toBeNull();
  await pawlWith({ quietHours: { closing: CLOSING } }, url);
  expect(await pawl.quiet.list()).toMatchObject([{ passedUntil: null, days: null }]);
});

test("both changes of the clock are in the preview, and hold as it says", async () => {
  const pawl = await pawlWith({
    quietHours: { night: { from: "01:30", to: "02:30", timeZone: "Europe/Warsaw" } },
  });
  await pawl.work().then((worker) => worker.stop());
  const times = await pawl.quiet.preview("night", { days: 400 });
  expect(times.length).toBeGreaterThan(398);
  const lengths = times.map(({ begins, ends }) => (ends.getTime() - begins.getTime()) / MINUTE);
  expect(new Set(lengths)).toEqual(new Set([60, 30, 120]));
  const clock = await movableClock(pawl.store, { isSlow: true });
  let now = Date.now();
  for (const { begins, ends } of times.filter((_, i) => lengths[i] !== 60)) {
    for (const [at, isQuiet] of [
      [begins.getTime() - MINUTE, false],
      [begins.getTime() + MINUTE, true],
      [ends.getTime() - MINUTE, true],
      [ends.getTime() + MINUTE, false],
    ] as const) {
      await clock.advance(at - now);
      now = at;
      expect(await pawl.quiet.list()).toMatchObject([{ isQuiet }]);
    }
  }
});

test.each<[string, object, string]>([
  [
    "an hour that no clock shows",
    { from: "24:10" },
    'quietHours.closing: expected `from` to be a time from "00:00" to "23:59", got "24:10"',
  ],
  ["a time without minutes", { to: "12" }, "expected `to` to be a time"],
  [
    "the same time twice",
    { to: "12:00" },
    'are both 12:00; for a whole day write "00:00" and "24:00"',
  ],
  ["no time zone", { timeZone: undefined }, "timeZone"],
  [
    "an unknown time zone",
    { timeZone: "Europe/Warsav" },
    'time zone, such as "Europe/Warsaw", got "Europe/Warsav"',
  ],
  ["an offset", { timeZone: "+01:00" }, "IANA name"],
  [
    "an unknown day",
    { days: ["monday"] },
    'a day of the month from 1 to 31, or "last", got "monday"',
  ],
  ["a 32nd", { days: [32] }, "from 1 to 31"],
  ["no day at all", { days: [] }, "at least one"],
  ["a route, which nothing holds", { holds: ["route:7"] }, 'a scope, such as "all"'],
  ["no scope", { holds: ["erp"] }, 'a scope, such as "all"'],
  ["another option", { until: "12:10" }, "no option `until`"],
])("quiet hours with %s are refused", (_, more, message) => {
  expect(() =>
    defineApp({ quietHours: { closing: { ...CLOSING, ...more } as QuietHoursOptions } }),
  ).toThrow(message);
});

test("R21: a look asks for the scopes of its streams only where a window is near, and of each queue once", async () => {
  const jobs = Array.from({ length: 40 }, (_, i) =>
    defineJob({ name: `bill-${i}`, input: anything, timeout: "1m", run: () => undefined }),
  );
  const pawl = await pawlWith({ jobs, quietHours: { closing: CLOSING } });
  const clock = await clockAt(pawl, "09:00");
  const callsOfLook = () =>
    pawl.store.transaction(async (tx) => {
      await tx.query("set local track_functions = 'all'");
      await tx.query("select * from pawl.gate_v1(array(select id from pawl.stream))"); // makes the plans
      const calls = async () => {
        const { rows } = await tx.query<{ calls: string | null }>(
          "select pg_stat_get_xact_function_calls('pawl.kind_scope(text)'::regprocedure) as calls",
        );
        return Number(rows[0]?.calls ?? 0);
      };
      const before = await calls();
      const { rows } = await tx.query(
        "select stream_id from pawl.gate_v1(array(select id from pawl.stream where kind like 'bill-%'))",
      );
      return [rows.length, (await calls()) - before];
    });
  expect(await callsOfLook()).toEqual([0, 0]);
  await clock.advance(3 * 60 * MINUTE + MINUTE);
  expect(await callsOfLook()).toEqual([40, 1]);
});
