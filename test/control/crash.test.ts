/** What becomes of the lock of a process that died or froze, and what a release takes from the one that had it. */

import { once } from "node:events";
import { expect, test } from "vitest";
import { defineCommand, type OnCrash, type Pawl } from "../../src/index.ts";
import { pawl as pawlCli, type Running, start } from "../cli/cli.ts";
import { movableClock } from "../support/clock.ts";
import { commandsOf, folderWith, gate, statusOf } from "../support/commands.ts";
import { freshDatabase, openTransaction } from "../support/database.ts";
import { until } from "../support/until.ts";

const LEASE_MS = 30_000;

/** Says where it is, and never ends. */
const forever = (onCrash: OnCrash) => `defineCommand({
  name: "get-orders",
  onCrash: "${onCrash}",
  run: ({ progress }) => {
    progress("half of it");
    return new Promise(() => setInterval(() => undefined, 60_000));
  },
})`;

interface Stage {
  pawl: Pawl;
  url: string;
  folder: string;
  clock: Awaited<ReturnType<typeof movableClock>>;
  child: Running;
}

/** A process of its own runs the command; `pawl` defines the same one, which ends at once. */
async function running(onCrash: OnCrash): Promise<Stage> {
  const { url } = await freshDatabase();
  const here = defineCommand({ name: "get-orders", onCrash, run: () => undefined });
  const pawl = await commandsOf([here], url);
  const clock = await movableClock(pawl.store, { isSlow: true });
  const folder = folderWith(forever(onCrash));
  const child = start(["commands", "run", "get-orders", "--by", "cron"], { url, cwd: folder });
  await until("it runs", async () => {
    if (child.process.exitCode !== null) throw new Error(child.stderr());
    return (await statusOf(pawl, "get-orders")).run?.progress === "half of it";
  });
  return { pawl, url, folder, clock, child };
}

async function killed({ child }: Stage): Promise<void> {
  child.process.kill("SIGKILL");
  if (child.process.signalCode === null) await once(child.process, "close");
}

test("R30: the lock of a killed process is free after its lease, by itself, and the lost run stays in the list", async () => {
  const stage = await running("expire");
  const { pawl, clock, child } = stage;
  await expect(pawl.commands.run("get-orders")).rejects.toMatchObject({
    code: "command_running",
    data: { holder: { pid: child.process.pid, by: "cron" } },
  });
  await killed(stage);
  await expect(pawl.commands.run("get-orders")).rejects.toMatchObject({ code: "command_running" });
  await clock.advance(LEASE_MS + 1);
  expect(await statusOf(pawl, "get-orders")).toMatchObject({
    status: "failing",
    run: null,
    last: { outcome: "lost", progress: "half of it", pid: child.process.pid },
  });
  expect(await pawl.locks.list()).toMatchObject([{ key: "get-orders", state: "lost" }]);
  await pawl.commands.run("get-orders");
  expect(await pawl.commands.runs()).toMatchObject([{ outcome: "done" }, { outcome: "lost" }]);
  expect(await pawl.locks.list()).toEqual([]);
});

test("R30: with `onCrash: hold` it shows LOCKED and refuses every start until an operator releases it", async () => {
  const stage = await running("hold");
  const { pawl, clock, child, url, folder } = stage;
  await killed(stage);
  await clock.advance(LEASE_MS + 1);
  for (let days = 0; days < 2; days += 1) {
    await expect(pawl.commands.run("get-orders")).rejects.toMatchObject({
      code: "command_locked",
      message: expect.stringContaining("pawl locks release get-orders"),
      data: { holder: { pid: child.process.pid } },
    });
    expect(await statusOf(pawl, "get-orders")).toMatchObject({ status: "locked" });
    await clock.advance(86_400_000);
  }
  const shown = await pawlCli(["commands", "list"], { url, cwd: folder });
  expect(shown.stdout).toMatch(/get-orders +get-orders +LOCKED/);
  const unsaid = await pawlCli(["locks", "release", "get-orders"], { url, cwd: folder });
  expect(unsaid).toMatchObject({ code: 2, stderr: expect.stringContaining("--why") });
  const released = await pawlCli(["locks", "release", "get-orders", "--why", "looked"], {
    url,
    cwd: folder,
  });
  expect(released.stdout).toContain(`get-orders: released; it was left by host`);
  expect(await statusOf(pawl, "get-orders")).toMatchObject({
    status: "idle",
    last: { outcome: "released" },
  });
  expect(await pawl.audit.list({ action: "locks.release" })).toMatchObject([
    { target: "command:get-orders", why: "looked" },
  ]);
  await pawl.commands.run("get-orders");
  await expect(pawl.locks.release("get-orders", { why: "again" })).rejects.toMatchObject({
    code: "lock_not_found",
  });
});

test("R30: a release of a lock that is held needs --yes; it aborts the holder, and nothing that it writes under the lock counts", async () => {
  const { url } = await freshDatabase();
  const held = gate();
  let write: () => void = () => undefined;
  const writing = new Promise<void>((resolve) => {
    write = resolve;
  });
  const wrote: unknown[] = [];
  let runs = 0;
  const command = defineCommand({
    name: "books",
    onCrash: "hold",
    run: async (context) => {
      runs += 1;
      if (runs > 1) return;
      const insert = (text: string) =>
        context.transaction((tx) => tx.query("insert into wrote values ($1)", [text]));
      await insert("before");
      await held.pass(context).catch(() => undefined);
      await writing;
      wrote.push(await insert("after").catch((error: unknown) => error));
    },
  });
  const pawl = await commandsOf([command], url);
  await pawl.store.rows("create table wrote (line text)");
  const ran = pawl.commands.run("books").catch((error: unknown) => error);
  await until("it has begun", () => held.begun === 1);
  const release = ["locks", "release", "books", "--why", "it hangs"];
  const refused = await pawlCli(release, { url });
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("add --yes") });
  expect((await statusOf(pawl, "books")).status).toBe("working");
  const released = await pawlCli([...release, "--yes"], { url });
  expect(released).toMatchObject({ code: 0, stdout: expect.stringContaining("it was held by") });
  await pawl.commands.run("books"); // the next epoch, while the old function still runs
  await until("its signal has aborted", () => held.reasons.length === 1);
  expect(held.reasons).toMatchObject([{ code: "named_lease_lost" }]);
  write();
  expect(await ran).toMatchObject({ code: "named_lease_lost" });
  expect(wrote).toMatchObject([{ code: "named_lease_lost" }]);
  expect(await pawl.store.rows("select line from wrote")).toEqual([{ line: "before" }]);
  expect(await pawl.commands.runs()).toMatchObject([{ outcome: "done" }, { outcome: "released" }]);
});

test.each<OnCrash>(["expire", "hold"])(
  "R30: with onCrash %s, a process that slept through its lease cannot end its run over that of the next",
  async (onCrash) => {
    const held = gate();
    const command = defineCommand({ name: "slept", onCrash, run: held.pass });
    const pawl = await commandsOf([command]);
    const clock = await movableClock(pawl.store);
    const ran = pawl.commands.run("slept").catch((error: unknown) => error);
    await until("it has begun", () => held.begun === 1);
    await clock.advance(LEASE_MS + 1);
    if (onCrash === "hold") await pawl.locks.release("slept", { why: "looked" });
    held.open();
    expect(await ran).toMatchObject({ code: "named_lease_lost" });
    await pawl.commands.run("slept");
    const runs = await pawl.commands.runs();
    expect(runs.map(({ outcome }) => outcome)).toEqual([
      "done",
      onCrash === "hold" ? "released" : "lost",
    ]);
  },
);

test("a release of a key that nothing holds is refused, and says what is locked", async () => {
  const held = gate();
  const pawl = await commandsOf([defineCommand({ name: "one", run: held.pass })]);
  const ran = pawl.commands.run("one");
  await until("it has begun", () => held.begun === 1);
  await expect(pawl.locks.release("two", { why: "w" })).rejects.toMatchObject({
    code: "lock_not_found",
    message: 'no lock "two"; there are: one',
  });
  await expect(pawl.locks.release("one", {} as never)).rejects.toMatchObject({
    code: "invalid_option",
    data: { option: "why" },
  });
  held.open();
  await ran;
  await expect(pawl.locks.release("one", { why: "w" })).rejects.toMatchObject({
    message: 'no lock "one"; nothing is locked',
  });
});

test("while its lock cannot be renewed, a run's signal aborts when the lock runs out by its own clock", async () => {
  const held = gate();
  const pawl = await commandsOf([defineCommand({ name: "cut-off", run: held.pass })]);
  await pawl.store.rows(
    "create or replace function pawl.command_lease() returns interval language sql immutable return interval '2.5 seconds'",
  );
  await pawl.store.rows(
    `create or replace function pawl.renew_lease_v1(p_name text, p_epoch bigint, p_length interval) returns timestamptz
     language plpgsql as $$ begin raise exception 'away' using errcode = '57P03'; end $$`,
  );
  let ran: Promise<unknown> | undefined;
  await until("it has begun", () => {
    // a start whose answer comes later than the lease is long begins nothing
    ran ??= pawl.commands.run("cut-off").catch((error: unknown) => {
      if (held.begun === 0) ran = undefined;
      return error;
    });
    return held.begun === 1;
  });
  await until("its signal has aborted", () => held.reasons.length === 1);
  expect(held.reasons).toMatchObject([{ code: "named_lease_lost" }]);
  expect(await ran).toMatchObject({ code: "named_lease_lost" });
  const runs = await pawl.commands.runs();
  expect(new Set(runs.map(({ outcome }) => outcome))).toEqual(new Set(["lost"]));
});

test("the end of a run that somebody's lock keeps from being recorded is recorded when that goes", async () => {
  const { url } = await freshDatabase();
  const held = gate();
  const pawl = await commandsOf([defineCommand({ name: "kept", run: held.pass })], url);
  await pawl.store.rows(
    "create or replace function pawl.command_lease() returns interval language sql immutable return interval '1 hour'",
  );
  const ran = pawl.commands.run("kept");
  await until("it has begun", () => held.begun === 1);
  const client = await openTransaction(url);
  await client.query("select from pawl.command_run for update");
  held.open();
  // from another connection: a transaction sees the statements of others as at its first look
  const isTried = async () => {
    const waits = await pawl.store.rows(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%end_command_v1%'",
    );
    return waits.length > 0;
  };
  await until("its end waits for the row", isTried);
  await until("that try has been refused", async () => !(await isTried()));
  await client.query("commit");
  await ran;
  expect(await pawl.commands.runs()).toMatchObject([{ outcome: "done" }]);
  expect(await pawl.locks.list()).toEqual([]);
});
