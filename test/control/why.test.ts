/** Why a command is not moving: from the same source as the list, with what would change it. */

import { rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineCommand, type Pawl } from "../../src/index.ts";
import { newFolder, pawl as pawlCli } from "../cli/cli.ts";
import { type Gate, gate, statusOf } from "../support/commands.ts";
import { freshDatabase } from "../support/database.ts";
import { LONG_LEASE } from "../support/kernel.ts";
import { until } from "../support/until.ts";

/** Longer than a file is looked for, and shorter than what the database would have told of. */
const SOON_MS = 1_500;

const HOUR = new Date().getUTCHours();
/** Where it is about noon: no day begins or ends there while this test runs. */
const NOON = `Etc/GMT${HOUR < 12 ? "-" : "+"}${Math.abs(HOUR - 12)}`;

let url: string;
let pawl: Pawl;
let held: Gate;
let isBroken = false;

beforeAll(async () => {
  held = gate();
  ({ url } = await freshDatabase());
  const app = defineApp({
    name: "shop",
    commands: [
      defineCommand({
        name: "import",
        params: ["a", "b"],
        timeout: "1m",
        run: (context) => {
          if (isBroken) throw new Error("their API is down");
          context.progress("page 3 of 7");
          return held.pass(context);
        },
      }),
      defineCommand({ name: "books", onCrash: "hold", run: () => undefined }),
    ],
    groups: { outside: ["command:import:a", "command:books"] },
    quietHours: {
      // never by itself while this test runs
      audit: {
        from: "00:00",
        to: "24:00",
        timeZone: NOON,
        days: ["last"],
        holds: ["command:import:b"],
        why: "audited",
      },
    },
  });
  pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  await pawl.store.rows(LONG_LEASE);
  await pawl.quiet.force("audit", { why: "the month may end today" });
});

afterAll(async () => {
  held.open();
  await pawl.close();
});

afterEach(() => {
  delete process.env.PAWL_LOCKS_DIR;
});

async function why(key: string): Promise<string> {
  const found = (await pawl.why(`command:${key}`)) as {
    command: string;
    status: string;
    line: string;
  };
  expect(found).toMatchObject({ command: key, status: (await statusOf(pawl, key)).status });
  return found.line;
}

const quiet = (is: boolean) =>
  pawl.store.rows(
    is
      ? "update pawl.quiet_hours set days = null, passed_until = null, next_from = null"
      : "update pawl.quiet_hours set passed_until = pawl.now() + interval '10 years', next_from = null",
  );

test("an unknown command and one that has parameters are refused with what to ask for instead", async () => {
  await expect(pawl.why("command:imprt")).rejects.toMatchObject({
    code: "command_not_found",
    message: expect.stringContaining('no command "imprt" in this database; '),
  });
  await expect(pawl.why("command:import")).rejects.toThrow(
    "it has parameters: ask for one of import:a, import:b",
  );
});

test("R29: `pawl why command:<key>` says of each status what it means here and what would change it", async () => {
  expect(await why("import:a")).toBe("it can start, and nobody has asked for it");
  const { id } = await pawl.commands.start("import", { param: "a", by: "ada" });
  expect(await why("import:a")).toMatch(
    new RegExp(
      `^asked for by ada at \\S+Z by task ${id}: ready for .*: no live worker knows kind import in queue commands; start \`pawl work\``,
    ),
  );
  await pawl.switches.off("group:outside", { by: "ada", why: "their maintenance" });
  expect(await why("import:a")).toBe(
    "group:outside is off by ada (their maintenance); `pawl on group:outside`",
  );
  await pawl.on("group:outside");
  await quiet(true);
  expect(await why("import:b")).toMatch(
    /^quiet hours audit \(audited\) from \S+Z until \S+Z; `pawl quiet force audit` lets it start$/,
  );
  await quiet(false);
  const worker = await pawl.work();
  onTestFinished(async () => {
    await worker.stop();
  });
  await until("it has begun", async () => (await statusOf(pawl, "import:a")).run?.progress);
  expect(await why("import:a")).toMatch(
    new RegExp(`^it runs since \\S+Z: ada on ${hostname()} \\(pid ${process.pid}\\), page 3 of 7$`),
  );
  await pawl.off("command:import", { by: "ada" });
  expect(await why("import:a")).toContain(
    "; this run is its last: command:import is off by ada; `pawl on command:import`",
  );
  held.open();
  await until("it has ended", async () => (await pawl.task(id))?.state === "done");
  await pawl.on("command:import");
  isBroken = true;
  await expect(pawl.commands.run("import", { param: "a" })).rejects.toMatchObject({
    code: "command_failed",
  });
  isBroken = false;
  expect(await why("import:a")).toMatch(
    /^it can start; its last run failed \(.*their API is down\); last run: \S+Z failed in /,
  );
  await pawl.store.rows(
    "select from pawl.start_command_v1('books', null, 'hold', 'web-7', 42, 'cron', null, 'commands.run')",
  );
  await pawl.store.rows(
    "update pawl.lease set lease_until = pawl.now() where name = 'command:books'",
  );
  expect(await why("books")).toMatch(
    /^its run on cron on web-7 \(pid 42\) did not end; find out what it has done, then `pawl locks release books --why/,
  );
  const { stdout } = await pawlCli(["why", "command:books"], { url });
  expect(stdout).toContain("command books (locked): its run on cron on web-7");
});

/** For how long a task waits before anybody looks at it again. */
async function waitsMs(id: string): Promise<number> {
  const [row] = await pawl.store.rows<{ ms: number }>(
    "select coalesce(max(extract(epoch from run_at - pawl.now()) * 1000), 0)::float8 as ms from pawl.task where id = $1",
    [id],
  );
  return row?.ms ?? 0;
}

const LIFTS: Record<
  string,
  { hold: () => Promise<unknown>; says: string; lift: () => Promise<unknown> }
> = {
  "a switch of its own": {
    hold: () => pawl.off("command:import:b", { by: "ada" }),
    says: "command:import:b is off by ada; `pawl on command:import:b`",
    lift: () => pawl.on("command:import:b"),
  },
  "quiet hours of its own": {
    hold: () => quiet(true),
    says: "quiet hours audit (audited)",
    lift: () => pawl.quiet.force("audit", { why: "late invoices" }),
  },
  "a file on the only host": {
    hold: async () => {
      const locks = newFolder();
      process.env.PAWL_LOCKS_DIR = locks;
      writeFileSync(path.join(locks, "import-b.disabled"), "");
    },
    says: `a file or PAWL_OFF holds it on host ${hostname()}; take it away there`,
    lift: async () => rmSync(path.join(process.env.PAWL_LOCKS_DIR ?? "", "import-b.disabled")),
  },
};

test.each(Object.entries(LIFTS))(
  "R29: a parameter that is held by %s: its task says so, and starts as soon as that is lifted",
  async (_name, { hold, says, lift }) => {
    await hold();
    const worker = await pawl.work();
    onTestFinished(async () => {
      await worker.stop();
    });
    const { id } = await pawl.commands.start("import", { param: "b" });
    // again and again the worker takes it, and leaves it
    const found = await until("it waits, and says so", async () => {
      const answer = (await pawl.why(id)) as { subject: string; line: string };
      return answer.line.startsWith("waits: ") && answer;
    });
    expect(found.subject).toBe(`task ${id} of command import:b`);
    expect(found.line).toContain(says);
    await until("that costs it no attempt", async () => {
      const task = await pawl.task(id);
      return task?.state === "scheduled" && task.attempt === 0;
    });
    await lift();
    expect(await waitsMs(id)).toBeLessThan(SOON_MS);
    await until("it has run", async () => (await pawl.task(id))?.state === "done");
  },
);

test("what is turned on while a task just finds itself held is not slept through", async () => {
  const { id } = await pawl.commands.start("import", { param: "b" });
  await pawl.off("command:import:b");
  // the task was claimed and is about to be given back when it is turned on
  const [claimed] = await pawl.store.rows<{ id: number }>(
    `select pawl.start_worker_v1('{"host": "h", "pid": 1, "application": "shop", "revision": 0, "queues": ["commands"], "concurrency": 1}') as id`,
  );
  const shards =
    "array(select id from pawl.shard where queue_id = (select id from pawl.queue where name = 'commands'))";
  const turn = await pawl.store.rows<{ seq: string }>(
    `select seq from pawl.turn_v1($1, '{}', '{}', '{}', '{}', null, '{}', 1, 10, ${shards}, false) where id = $2`,
    [claimed?.id, id],
  );
  expect(turn).toHaveLength(1);
  await pawl.on("command:import:b");
  await pawl.store.rows("select pawl.fail_v1($1, $2)", [
    claimed?.id,
    JSON.stringify([{ id, seq: turn[0]?.seq, claim: 1, outcome: "advance", delay_ms: 600_000 }]),
  ]);
  expect(await waitsMs(id)).toBeLessThan(SOON_MS);
});
