/** Groups: scopes that one switch turns off and on together. What a switch does to work is in every-scope.test.ts. */

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import type pg from "pg";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  type AppOptions,
  connect,
  defineApp,
  defineCommand,
  defineJob,
  defineProcess,
  defineSchedule,
  defineSource,
  nullDestination,
  type Pawl,
} from "../../src/index.ts";
import { localSwitches } from "../../src/kernel/local-switches.ts";
import { untilStopped } from "../../src/kernel/operator/switches/until-stopped.ts";
import { newFolder } from "../cli/cli.ts";
import { here } from "../cli/here.ts";
import { freshDatabase, isLockAwaited, openTransaction } from "../support/database.ts";
import { waitForLocks } from "../support/kernel.ts";
import { askedOf } from "../support/sent.ts";
import { until } from "../support/until.ts";

const input = z.object({});
const GROUPS = {
  erp: [
    "queue:low",
    "kind:mail",
    "process:order",
    "destination:erp",
    "source:orders",
    "command:import:a",
    "schedule:daily",
  ],
  mails: ["kind:mail"],
};
let ran = 0;
let opened: (() => void) | undefined;
const mail = defineJob({
  name: "mail",
  queue: "low",
  input: z.object({ isLong: z.boolean().optional() }),
  run: async ({ isLong }) => {
    ran += 1;
    if (isLong === true) await new Promise<void>((resolve) => (opened = resolve));
  },
});
const other = defineJob({ name: "other", input, run: () => undefined });
const options: AppOptions = {
  name: "shop",
  queues: { low: {}, high: {} },
  jobs: [mail, other],
  processes: [
    defineProcess({ name: "order", version: 1, input, steps: (s) => s.call("a", () => undefined) }),
  ],
  destinations: { erp: nullDestination() },
  sources: [defineSource({ name: "orders", fetch: async () => [] })],
  schedules: [defineSchedule({ name: "daily", every: "1d", job: other, input: {} })],
  commands: [defineCommand({ name: "import", params: ["a", "b"], run: () => undefined })],
};

let url: string;
let pawl: Pawl;

async function opens(more: Partial<AppOptions> = {}): Promise<Pawl> {
  const app = defineApp({ ...options, ...more });
  return connect(app, { databaseUrl: url, log: silentLogger });
}

beforeAll(async () => {
  ({ url } = await freshDatabase({ longLeases: true }));
  pawl = await opens({ groups: GROUPS });
});

afterAll(() => pawl.close());

afterEach(async () => {
  delete process.env.PAWL_OFF;
  delete process.env.PAWL_LOCKS_DIR;
  for (const { scope } of (await pawl.switches.list()).switches) await pawl.on(scope);
});

const held = async (scope: string) =>
  (
    await pawl.store.rows<{ switch: string }>(
      "select by_scope || ':' || by_name as switch from pawl.off_now() where scope || ':' || name = $1 order by 1",
      [scope],
    )
  ).map((row) => row.switch);

test.each<[unknown, string]>([
  [["all"], 'expected `groups.g[0]` to be a scope that is no group: "queue:<name>"'],
  [["group:erp"], 'expected `groups.g[0]` to be a scope that is no group: "queue:<name>"'],
  [["queue:low", "route:1"], "expected `groups.g[1]` to be a scope that is no group"],
  [["low"], 'got "low"'],
  [["qeue:low"], 'got "qeue:low"; did you mean "queue:low"?'],
  [[], "expected `groups.g` to be a list of scopes, at least one"],
  ["queue:low", "expected `groups.g` to be a list of scopes"],
  [["queue:low", "kind:mail", "queue:low"], 'groups.g: has "queue:low" twice'],
  [["destination:erp", "queue:destination:erp"], 'groups.g: has "destination:erp" twice'],
])("R103b: the group %j is refused, and the message says what is wrong", (members, message) => {
  const groups = { g: members as string[] };
  expect(() => defineApp({ ...options, groups })).toThrow(message);
});

test("R103b: a group's name is one that a file can have, and quiet hours name only groups of the app", () => {
  expect(() => defineApp({ groups: { "a b": ["queue:low"] } })).toThrow(
    'expected the name of a group to be 1 to 80 lower-case letters, digits, "_", "." and "-", beginning with a letter, got "a b"',
  );
  const night = { from: "01:00", to: "02:00", timeZone: "UTC", holds: ["group:epr"] };
  expect(() => defineApp({ groups: { erp: ["queue:low"] }, quietHours: { night } })).toThrow(
    'quietHours.night.holds: no group "epr" in the app; did you mean "erp"?',
  );
  const app = defineApp({
    groups: GROUPS,
    quietHours: { night: { ...night, holds: ["group:mails", "source:x"], exempt: ["group:erp"] } },
  });
  expect(app.quietHours).toMatchObject([{ holds: ["kind:mail", "source:x"], exempt: GROUPS.erp }]);
});

test.each([
  ["queue:lwo", "unknown_queue", 'group "g": no queue "lwo" in this database; did you mean "low"?'],
  ["kind:mial", "unknown_kind", 'did you mean "mail"?'],
  ["process:oder", "unknown_kind", 'did you mean "order"?'],
  ["destination:epr", "unknown_destination", 'did you mean "erp"?'],
  ["source:oders", "source_not_found", 'did you mean "orders"?'],
  ["schedule:nightly", "schedule_not_found", 'no schedule "nightly"'],
  ["command:import:c", "command_not_found", 'no command "import:c" in this database'],
])(
  "R103b: an app whose group has %s, which is not there, does not connect, and nothing of it is registered",
  async (member, code, message) => {
    const groups = { ...GROUPS, g: ["queue:low", member] };
    const jobs = [mail, other, defineJob({ name: "unseen", input, run: () => undefined })];
    await expect(opens({ groups, jobs })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
    expect((await pawl.switches.groups()).map((row) => row.name)).toEqual(["erp", "mails"]);
    expect(await pawl.store.rows("select from pawl.stream where kind = 'unseen'")).toEqual([]);
  },
);

test("R103b: two apps cannot define the same group", async () => {
  const app = defineApp({ name: "books", groups: { erp: ["queue:low"] } });
  await expect(connect(app, { databaseUrl: url, log: silentLogger })).rejects.toMatchObject({
    code: "owned_by_code",
    message: expect.stringContaining('group "erp" of app "shop"'),
  });
});

test("R103b: what operators made is not removed while a group has it: the app could not start any more", async () => {
  await pawl.destinations.add({ name: "extra", type: "null", config: {} });
  await pawl.schedules.add("nightly", { cron: "0 3 * * *", job: "other" });
  const groups = { ...GROUPS, more: ["destination:extra", "schedule:nightly"] };
  await (await opens({ groups })).close();
  const refused = (scope: string) => ({
    code: "invalid_option",
    message: expect.stringContaining(`${scope} is a member of the group "more" of app "shop"`),
  });
  const { destinations, schedules } = pawl;
  await expect(destinations.remove("extra")).rejects.toMatchObject(refused("destination:extra"));
  await expect(schedules.remove("nightly")).rejects.toMatchObject(refused("schedule:nightly"));
  await (await opens({ groups })).close();
  await (await opens({ groups: GROUPS })).close();
  await destinations.remove("extra");
  await schedules.remove("nightly");
});

/** Or is done, whether it waits or not. */
async function untilItWaits(client: pg.Client, work: Promise<unknown>): Promise<void> {
  let isDone = false;
  const done = () => {
    isDone = true;
  };
  work.then(done, done);
  await until("it waits", async () => isDone || (await isLockAwaited(client)));
}

test("R103b: a removal that meets a registration waits for it: what that makes a member stays", async () => {
  await pawl.schedules.add("weekly", { cron: "0 3 * * 1", job: "other" });
  await waitForLocks(pawl.store, "remove_schedule_v1");
  const registering = await openTransaction(url);
  await registering.query("select pg_advisory_xact_lock(hashtextextended('pawl.register', 0))");
  await registering.query("select pawl.define_groups_v1('shop', $1)", [
    JSON.stringify([{ name: "odd", members: ["schedule:weekly"] }]),
  ]);
  const removal = pawl.schedules.remove("weekly");
  removal.catch(() => undefined);
  await untilItWaits(registering, removal);
  await registering.query("commit");
  await expect(removal).rejects.toThrow('schedule:weekly is a member of the group "odd"');
  await (await opens({ groups: GROUPS })).close();
  await pawl.schedules.remove("weekly");
});

test("R103b: `off` of a group meets a registration that takes the group away: it says that there is none, and leaves no switch", async () => {
  await (await opens({ groups: { ...GROUPS, odd: ["queue:low"] } })).close();
  await pawl.store.rows("update pawl.scope_group set application = '' where name = 'odd'");
  const registering = await openTransaction(url);
  await registering.query("select pawl.define_groups_v1('shop', '[]')");
  const off = pawl.off("group:odd");
  off.catch(() => undefined);
  await untilItWaits(registering, off);
  await registering.query("commit");
  await expect(off).rejects.toMatchObject({ code: "group_not_found" });
  expect(await pawl.store.rows("select from pawl.switch")).toEqual([]);
});

test("R103b: what a registration makes a member of a group that is being turned off is asked for like the others", async () => {
  const asked = async () => {
    const [row] = await pawl.store.rows<{ epoch: string }>("select epoch from pawl.off_epoch");
    return Number(row?.epoch);
  };
  const before = await asked();
  const turning = await openTransaction(url);
  await turning.query("select pawl.off_v1('group:mails', 'ada', null, null)");
  const opening = opens({ groups: { ...GROUPS, mails: ["kind:mail", "queue:low"] } });
  await untilItWaits(turning, opening);
  await turning.query("commit");
  await (await opening).close();
  expect(await asked()).toBe(before + 2);
  await pawl.on("group:mails");
  await (await opens({ groups: GROUPS })).close();
});

test("R103b: a group is a scope like the others: names near it, audit, list, and what else holds a member", async () => {
  expect(await pawl.switches.groups()).toEqual([
    { name: "erp", application: "shop", members: GROUPS.erp },
    { name: "mails", application: "shop", members: ["kind:mail"] },
  ]);
  await expect(pawl.off("group:epr")).rejects.toMatchObject({
    code: "group_not_found",
    message: 'no group "epr" in this database; did you mean "erp"?',
  });
  await expect(pawl.off("erp")).rejects.toThrow("did you mean");
  const off = await pawl.switches.off("group:erp", { by: "ada", why: "erp down", until: "1h" });
  expect(off).toMatchObject({ scope: "group:erp", running: 0, until: expect.any(Date) });
  const [audited] = await pawl.audit.list({ target: "group:erp", limit: 1 });
  expect(audited).toMatchObject({ by: "ada", action: "switches.off", why: "erp down" });
  await pawl.off("group:mails");
  await pawl.off("queue:low");
  expect(await held("kind:mail")).toEqual(["group:erp", "group:mails"]);
  const still = async (scope: string) =>
    (await pawl.switches.on(scope)).stillOff.map((row) => row.scope);
  expect(await still("queue:low")).toEqual(["group:erp"]);
  expect(await still("group:mails")).toEqual(["group:erp"]);
  await pawl.off("process:order");
  await pawl.off("queue:high");
  expect(await still("group:erp")).toEqual(["process:order"]);
  expect(await pawl.switches.on("group:erp")).toMatchObject({ wasOff: false });
});

test("R103b: lists of queues, sources and commands say that a group holds them, and by whom", async () => {
  await pawl.switches.off("group:erp", { by: "ada", why: "erp down" });
  const queueOf = async (name: string) =>
    (await pawl.queues.list()).find((row) => row.queue === name);
  const low = await queueOf("low");
  expect(low?.holds).toMatchObject([{ reason: "off", detail: { scope: "group:erp", by: "ada" } }]);
  await pawl.off("queue:high"); // in which nothing has been yet
  expect((await queueOf("high"))?.holds).toMatchObject([{ detail: { scope: "queue:high" } }]);
  expect(await pawl.sources.get("orders")).toMatchObject({
    status: "off",
    offBy: "ada",
    offSwitch: "group:erp",
  });
  expect((await pawl.sources.why("orders")).line).toMatch(
    /^group:erp is off since \S+ \(.*\) by ada \(erp down\); `pawl on group:erp` lets it go on/,
  );
  expect(await pawl.destinations.list()).toMatchObject([
    { state: "off", reason: "group:erp is off by ada: erp down", offHosts: [] },
  ]);
  expect((await pawl.schedules.why("daily")).line).toMatch(
    /^group:erp is off since \S+ by ada \(erp down\): `pawl on group:erp` lets it go on/,
  );
  expect(await pawl.commands.list()).toMatchObject([
    {
      key: "import:a",
      status: "disabled",
      off: [{ scope: "group:erp", by: "ada", why: "erp down" }],
    },
    { key: "import:b", status: "idle", off: [] },
  ]);
  await expect(pawl.commands.run("import", { param: "a" })).rejects.toMatchObject({
    code: "command_off",
    message: expect.stringContaining("group:erp is off by ada (erp down)"),
  });
});

test("R103b: `--wait` of a group names the tasks that still run, each once", async () => {
  const worker = await pawl.work({ roles: ["worker"] }); // none that may be asking its source
  onTestFinished(async () => {
    opened?.();
    await worker.stop();
  });
  const { id } = await pawl.enqueue(mail, { isLong: true });
  await until("it runs", () => opened !== undefined);
  await pawl.off("group:erp");
  const said: string[] = [];
  const report = (text: string) => void (text !== "" && said.push(text));
  const stopped = untilStopped({ store: pawl.store, report }, "group:erp");
  await until("it says what is left", () => said.length > 0);
  opened?.();
  await stopped;
  expect(said[0]).toMatch(
    new RegExp(`^group:erp is off, still running: 1 task: task ${id} \\(mail, worker \\d+\\)$`),
  );
});

test("R103b: what becomes a member of a group that is off is off; a group that no code defines any more holds until it is on", async () => {
  await pawl.off("group:mails");
  const later = await opens({
    revision: 1,
    groups: { ...GROUPS, mails: ["kind:mail", "queue:high"] },
  });
  onTestFinished(() => later.close());
  expect(await held("queue:high")).toEqual(["group:mails"]);
  const without = await opens({ revision: 2, groups: { erp: GROUPS.erp } });
  onTestFinished(() => without.close());
  expect(await held("kind:mail")).toEqual(["group:mails"]);
  expect((await pawl.switches.groups())[1]).toMatchObject({ name: "mails", application: "" });
  expect(await pawl.switches.on("group:mails")).toMatchObject({ wasOff: true });
  const again = await opens({ revision: 2, groups: { erp: GROUPS.erp } });
  onTestFinished(() => again.close());
  expect((await pawl.switches.groups()).map((row) => row.name)).toEqual(["erp"]);
  const older = await opens({ revision: 0, groups: GROUPS }); // writes nothing
  onTestFinished(() => older.close());
  expect((await pawl.switches.groups()).map((row) => row.name)).toEqual(["erp"]);
});

test("R28 R103b: a file or PAWL_OFF of a group holds its members on this host, with nothing asked of the database", async () => {
  const locks = newFolder();
  process.env.PAWL_LOCKS_DIR = locks;
  mkdirSync(locks, { recursive: true });
  const file = path.join(locks, "group-erp.disabled");
  writeFileSync(file, "");
  const asked = askedOf(url);
  await expect(pawl.commands.run("import", { param: "a" })).rejects.toMatchObject({
    code: "command_off",
    message: expect.stringContaining(`is off on host ${hostname()}`),
  });
  expect(asked()).toBe(0);
  vi.restoreAllMocks();
  expect(await localSwitches(process.env, [], GROUPS).read()).toEqual(
    ["group:erp", ...GROUPS.erp].sort(),
  );
  expect(await localSwitches({ PAWL_OFF: "group:mails,queue:high" }, [], GROUPS).read()).toEqual(
    expect.arrayContaining(["group:mails", "kind:mail", "queue:high"]),
  );
  // a host without a worker: the list reads its files itself
  expect(await pawl.commands.list()).toMatchObject([
    { key: "import:a", status: "disabled", offHosts: [hostname()] },
    { key: "import:b", status: "idle" },
  ]);
  const worker = await pawl.work();
  onTestFinished(async () => {
    await worker.stop();
  });
  const before = ran;
  const { id } = await pawl.enqueue(mail, {});
  const { id: beside } = await pawl.enqueue(other, {});
  await until(
    "what no file holds has run",
    async () => (await pawl.task(beside))?.state === "done",
  );
  expect((await pawl.why(id)).line).toContain(`on ${hostname()}`);
  expect(await pawl.schedules.list()).toMatchObject([{ status: "on", offHosts: [hostname()] }]);
  expect((await pawl.schedules.why("daily")).line).toContain(
    `a file or PAWL_OFF keeps workers on ${hostname()} from firing it`,
  );
  expect(await pawl.destinations.list()).toMatchObject([{ state: "on", offHosts: [hostname()] }]);
  expect(await here(url, "schedules", "list")).toContain(`on; off on host ${hostname()}`);
  expect(await here(url, "destinations", "list")).toContain(`on; off on host ${hostname()}`);
  const { hosts } = await pawl.switches.list();
  expect(hosts[0]?.scopes).toContain("group:erp");
  expect((await pawl.switches.on("queue:low")).hosts).toHaveLength(1);
  expect(ran).toBe(before);
  rmSync(file);
  await until("it runs when the file is gone", () => ran > before);
});

test("groups that are on cost a claim nothing: the gate asks for switches only while there is one", async () => {
  const asks = async () =>
    (await pawl.store.rows<{ holds: boolean }>("select pawl.are_holds() as holds"))[0]?.holds;
  expect(await asks()).toBe(false);
  await pawl.off("group:erp");
  expect(await asks()).toBe(true);
});
