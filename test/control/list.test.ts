/** What `pawl commands list` says: statuses are computed from what is there, and nothing of them is stored. */

import { expect, test } from "vitest";
import { defineCommand } from "../../src/index.ts";
import { pawl as pawlCli, pawlJson } from "../cli/cli.ts";
import { movableClock } from "../support/clock.ts";
import { commandsOf, folderWith, gate, statusOf } from "../support/commands.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const LEASE_MS = 30_000;
const MINUTE_MS = 60_000;

test("R27: a run that takes longer than `expected` is flagged while it runs, in the list of the command line too", async () => {
  const { url } = await freshDatabase();
  const held = gate();
  const command = defineCommand({ name: "books", expected: "5m", run: held.pass });
  const pawl = await commandsOf([command], url);
  await pawl.store.rows(
    "create or replace function pawl.command_lease() returns interval language sql immutable return interval '1 day'",
  );
  const clock = await movableClock(pawl.store, { isSlow: true });
  const ran = pawl.commands.run("books", { by: "ada" });
  await until("it has begun", () => held.begun === 1);
  await clock.advance(4 * MINUTE_MS);
  expect(await statusOf(pawl, "books")).toMatchObject({
    expectedMs: 300_000,
    isExpectedMeasured: false,
    isOverrun: false,
  });
  await clock.advance(2 * MINUTE_MS);
  expect(await statusOf(pawl, "books")).toMatchObject({ status: "working", isOverrun: true });
  const { stdout } = await pawlCli(["commands", "list"], { url });
  expect(stdout).toMatch(/books +books +WORKING, TOO LONG .* 5m 0s +ada on \S+ \(pid \d+\)/);
  held.open();
  await ran;
  expect(await statusOf(pawl, "books")).toMatchObject({ status: "idle", isOverrun: false });
});

test("R27: without `expected` the usual time is the median of the last runs that ended well, and twice as long is flagged", async () => {
  const held = gate();
  const command = defineCommand({ name: "books", run: held.pass });
  const pawl = await commandsOf([command]);
  await pawl.store.rows(
    "create or replace function pawl.command_lease() returns interval language sql immutable return interval '1 day'",
  );
  const clock = await movableClock(pawl.store, { isSlow: true });
  const past = (minutes: number, outcome = "done") =>
    pawl.store.rows(
      `insert into pawl.command_run (key, epoch, on_crash, host, pid, by, started_at, ended_at, outcome)
       values ('books', 0, 'expire', 'h', 1, 'ada', pawl.now() - $1 * interval '1 minute', pawl.now(), $2)`,
      [minutes, outcome],
    );
  for (const minutes of [9, 10, 11, 500]) await past(minutes);
  await past(90_000, "failed");
  expect(await statusOf(pawl, "books")).toMatchObject({ expectedMs: null });
  await past(10);
  expect(await statusOf(pawl, "books")).toMatchObject({
    expectedMs: 10 * MINUTE_MS,
    isExpectedMeasured: true,
  });
  const ran = pawl.commands.run("books");
  await until("it has begun", () => held.begun === 1);
  await clock.advance(19 * MINUTE_MS);
  expect((await statusOf(pawl, "books")).isOverrun).toBe(false);
  await clock.advance(2 * MINUTE_MS);
  expect((await statusOf(pawl, "books")).isOverrun).toBe(true);
  held.open();
  await ran;
});

test("the command line runs a command with its parameter, shows how far one is, and exits with what became of it", async () => {
  const { url } = await freshDatabase();
  const cwd = folderWith(`
    defineCommand({ name: "import", title: "Import invoices", params: ["service1", 24], run: ({ param, progress }) => {
      progress("param " + typeof param + " " + param);
      if (param === 24) throw new Error("no paper");
    } }),
    defineCommand({ name: "plain", run: () => undefined })`);
  const run = (...args: string[]) => pawlCli(["commands", "run", ...args], { url, cwd });
  const nobody = await pawlCli(["commands", "list"], { url, cwd });
  expect(nobody).toMatchObject({ code: 0, stdout: "none\n" });
  expect(await run("import", "service1", "--by", "ada")).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^import:service1: done in \S+\n$/),
  });
  expect(await run("import", "24")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('command "import:24": failed: no paper'),
  });
  expect(await run("import")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("one of service1, 24, got none"),
  });
  expect(await run("plain", "x")).toMatchObject({ code: 2 });
  expect(await run("import", "service1", "more")).toMatchObject({ code: 2 });
  expect(await run("nothing")).toMatchObject({ code: 3 });
  const list = await pawlCli(["commands"], { url, cwd });
  expect(list.stdout).toMatch(/import:24 +Import invoices +FAILING .* failed in .* no paper/);
  expect(list.stdout).toMatch(/import:service1 +Import invoices +IDLE .* done in/);
  expect(list.stdout).toMatch(/plain +plain +IDLE/);
  const { json } = await pawlJson(["commands", "runs", "import"], { url, cwd });
  expect(json).toMatchObject({
    runs: [
      { key: "import:24", outcome: "failed", progress: "param number 24" },
      { key: "import:service1", outcome: "done", by: "ada", progress: "param string service1" },
    ],
  });
  const off = await pawlCli(["off", "command:import", "--by", "ada", "--why", "audit"], {
    url,
    cwd,
  });
  expect(off).toMatchObject({ code: 0 });
  expect((await pawlCli(["commands"], { url, cwd })).stdout).toMatch(
    /import:24 .*DISABLED .*command:import is off by ada \(audit\)/,
  );
  expect(await run("import", "24")).toMatchObject({ code: 1 });
});

test("R29: a lost run of a command whose lock expires makes it FAILING, not LOCKED, and says that its process died", async () => {
  const { url } = await freshDatabase();
  const pawl = await commandsOf([defineCommand({ name: "books", run: () => undefined })], url);
  const clock = await movableClock(pawl.store, { isSlow: true });
  await pawl.store.rows(
    "select pawl.start_command_v1('books', null, 'expire', 'gone', 7, 'cron', null, 'commands.run')",
  );
  expect((await statusOf(pawl, "books")).status).toBe("working");
  await clock.advance(LEASE_MS + 1);
  expect((await statusOf(pawl, "books")).status).toBe("failing");
  expect((await pawlCli(["commands"], { url })).stdout).toMatch(/FAILING .*its process died/);
  const lock = await pawlCli(["locks"], { url });
  expect(lock.stdout).toMatch(/books +LOST +gone +7 +cron/);
});
