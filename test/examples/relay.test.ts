/** The relay as people start it: real processes, real kills. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type pg from "pg";
import { afterEach, beforeAll, beforeEach, expect, vi } from "vitest";
import { openBusiness } from "../../examples/relay/tables.ts";
import { stopEmbedded } from "../../src/store/embedded/index.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { test } from "../support/embedded-only.ts";
import { ROOT } from "../support/project-files.ts";
import { until as untilWithin } from "../support/until.ts";

const EVENTS = 329;
/** Of these, those that also go to the destination that never accepts. */
const PINGS = 4;
/** Issues that were opened, and releases that were published. */
const FOLLOWED = 7;
const COPIES = 2;
/** Several processes, and a lease that has to run out, on a busy machine. */
const TIMEOUT_MS = 600_000;
const PATIENCE_MS = 300_000;

interface Run {
  process: ChildProcess;
  stdout: () => string;
  stderr: () => string;
  /** The exit code, or the signal. */
  ended: Promise<number | string | null>;
}

const until: typeof untilWithin = (what, look) => untilWithin(what, look, PATIENCE_MS);

vi.setConfig({ testTimeout: TIMEOUT_MS, hookTimeout: TIMEOUT_MS });

let dir = "";
const runs: Run[] = [];

beforeAll(() => {
  if (existsSync(join(ROOT, "dist/cli/main.js"))) return;
  const built = spawnSync(process.execPath, ["scripts/build.mjs"], { cwd: ROOT, stdio: "inherit" });
  expect(built.status).toBe(0);
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "pawl-relay-run-"));
  chmodSync(dir, 0o755); // as root, the server runs as somebody else
});
afterEach(async () => {
  for (const { process } of runs) process.kill("SIGKILL");
  await Promise.all(runs.splice(0).map(({ ended }) => ended));
  const { dataDir } = await stopEmbedded({ dir });
  rmSync(dirname(dataDir), { recursive: true, force: true });
  rmSync(dir, { recursive: true, force: true });
});

function start(args: string[], databaseUrl = ""): Run {
  const child = spawn(process.execPath, ["--import", "tsx", "examples/relay/main.ts", ...args], {
    cwd: ROOT,
    env: { ...process.env, PAWL_DIR: dir, DATABASE_URL: databaseUrl },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const text = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (more: string) => {
    text.stdout += more;
  });
  child.stderr.setEncoding("utf8").on("data", (more: string) => {
    text.stderr += more;
  });
  const ended = once(child, "close").then(([code, signal]) => (code ?? signal) as number | string);
  const run = { process: child, stdout: () => text.stdout, stderr: () => text.stderr, ended };
  runs.push(run);
  return run;
}

/** The JSON object in the last line of stdout. */
async function reportOf(run: Run): Promise<Record<string, number>> {
  const code = await run.ended;
  expect({ code, stderr: run.stderr() }).toMatchObject({ code: 0 });
  return JSON.parse(run.stdout().trimEnd().split("\n").at(-1) ?? "") as Record<string, number>;
}

/** `worker 1` to its process, and the receiver's; from what the relay says at its start. */
function processesOf(run: Run): Promise<Map<string, number>> {
  return until("the relay has started its processes", () => {
    const list = /processes: (.*);/.exec(run.stderr())?.[1];
    if (list === undefined) return undefined;
    return new Map(
      [...list.matchAll(/(\w[\w ]*) (\d+)/g)].map((one) => [one[1] ?? "", Number(one[2])]),
    );
  });
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

/** What `copies` of the feed come to, whatever was killed on the way. */
function goodTotals(copies: number): Record<string, number> {
  const [all, broken] = [EVENTS * copies, PINGS * copies];
  return {
    loaded: all,
    stored: all,
    events: all,
    jobs: all,
    deliveries: all,
    verified: all,
    ledger: all,
    inversions: 0,
    pings: broken,
    expectedDead: broken,
    alarms: broken,
    processes: FOLLOWED * copies,
    processesDone: FOLLOWED * copies,
    lost: 0,
    dead: 0,
    pending: 0,
    badSignatures: 0,
  };
}

test("every real webhook becomes one row, one job and two verified deliveries, in order at the ledger; a second run changes nothing", async () => {
  const first = start(["--once", "--json"]);
  const children = await processesOf(first);
  const report = await reportOf(first);
  expect(report).toMatchObject(goodTotals(1));
  expect([...children.keys()]).toEqual(["receiver", "worker 1", "worker 2"]);
  expect([...children.values()].filter((pid) => !isGone(pid))).toEqual([]);
  const { seconds: _, ...unchanged } = report;
  const again = await reportOf(start(["--once", "--json"]));
  expect({ ...again, seconds: 0 }).toEqual({ ...unchanged, seconds: 0 });
  expect(statSync(join(dir, "relay/secret")).mode & 0o777).toBe(0o600);
  expect(readdirSync(join(dir, "relay/receipts"))).toHaveLength(2);
});

/** The process of a child that was printed at the start. */
async function pidsOf(run: Run): Promise<(name: string) => number> {
  const children = await processesOf(run);
  return (name) => {
    const found = children.get(name);
    if (found === undefined) throw new Error(`no process ${name} in: ${run.stderr()}`);
    return found;
  };
}

interface Came {
  loaded: number;
  rows: number;
  events: number;
  jobs: number;
  stored: number;
  seen: number;
}

/** How far the feed has come in, in one snapshot; undefined while there are no tables. */
async function cameIn(client: pg.Client): Promise<Came | undefined> {
  const { rows } = await client
    .query<Came>(
      `select s.received::int as loaded, t.stored_count::int as stored,
              (select count(*) from relay.event)::int as rows,
              (select count(*) from pawl.event where name like 'github.%')::int as events,
              (select count(*) from pawl.inbox_seen)::int as seen,
              (select count(*) from (select payload from pawl.task union all select payload from pawl.finished) j
                where j.payload ? 'feedId')::int as jobs
         from pawl.source s join pawl.source_storage t on t.source_id = s.id`,
    )
    .catch(() => ({ rows: [] }));
  return rows[0];
}

function untilCome(client: pg.Client, part: "loaded" | "rows", count: number): Promise<Came> {
  return until(`more than ${count} ${part}`, async () => {
    const came = await cameIn(client);
    return came !== undefined && came[part] > count && came;
  });
}

/** Of an advisory lock that is nobody else's. */
let gates = 7_000_000_000;

/**
 * Rows of a table wait there until the gate is opened: however late a busy machine lets the test look, there is more
 * to come. Whoever is killed while it waits has sent what it wrote: the server goes on with it.
 */
async function gate(client: pg.Client, table: string, condition: string): Promise<() => unknown> {
  const no = gates++;
  await client.query("select pg_advisory_lock($1)", [no]);
  await client.query(`
    create function gate_${no}() returns trigger language plpgsql as
      'begin perform pg_advisory_xact_lock_shared(${no}); return new; end';
    create trigger gate_${no} before insert on ${table}
      for each row when (${condition}) execute function gate_${no}()`);
  return () => client.query("select pg_advisory_unlock($1)", [no]);
}

test("nothing is lost or out of order when the receiver, a worker and then the main process are killed in the middle", async () => {
  const { url } = await freshDatabase();
  const client = await rawClient(url);
  await (await openBusiness(url)).end();
  const open = await gate(client, "relay.event", "new.feed_id > 300");
  const args = ["--once", "--json", "--copies", String(COPIES)];
  const killed = start(args, url);
  const pid = await pidsOf(killed);
  await untilCome(client, "rows", 0);
  process.kill(pid("receiver"), "SIGKILL");
  await untilCome(client, "rows", 100);
  process.kill(pid("worker 1"), "SIGKILL");
  killed.process.kill("SIGKILL");
  expect(await killed.ended).toBe("SIGKILL");
  await open();
  await until("the other worker has ended by itself", () => isGone(pid("worker 2")));
  const before = await cameIn(client);
  expect(before?.rows).toBeLessThan(EVENTS * COPIES);

  const report = await reportOf(start(args, url));
  expect(report).toMatchObject(goodTotals(COPIES));
});

test("when workers are killed while they load, an event's row, record and job are there together with its leaving the inbox or not at all, and loading goes on where it was", async () => {
  const { url } = await freshDatabase();
  const client = await rawClient(url);
  const openFirst = await gate(client, "pawl.inbox", "new.event_id::int > 300");
  const openSecond = await gate(client, "pawl.inbox", "new.event_id::int > 600");
  const run = start(["--once", "--json", "--copies", String(COPIES)], url);
  const pid = await pidsOf(run);
  const killed = [pid("worker 1"), pid("worker 2")];
  await untilCome(client, "loaded", 100);
  for (const one of killed) process.kill(one, "SIGKILL");
  await openFirst();
  const loader = await until("another process loads", async () => {
    const { rows } = await client.query<{ pid: string }>(
      `select substring(owner from '\\d+$') as pid from pawl.lease
        where name = 'source:github' and lease_until > pawl.now()`,
    );
    const found = Number(rows[0]?.pid ?? killed[0]);
    return !killed.includes(found) && found;
  });
  process.kill(loader, "SIGKILL");
  const { loaded, ...parts } = (await cameIn(client)) ?? {};
  expect(loaded).toBeLessThan(EVENTS * COPIES);
  expect(new Set(Object.values(parts)).size).toBe(1);
  await openSecond();

  expect(await reportOf(run)).toMatchObject(goodTotals(COPIES));
  const all = EVENTS * COPIES;
  expect(await cameIn(client)).toEqual({
    loaded: all,
    rows: all,
    events: all,
    jobs: all,
    stored: all,
    seen: all,
  });
});

test("a stop in the middle leaves no process behind, and says so with its exit code", async () => {
  const { url } = await freshDatabase();
  const run = start(["--once", "--copies", "100"], url);
  const children = await processesOf(run);
  run.process.kill("SIGINT");
  expect(await run.ended).toBe(130);
  expect([...children.values()].filter((pid) => !isGone(pid))).toEqual([]);
});

test("an option that makes no sense is refused before anything starts", async () => {
  const run = start(["--once", "--copies", "0"]);
  expect(await run.ended).toBe(2);
  expect(run.stderr()).toContain("expected --copies to be from 1 to 10000, got 0");
  expect(existsSync(join(dir, "relay"))).toBe(false);
});
