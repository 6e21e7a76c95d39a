/** Runs of commands: one at a time, each parameter on its own, and what becomes of them. */

import { expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineCommand } from "../../src/index.ts";
import { commandsOf, gate, statusOf } from "../support/commands.ts";
import { freshDatabase } from "../support/database.ts";
import { waitForLocks } from "../support/kernel.ts";
import { until } from "../support/until.ts";

test("R30: of 30 starts at once, from three clients, one runs and the others are refused naming its host, process and begin", async () => {
  const { url } = await freshDatabase();
  const held = gate();
  const command = defineCommand({ name: "get-orders", run: held.pass });
  const clients = await Promise.all([1, 2, 3].map(() => commandsOf([command], url)));
  const [pawl] = clients;
  if (pawl !== undefined) await waitForLocks(pawl.store, "start_command_v1"); // one after the other, on a busy machine too
  let refusals = 0;
  const runs = Array.from({ length: 30 }, async (_, i) => {
    try {
      return await clients[i % 3]?.commands.run("get-orders", { by: `user ${i}` });
    } catch (error) {
      refusals += 1;
      throw error;
    }
  });
  const settled = Promise.allSettled(runs);
  await until("all others are refused", () => refusals === 29);
  const refused = await Promise.allSettled(
    clients.map((pawl) => pawl.commands.run("get-orders", { by: "late" })),
  );
  for (const one of refused) {
    expect(one).toMatchObject({ status: "rejected", reason: { code: "command_running" } });
    const { message } = (one as PromiseRejectedResult).reason as Error;
    expect(message).toMatch(
      new RegExp(
        `^command "get-orders": it runs already on host \\S+ \\(pid ${process.pid}\\), since \\S+Z, started by user \\d+;`,
      ),
    );
  }
  held.open();
  const all = await settled;
  expect(held).toMatchObject({ begun: 1, most: 1 });
  expect(all.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  for (const one of all)
    if (one.status === "rejected") expect(one.reason).toMatchObject({ code: "command_running" });
  expect(await pawl?.commands.runs()).toMatchObject([{ key: "get-orders", outcome: "done" }]);
  expect(await pawl?.locks.list()).toEqual([]);
});

test("starts one after the other by eight at once never overlap, and each that ran is recorded once", async () => {
  let inside = 0;
  let most = 0;
  let ran = 0;
  const command = defineCommand({
    name: "count",
    run: async () => {
      inside += 1;
      ran += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside -= 1;
    },
  });
  const pawl = await commandsOf([command]);
  const oneAfterAnother = async () => {
    for (let i = 0; i < 10; i += 1) await pawl.commands.run("count").catch(() => undefined);
  };
  await Promise.all(Array.from({ length: 8 }, oneAfterAnother));
  expect(most).toBe(1);
  expect(ran).toBeGreaterThan(0);
  const runs = await pawl.commands.runs({ limit: 1_000 });
  expect(runs).toHaveLength(ran);
  expect(new Set(runs.map(({ outcome }) => outcome))).toEqual(new Set(["done"]));
});

test("R27: each parameter, a text or a number, has a lock, a lease and a line of its own", async () => {
  const held = gate();
  const seen: unknown[] = [];
  const command = defineCommand({
    name: "import",
    title: "Import cost invoices",
    params: ["service1", 24],
    run: async (context) => {
      const param: "service1" | 24 = context.param;
      seen.push(param);
      await held.pass(context);
    },
  });
  const pawl = await commandsOf([command]);
  const both = Promise.all([
    pawl.commands.run("import", { param: "service1" }),
    pawl.commands.run("import", { param: "24" }), // as it is typed
  ]);
  await until("both have begun", () => held.begun === 2);
  expect(seen).toEqual(expect.arrayContaining(["service1", 24]));
  await expect(pawl.commands.run("import", { param: 24 })).rejects.toMatchObject({
    code: "command_running",
    data: { command: "import:24", holder: { pid: process.pid } },
  });
  expect(await pawl.commands.list()).toMatchObject([
    { key: "import:24", param: "24", title: "Import cost invoices", status: "working" },
    { key: "import:service1", status: "working" },
  ]);
  expect((await pawl.locks.list()).map(({ key, state }) => `${key} ${state}`)).toEqual([
    "import:24 working",
    "import:service1 working",
  ]);
  held.open();
  expect(await both).toMatchObject([{ key: "import:service1" }, { key: "import:24" }]);
});

test("a run that throws is refused to its caller with what was thrown, is kept with its error, and the next one may start", async () => {
  const thrown = new Error("their API is down: https://user:hunter2@erp.example/x");
  let isUp = false;
  const command = defineCommand({
    name: "sync",
    run: () => {
      if (!isUp) throw thrown;
    },
  });
  const pawl = await commandsOf([command]);
  const error = await pawl.commands.run("sync", { by: "ada" }).catch((one: unknown) => one);
  expect(error).toMatchObject({ code: "command_failed", cause: thrown });
  expect(await statusOf(pawl, "sync")).toMatchObject({
    status: "failing",
    last: { outcome: "failed", by: "ada" },
    errors: [{ message: expect.stringContaining("their API is down") }],
  });
  expect(JSON.stringify(await pawl.commands.runs())).not.toContain("hunter2");
  isUp = true;
  await pawl.commands.run("sync");
  const after = await statusOf(pawl, "sync");
  expect(after).toMatchObject({ status: "idle", run: null, last: { outcome: "done" } });
  expect(after.errors).toHaveLength(1);
});

test.each([null, undefined, 0, "text", "\u0000", { message: "x" }, new Proxy({}, {}), Symbol("s")])(
  "a run that throws %o fails, and leaves no lock",
  async (thrown) => {
    const command = defineCommand({ name: "odd", run: () => Promise.reject(thrown as Error) });
    const pawl = await commandsOf([command]);
    await expect(pawl.commands.run("odd")).rejects.toMatchObject({ code: "command_failed" });
    expect(await pawl.locks.list()).toEqual([]);
    expect(await pawl.commands.runs()).toMatchObject([{ outcome: "failed" }]);
  },
);

test("progress is seen while it runs, the last one stays with the run, and a wrong one is refused where it is said", async () => {
  const held = gate();
  const refused: unknown[] = [];
  const command = defineCommand({
    name: "far",
    run: async (context) => {
      for (const odd of [-0.1, 1.1, Number.NaN, null, {}, undefined]) {
        try {
          context.progress(odd as never);
        } catch (error) {
          refused.push(error);
        }
      }
      context.progress("page 3 of 7\u0000");
      context.progress(0.4);
      await held.pass(context);
      context.progress("x".repeat(100_000));
      context.progress(1);
    },
  });
  const pawl = await commandsOf([command]);
  const ran = pawl.commands.run("far");
  await until("it is seen", async () => {
    const { run } = await statusOf(pawl, "far");
    return run?.fraction !== null && run?.fraction !== undefined;
  });
  const { run } = await statusOf(pawl, "far");
  expect(run?.progress).toMatch(/^page 3 of 7/);
  expect(run?.fraction).toBeCloseTo(0.4);
  expect(refused).toHaveLength(6);
  expect(refused[0]).toMatchObject({ code: "invalid_option" });
  held.open();
  await ran;
  const [row] = await pawl.commands.runs();
  expect(row).toMatchObject({ fraction: 1, outcome: "done" });
  expect(row?.progress?.length).toBeLessThanOrEqual(501);
});

test("at its timeout the signal aborts, and the lock is kept until the function has ended", async () => {
  const held = gate();
  let left: () => void = () => undefined;
  const leaving = new Promise<void>((resolve) => {
    left = resolve;
  });
  const command = defineCommand({
    name: "slow",
    timeout: "20ms",
    run: async (context) => {
      await held.pass(context).catch(() => undefined);
      await leaving;
      throw new Error("gave up");
    },
  });
  const pawl = await commandsOf([command]);
  const ran = pawl.commands.run("slow").catch((error: unknown) => error);
  await until("its signal has aborted", () => held.reasons.length === 1);
  expect(held.reasons).toMatchObject([{ code: "handler_timeout" }]);
  await expect(pawl.commands.run("slow")).rejects.toMatchObject({ code: "command_running" });
  left();
  expect(await ran).toMatchObject({ code: "command_failed", cause: { code: "handler_timeout" } });
  expect(await pawl.locks.list()).toEqual([]);
});

test("a client that closes aborts its runs, waits for them, and leaves them as stopped", async () => {
  const { url } = await freshDatabase();
  const held = gate();
  const command = defineCommand({ name: "long", run: held.pass });
  const pawl = await connect(defineApp({ commands: [command] }), {
    databaseUrl: url,
    log: silentLogger,
  });
  const ran = pawl.commands.run("long").catch((error: unknown) => error);
  await until("it has begun", () => held.begun === 1);
  await pawl.close();
  expect(held.reasons).toMatchObject([{ code: "worker_stopping" }]);
  expect(await ran).toMatchObject({ code: "command_failed", data: { outcome: "stopped" } });
  const other = await commandsOf([], url);
  expect(await other.commands.runs()).toMatchObject([{ key: "long", outcome: "stopped" }]);
  expect(await other.locks.list()).toEqual([]);
});

test("of each key the last 1,000 runs are kept, and those of others stay", async () => {
  const command = defineCommand({ name: "often", params: ["a", "b"], run: () => undefined });
  const pawl = await commandsOf([command]);
  await pawl.commands.run("often", { param: "b" });
  await pawl.store.rows(
    `insert into pawl.command_run (key, epoch, on_crash, host, pid, by, ended_at, outcome)
     select 'often:a', 0, 'expire', 'h', 1, 'ada', pawl.now(), 'done' from generate_series(1, 1010)`,
  );
  await pawl.commands.run("often", { param: "a" });
  const rows = await pawl.store.rows(
    "select key, count(*)::int as runs from pawl.command_run group by key order by key",
  );
  expect(rows).toEqual([
    { key: "often:a", runs: 1_000 },
    { key: "often:b", runs: 1 },
  ]);
});

test("who ran it and why is in the audit", async () => {
  const command = defineCommand({ name: "tidy", run: () => undefined });
  const pawl = await commandsOf([command]);
  await pawl.commands.run("tidy", { by: "ada", why: "as asked" });
  expect(await pawl.audit.list({ target: "command:tidy" })).toMatchObject([
    { action: "commands.run", by: "ada", why: "as asked" },
  ]);
  expect(await pawl.commands.runs()).toMatchObject([{ by: "ada", why: "as asked" }]);
});
