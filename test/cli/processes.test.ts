import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, type Pawl } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import { CONFIG, newFolder, pawl, pawlJson, type Running, start } from "./cli.ts";
import app, { broken, endless, hello } from "./fixture/pawl.config.ts";

let url: string;
let client: Pawl;

beforeAll(async () => {
  ({ url } = await freshDatabase());
  client = await connect(app, { databaseUrl: url, log: silentLogger });
});
afterAll(() => client.close());

const work = (args: readonly string[], env: Record<string, string> = {}) =>
  start(["work", "--config", CONFIG, "-v", "--json", ...args], { url, env });

/** Processes that a parent starts wait while this file is there; `env` is the parent's. */
function startsHeldBy(): { file: string; env: Record<string, string> } {
  const folder = newFolder();
  const file = path.join(folder, "held");
  const program = path.join(folder, "hold.mjs");
  writeFileSync(
    program,
    `import { existsSync } from "node:fs";
if (process.env.PAWL_SUPERVISED === "1")
  while (existsSync(${JSON.stringify(file)})) await new Promise((resolve) => setTimeout(resolve, 5));
`,
  );
  return { file, env: { NODE_OPTIONS: `--import=${program}` } };
}

async function workerPids(): Promise<number[]> {
  const rows = await client.store.rows<{ pid: number }>(
    "select pid from pawl.worker where ended_at is null and lease_until > pawl.now() order by pid",
  );
  return rows.map(({ pid }) => pid);
}

const workersOf = (count: number) =>
  until(`${count} workers`, async () => {
    const pids = await workerPids();
    return pids.length === count && pids;
  });

/** What the health port of a worker answers; undefined while nothing does. */
async function asked(port: number, what: string): Promise<number | undefined> {
  return fetch(`http://127.0.0.1:${port}/${what}`).then(
    ({ status }) => status,
    () => undefined,
  );
}

const portOf = (run: Running) =>
  until("its health port", () => {
    const port = /"healthPort":(\d+)[,}]/.exec(run.stderr())?.[1];
    return port === undefined ? undefined : Number(port);
  });

test("R56 R57 R74: of two processes one is killed and started again; the port is ready when both are, and a stop ends all", async () => {
  const { file, env } = startsHeldBy();
  const parent = work(["--processes", "2", "--health-port", "0", "--grace", "100ms"], env);
  const port = await portOf(parent);
  expect(await asked(port, "live")).toBe(200);
  const [first = 0, second = 0] = await workersOf(2);
  expect([first, second]).not.toContain(parent.process.pid);
  await until("ready", async () => (await asked(port, "ready")) === 200);
  writeFileSync(file, "");
  process.kill(first, "SIGKILL");
  await until("not ready", async () => (await asked(port, "ready")) === 503);
  rmSync(file);
  await until("ready again", async () => (await asked(port, "ready")) === 200);
  await until("its log", () => parent.stderr().includes('"signal":"SIGKILL"'));

  const args = ["health", "--health-port", String(port), "--json"];
  // a process that a busy machine lets say nothing for seconds is not ready for a moment
  const healthy = await until("healthy", async () => {
    const answer = await pawlJson(args);
    return answer.code === 0 && answer;
  });
  expect(healthy).toEqual({ code: 0, json: { status: "ready" } });
  expect((await pawl(["health", "--live", "--health-port", String(port)])).code).toBe(0);
  const { id } = await client.enqueue(endless, {});
  await until("the task runs", async () => (await client.task(id))?.state === "running");
  parent.process.kill("SIGTERM");
  const { code, stdout } = await parent.finished;
  expect(code).toBe(0);
  const { processes } = JSON.parse(stdout);
  expect(processes).toMatchObject([{ endedBy: "signal" }, { endedBy: "signal" }]);
  expect(processes.map(({ restarts }: { restarts: number }) => restarts).sort()).toEqual([0, 1]);
  expect(await client.task(id)).toMatchObject({ state: "ready", attempt: 0 });
  await client.tasks.cancel(id, { why: "the test is over" });
  expect(await pawlJson(args)).toMatchObject({
    code: 1,
    json: { error: { code: "worker_not_ready" } },
  });
});

test("R56: with --processes each process has the limits, and the parent ends when all have ended; when it is killed they end too", async () => {
  await client.enqueueMany(hello, [{ n: 1 }, { n: 2 }]);
  const limited = await work(["--processes", "2", "--limit", "1", "--concurrency", "1"]).finished;
  expect(limited.code).toBe(0);
  expect(JSON.parse(limited.stdout)).toMatchObject({
    processes: [{ endedBy: "limit" }, { endedBy: "limit" }],
  });
  const parent = work(["--processes=1"]);
  await workersOf(1);
  parent.process.kill("SIGKILL");
  await workersOf(0);
});

test("R56: a command line that the processes refuse ends the parent with exit code 2", async () => {
  const { code, stderr } = await start(
    ["work", "--config", CONFIG, "--processes", "1", "--queues", "nope"],
    { url },
  ).finished;
  expect(code).toBe(2);
  expect(stderr).toContain('no queue "nope"');
  expect(stderr).toContain("refused its command line");
});

test("R56: --failure-limit ends the worker after that many failed attempts, with exit code 0; -vvv is taken", async () => {
  await client.enqueueMany(broken, [{ why: "one" }, { why: "two" }]);
  const args = ["--queues", "high", "--failure-limit", "2", "--poll-interval", "100ms", "-vvv"];
  const { code, stdout, stderr } = await work(args).finished;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ endedBy: "failure limit" });
  expect(stderr).toContain('"level":"info"');
});
