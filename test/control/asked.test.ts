/** Commands that a worker is asked to run: what becomes of the task, and that it never makes a second run. */

import { beforeAll, expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { type AppOptions, connect, defineApp, defineCommand, type Pawl } from "../../src/index.ts";
import { pawl as pawlCli, pawlJson } from "../cli/cli.ts";
import { commandsOf, gate, statusOf } from "../support/commands.ts";
import { freshDatabase, isLockAwaited, openTransaction } from "../support/database.ts";
import { LONG_LEASE } from "../support/kernel.ts";
import { until } from "../support/until.ts";

const LONG_LOCK =
  "create or replace function pawl.command_lease() returns interval language sql immutable return interval '1 day'";

let url: string;
beforeAll(async () => {
  ({ url } = await freshDatabase());
  const pawl = await connect(defineApp({ name: "shop" }), { databaseUrl: url, log: silentLogger });
  await pawl.store.rows(LONG_LEASE);
  await pawl.store.rows(LONG_LOCK);
  await pawl.close();
});

const ended = (pawl: Pawl, id: string, state = "done") =>
  until(`task ${id} is ${state}`, async () => {
    const task = await pawl.task(id);
    return task?.state === state && task;
  });

const looked = (pawl: Pawl, id: string) =>
  until("it was looked at", async () => {
    const task = await pawl.task(id);
    return task?.state === "scheduled" && task;
  });

test("R29: a command that a worker is asked to run shows WAITING FOR A WORKER until one takes it; each parameter on its own, and asking again is a duplicate", async () => {
  const held = gate();
  const command = defineCommand({ name: "import", params: ["a", 7], run: held.pass });
  const pawl = await commandsOf([command], url);
  const asked = await pawl.commands.start("import", { param: 7, by: "ada" });
  expect(asked).toMatchObject({ key: "import:7", outcome: "created" });
  const again = await pawlJson(["commands", "start", "import", "7"], { url });
  expect(again).toEqual({ code: 0, json: { id: asked.id, key: "import:7", outcome: "duplicate" } });
  const [one, other] = await Promise.all([statusOf(pawl, "import:7"), statusOf(pawl, "import:a")]);
  expect(one).toMatchObject({ status: "waiting", asked: { id: asked.id, by: "ada" } });
  expect(other).toMatchObject({ status: "idle", asked: null });
  const { stdout } = await pawlCli(["commands", "list"], { url });
  expect(stdout).toMatch(
    /import:7 .* WAITING FOR A WORKER .* asked for by ada at \S+ \(task \d+\)/,
  );
  await pawl.work();
  await until("it has begun", () => held.begun === 1);
  const working = await statusOf(pawl, "import:7");
  expect(working).toMatchObject({ status: "working", run: { by: "ada" }, asked: null });
  held.open();
  const task = await ended(pawl, asked.id);
  expect(task.result).toMatchObject({ outcome: "done", key: "import:7" });
  expect(await pawl.commands.runs({ command: "import" })).toMatchObject([
    { key: "import:7", outcome: "done", by: "ada" },
  ]);
});

test("R30: a start on a worker while the command runs elsewhere is refused for good: the task says who holds it, and no second run comes of it", async () => {
  const held = gate();
  const command = defineCommand({ name: "books", run: held.pass });
  const pawl = await commandsOf([command], url);
  const ran = pawl.commands.run("books", { by: "cron" });
  await until("it has begun", () => held.begun === 1);
  await pawl.work();
  const { id } = await pawl.commands.start("books");
  const { result } = await ended(pawl, id);
  expect(result).toMatchObject({ outcome: "refused", key: "books", code: "command_running" });
  expect((result as { reason: string }).reason).toContain("started by cron");
  held.open();
  await ran;
  expect(held.begun).toBe(1);
  expect(await pawl.commands.runs({ command: "books" })).toHaveLength(1);
});

test("R29: while a command is off, or one of its parameters, what was asked for waits and says why; turned on, it runs", async () => {
  const ran: unknown[] = [];
  const run = ({ param }: { param: unknown }) => void ran.push(param);
  const command = defineCommand({ name: "sync", params: ["a", "b"], run });
  const pawl = await commandsOf([command], url);
  await pawl.work();
  await pawl.switches.off("command:sync", { why: "their API is down" });
  const { id } = await pawl.commands.start("sync", { param: "a" });
  expect((await pawl.why(id)).line).toContain("command:sync has been off");
  expect(await statusOf(pawl, "sync:a")).toMatchObject({ status: "disabled", asked: { id } });
  await pawl.switches.on("command:sync");
  await ended(pawl, id);
  await pawl.switches.off("command:sync:b");
  const other = await pawl.commands.start("sync", { param: "b" });
  const waiting = await looked(pawl, other.id);
  expect(Number(waiting.runAt) - Date.now()).toBeGreaterThan(60_000); // the switch wakes it
  expect(ran).toEqual(["a"]);
  await pawl.switches.on("command:sync:b");
  await ended(pawl, other.id);
  expect(ran).toEqual(["a", "b"]);
});

test("R29: what was asked for goes on at once when an app takes its command out of a group that is off, or out of quiet hours", async () => {
  const commands = [defineCommand({ name: "feed", params: ["a", "b"], run: () => undefined })];
  const opens = async (more: AppOptions) => {
    const app = defineApp({ name: "shop", commands, ...more });
    const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
    onTestFinished(() => pawl.close());
    return pawl;
  };
  const always = { from: "00:00", to: "24:00", timeZone: "UTC" };
  const pawl = await opens({
    groups: { feeds: ["command:feed:a"] },
    quietHours: { closing: { ...always, holds: ["command:feed:b"] } },
  });
  await pawl.work();
  await pawl.off("group:feeds");
  const [a, b] = [
    await pawl.commands.start("feed", { param: "a" }),
    await pawl.commands.start("feed", { param: "b" }),
  ];
  await looked(pawl, a.id);
  await looked(pawl, b.id);
  await opens({ groups: { feeds: ["queue:low"] } });
  await ended(pawl, a.id);
  await ended(pawl, b.id);
  await pawl.on("group:feeds");
});

test("R29: what is asked for while its parameter is just being turned on is not put off: it starts when that has committed", async () => {
  const command = defineCommand({ name: "shift", params: ["a"], run: () => undefined });
  const pawl = await commandsOf([command], url);
  await pawl.work();
  await pawl.off("command:shift:a");
  const client = await openTransaction(url);
  await client.query("select pawl.on_v1('command:shift:a', 'ada', null)");
  const { id } = await pawl.commands.start("shift", { param: "a" });
  await until("it was looked at, or no claim looks at it yet", async () => {
    const task = await pawl.task(id);
    return task?.state === "scheduled" || (await isLockAwaited(client));
  });
  await client.query("commit");
  await ended(pawl, id);
});

test("a command that fails on a worker is a dead letter at once; it is not run again unless an operator retries it", async () => {
  let runs = 0;
  const command = defineCommand({
    name: "broken",
    run: () => {
      runs += 1;
      throw new Error("no answer");
    },
  });
  const pawl = await commandsOf([command], url);
  await pawl.work();
  const { id } = await pawl.commands.start("broken");
  const dead = await ended(pawl, id, "dead");
  expect(dead.error?.message).toContain("no answer");
  expect(await statusOf(pawl, "broken")).toMatchObject({ status: "failing" });
  expect(runs).toBe(1);
});

test("a worker that stops gives a command back, and the next one waits until the run before has ended, instead of being refused by it", async () => {
  const held = gate();
  const stubborn = gate();
  const command = defineCommand({
    name: "slow",
    run: async (context) => {
      await held.pass(context).catch(() => undefined);
      if (held.begun === 1) await stubborn.pass({ signal: new AbortController().signal });
    },
  });
  const pawl = await commandsOf([command], url);
  const first = await pawl.work();
  const { id } = await pawl.commands.start("slow");
  await until("it has begun", () => held.begun === 1);
  // 0: a worker that stops waits 3 s for the database, which does it later
  expect([0, 1]).toContain((await first.stop("1ms")).givenBack);
  await until("it was told to end", () => stubborn.begun === 1);
  await until("it is given back", async () => (await pawl.task(id))?.state === "ready");
  await pawl.work();
  await until(
    "it waits for its earlier run",
    async () => (await pawl.task(id))?.state === "scheduled",
  );
  held.open();
  stubborn.open();
  const { result } = await ended(pawl, id);
  expect(result).toMatchObject({ outcome: "done" });
  expect(await pawl.commands.runs({ command: "slow" })).toMatchObject([
    { outcome: "done" },
    { outcome: "done" },
  ]);
});

test("a command that no app has, a parameter left out, and a queue of that name are refused", async () => {
  const command = defineCommand({ name: "known", params: ["a"], run: () => undefined });
  const pawl = await commandsOf([command], url);
  for (const [name, param] of [["gone"], ["known"], ["known", "b"]] as const)
    await expect(
      pawl.commands.start(name, param === undefined ? {} : { param }),
    ).rejects.toMatchObject({ code: "command_not_found" });
  expect(() => defineApp({ name: "shop", queues: { commands: {} } })).toThrow("queues.commands");
  await expect(
    pawl.store.rows(`select * from pawl.enqueue('[{"kind": "known", "queue": "commands"}]')`),
  ).rejects.toThrow("belongs to a part of Pawl");
  onTestFinished(() => pawl.close());
});
