/** What is off does not start: switches for the fleet, files and PAWL_OFF on a host. */

import { rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { type Command, defineCommand, type Pawl } from "../../src/index.ts";
import { newFolder, pawl as pawlCli } from "../cli/cli.ts";
import { movableClock } from "../support/clock.ts";
import { commandsOf, folderWith, gate, statusOf } from "../support/commands.ts";
import { freshDatabase, isLockAwaited, openTransaction, rawClient } from "../support/database.ts";
import { askedOf } from "../support/sent.ts";
import { until } from "../support/until.ts";

let locks: string;

beforeEach(() => {
  locks = newFolder();
  process.env.PAWL_LOCKS_DIR = locks;
});

afterEach(() => {
  delete process.env.PAWL_LOCKS_DIR;
  delete process.env.PAWL_OFF;
});

const touch = (name: string) => writeFileSync(path.join(locks, name), "");
const remove = (name: string) => rmSync(path.join(locks, name));
const idle = (name: string, params?: readonly string[]): Command =>
  defineCommand({ name, run: () => undefined, ...(params !== undefined && { params }) });

async function refusal(pawl: Pawl, name: string, param?: string): Promise<unknown> {
  const options = param === undefined ? {} : { param };
  return pawl.commands.run(name, options).then(
    () => "ran",
    (error: unknown) => error,
  );
}

test("once `off` has returned no command of its scope begins, in 20 rounds against ten starts that never stop", async () => {
  let isOff = false;
  let late = 0;
  let ran = 0;
  const command = defineCommand({
    name: "busy",
    params: Array.from({ length: 10 }, (_, i) => i),
    run: () => {
      ran += 1;
      if (isOff) late += 1;
    },
  });
  const { url } = await freshDatabase();
  const [pawl, other] = [await commandsOf([command], url), await commandsOf([command], url)];
  let isOver = false;
  const starting = Array.from({ length: 10 }, async (_, param) => {
    while (!isOver) await other.commands.run("busy", { param }).catch(() => undefined);
  });
  for (let round = 0; round < 20; round += 1) {
    const before = ran;
    await until("some ran", () => ran > before);
    await pawl.off(round % 2 === 0 ? "command:busy" : "all");
    isOff = true;
    await refusal(other, "busy");
    await Promise.all(Array.from({ length: 5 }, () => pawl.commands.list()));
    isOff = false;
    await pawl.on(round % 2 === 0 ? "command:busy" : "all");
  }
  isOver = true;
  await Promise.all(starting);
  expect(late).toBe(0);
});

test("`off` waits for a start that was granted and whose answer is still under way, and for one that is not committed", async () => {
  const { url } = await freshDatabase();
  const pawl = await commandsOf([idle("get-orders")], url);
  const START =
    "select epoch from pawl.start_command_v1('get-orders', null, 'expire', 'h', 1, 'ada', null, 'commands.run')";
  const client = await openTransaction(url);
  await client.query(START);
  let isOff = false;
  const off = pawl.off("command:get-orders").then(() => {
    isOff = true;
  });
  const watcher = await rawClient(url);
  await until("it waits for the gate", () => isLockAwaited(watcher));
  await client.query("commit");
  await until("it is off", async () => {
    const { switches } = await pawl.switches.list();
    return switches.length === 1;
  });
  for (let looks = 0; looks < 5; looks += 1) await pawl.switches.list();
  expect(isOff).toBe(false); // nobody knows yet whether its function has begun
  await pawl.store.rows("select pawl.renew_lease_v1('command:get-orders', 1, '30 s')");
  await off;
  expect((await pawl.switches.list()).switches).toMatchObject([
    { scope: "command:get-orders", leases: ["command:get-orders"] },
  ]);
});

test("R29: a command that is off is refused with who turned it off, why and until when; what runs goes on as the last one", async () => {
  const held = gate();
  const command = defineCommand({ name: "import", params: ["a", "b"], run: held.pass });
  const pawl = await commandsOf([command, idle("other")]);
  const clock = await movableClock(pawl.store);
  const ran = pawl.commands.run("import", { param: "a" });
  await until("it has begun", () => held.begun === 1);
  await pawl.off("command:import", { by: "ada", why: "their maintenance", until: "1h" });
  expect(await statusOf(pawl, "import:a")).toMatchObject({
    status: "working",
    off: [{ scope: "command:import", by: "ada", why: "their maintenance" }],
  });
  expect((await statusOf(pawl, "import:b")).status).toBe("disabled");
  expect((await statusOf(pawl, "other")).status).toBe("idle");
  expect(await refusal(pawl, "import", "b")).toMatchObject({
    code: "command_off",
    message: expect.stringMatching(
      /^command "import:b": command:import is off by ada \(their maintenance\) until \S+Z$/,
    ),
  });
  held.open();
  await ran;
  expect((await statusOf(pawl, "import:a")).status).toBe("disabled");
  await clock.advance(3_600_001);
  expect((await statusOf(pawl, "import:a")).status).toBe("idle");
  expect(await refusal(pawl, "import", "b")).toBe("ran");
  expect(await pawl.audit.list({ target: "command:import" })).toMatchObject([
    { action: "switches.off", by: "ada", why: "their maintenance" },
  ]);
});

test("one parameter can be off while the others run; an unknown command or parameter is refused with what is near", async () => {
  const pawl = await commandsOf([idle("import", ["service1", "service2"])]);
  await pawl.off("command:import:service1");
  expect(await refusal(pawl, "import", "service1")).toMatchObject({ code: "command_off" });
  expect(await refusal(pawl, "import", "service2")).toBe("ran");
  expect(await pawl.on("command:import:service1")).toBe(true);
  expect(await refusal(pawl, "import", "service1")).toBe("ran");
  for (const [scope, near] of [
    ["command:imprt", "import"],
    ["command:import:servce1", "import:service1"],
  ]) {
    await expect(pawl.off(scope ?? "")).rejects.toMatchObject({
      code: "command_not_found",
      message: expect.stringContaining(`did you mean "${near}"?`),
    });
  }
});

test("R28: `<key>.disabled` and `all-commands.disabled` stop what they name on their host, and lists name the host", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const pawl = await commandsOf([idle("get-orders"), idle("import", ["a", "B-2"])], url);
  await pawl.work();
  const statuses = async () =>
    Object.fromEntries((await pawl.commands.list()).map((row) => [row.key, row.status]));
  const hosts = async () => (await pawl.switches.list()).hosts;
  const idleAll = { "get-orders": "idle", "import:a": "idle", "import:B-2": "idle" };
  expect(await statuses()).toEqual(idleAll);
  const cases: [string, object, string | undefined][] = [
    ["get-orders.disabled", { "get-orders": "disabled" }, undefined],
    ["import.disabled", { "import:a": "disabled", "import:B-2": "disabled" }, "a"],
    ["import-B-2.disabled", { "import:B-2": "disabled" }, "B-2"],
    ["import:B-2.disabled", { "import:B-2": "disabled" }, "B-2"],
    [
      "all-commands.disabled",
      { "get-orders": "disabled", "import:a": "disabled", "import:B-2": "disabled" },
      undefined,
    ],
  ];
  for (const [file, off, param] of cases) {
    touch(file);
    expect(await statuses()).toEqual({ ...idleAll, ...off });
    const name = param === undefined ? "get-orders" : "import";
    expect(await refusal(pawl, name, param)).toMatchObject({
      code: "command_off",
      message: expect.stringContaining(`is off on host ${hostname()}, by a file in locks/`),
    });
    await until("the worker has said it", async () => (await hosts()).length === 1);
    remove(file);
    await until("the worker has seen that it is gone", async () => (await hosts()).length === 0);
    expect(await refusal(pawl, name, param)).toBe("ran");
    expect(await statuses()).toEqual(idleAll);
  }
});

test("R28: a file is obeyed while nothing can be asked of the database", async () => {
  const { url } = await freshDatabase();
  const pawl = await commandsOf([idle("get-orders")], url);
  touch("get-orders.disabled");
  const asked = askedOf(url);
  expect(await refusal(pawl, "get-orders")).toMatchObject({ code: "command_off" });
  expect(asked()).toBe(0);
  vi.restoreAllMocks();
});

test("R28 R29: a host says through its worker what its files and PAWL_OFF hold; where only some hosts do, a command is not disabled", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const pawl = await commandsOf([idle("get-orders"), idle("books")], url);
  process.env.PAWL_OFF = "command:get-orders";
  await pawl.work();
  delete process.env.PAWL_OFF; // of the worker's process, not of the one that lists
  const rows = await pawl.commands.list();
  expect(rows).toMatchObject([
    { key: "books", status: "idle", offHosts: [] },
    { key: "get-orders", status: "disabled", offHosts: [hostname()] },
  ]);
  expect((await pawl.switches.list()).hosts).toEqual([
    { host: hostname(), scopes: ["command:get-orders"] },
  ]);
  await pawl.store.rows(
    `insert into pawl.worker (host, pid, application, revision, queues, concurrency, lease_until)
     values ('other', 1, 'shop', 0, '{}', 1, pawl.now() + interval '1 day')`,
  );
  expect(await statusOf(pawl, "get-orders")).toMatchObject({
    status: "idle",
    offHosts: [hostname()],
  });
});

test.each(["command:", "command:a b", "command:9", "command:../x"])(
  "PAWL_OFF=%s is refused, and nothing starts",
  async (odd) => {
    const pawl = await commandsOf([idle("get-orders")]);
    process.env.PAWL_OFF = odd;
    expect(await refusal(pawl, "get-orders")).toMatchObject({ code: "invalid_environment" });
    await expect(pawl.work()).rejects.toMatchObject({ code: "invalid_environment" });
  },
);

test("R29: `pawl off all --wait` and `pawl commands list --stopped` tell when no command works any more", async () => {
  const { url } = await freshDatabase();
  const held = gate();
  const command = defineCommand({ name: "get-orders", run: held.pass });
  const pawl = await commandsOf([command, idle("books")], url);
  const cwd = folderWith("");
  const stopped = () => pawlCli(["commands", "list", "--stopped"], { url, cwd });
  const ran = pawl.commands.run("get-orders");
  onTestFinished(() => held.open());
  await until("it has begun", () => held.begun === 1);
  expect(await stopped()).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("get-orders is working"),
  });
  let isOver = false;
  const off = pawl.switches.off("all", { wait: true }).then((answer) => {
    isOver = true;
    return answer;
  });
  await until("it is off", async () => (await pawl.switches.list()).switches.length === 1);
  expect(await pawl.switches.list()).toMatchObject({
    switches: [{ leases: ["command:get-orders"] }],
  });
  const draining = await stopped();
  expect(draining).toMatchObject({ code: 1 });
  expect(draining.stdout).toMatch(/get-orders .*WORKING, DRAINING/);
  expect(draining.stdout).toMatch(/books .*DISABLED/);
  expect(isOver).toBe(false);
  held.open();
  expect(await off).toMatchObject({ scope: "all", running: 0, leases: [] });
  await ran;
  expect(await stopped()).toMatchObject({ code: 0 });
  await pawl.on("all");
  expect((await stopped()).code).toBe(1);
  const asJson = await pawlCli(["commands", "list", "--stopped", "--json"], { url, cwd });
  expect(JSON.parse(asJson.stdout)).toMatchObject({
    error: {
      code: "not_stopped",
      data: {
        commands: [
          { key: "books", status: "idle" },
          { key: "get-orders", status: "idle" },
        ],
      },
    },
  });
});
