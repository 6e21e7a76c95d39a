/** `pawl work --processes`: what its processes do to each other, and what is told of them. */

import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { type Logger, silentLogger } from "../../src/base/log.ts";
import { serveHealth } from "../../src/cli/health-server.ts";
import { Processes } from "../../src/cli/processes.ts";
import { connect, defineApp, defineJob, type Pawl } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import { newFolder, PAWL, start } from "./cli.ts";

/** Ends the process `pid`, if it runs there. */
const SHOP = `import { defineApp, defineJob } from ${JSON.stringify(PAWL)};
import { z } from ${JSON.stringify(import.meta.resolve("zod"))};
const leave = defineJob({
  name: "leave",
  input: z.object({ pid: z.number() }),
  run: ({ pid }) => {
    if (process.pid === pid) process.exit(2);
    return { supervised: process.env.PAWL_SUPERVISED ?? null };
  },
});
export default defineApp({ name: "shop", jobs: [leave] });
`;
/** Holds a process that has a parent until the parent is gone. */
const HOLD = `if (process.env.PAWL_SUPERVISED === "1")
  while (process.connected) await new Promise((resolve) => setTimeout(resolve, 5));
`;
const leave = defineJob({
  name: "leave",
  input: z.object({ pid: z.number() }),
  run: () => ({ supervised: null as string | null }),
});

const STARTED = "worker process started";
const KILLED = "a worker process says nothing any more, it is killed";

function listening() {
  const lines: { message: string; data: object }[] = [];
  const heard = (data: object, message: string) => void lines.push({ data, message });
  const log: Logger = { debug: heard, info: heard, warn: heard, error: heard };
  return { log, lines };
}

/** `ask` asks a parent to stop. */
function asking() {
  let ask: () => void = () => undefined;
  const stop = new Promise<void>((resolve) => {
    ask = resolve;
  });
  return { stop, ask };
}

let url: string;
let client: Pawl;
let config: string;

beforeAll(async () => {
  ({ url } = await freshDatabase());
  client = await connect(defineApp({ name: "shop", jobs: [leave] }), {
    databaseUrl: url,
    log: silentLogger,
  });
  config = path.join(newFolder(), "pawl.config.ts");
  writeFileSync(config, SHOP);
});
afterAll(() => client.close());

test("R56: a process whose parent is killed while it starts ends too: nobody would stop it", async () => {
  const hold = path.join(newFolder(), "hold.mjs");
  writeFileSync(hold, HOLD);
  const args = ["work", "--config", config, "-v", "--processes", "1"];
  const parent = start(args, { url, env: { NODE_OPTIONS: `--import=${hold}` } });
  const pid = await until("a process that starts", () => {
    const [, found] = /"pid":(\d+)[,}]/.exec(parent.stderr()) ?? [];
    return found === undefined ? undefined : Number(found);
  });
  try {
    parent.process.kill("SIGKILL");
    await until("its end", () => !isAlive(pid));
  } finally {
    if (isAlive(pid)) process.kill(pid, "SIGKILL");
  }
});

test("R56: a process that is stuck before its first word is killed and started again", async () => {
  vi.stubEnv("DATABASE_URL", url);
  const stuck = path.join(newFolder(), "stuck.mjs");
  writeFileSync(stuck, "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);");
  vi.stubEnv("NODE_OPTIONS", `--import=${stuck}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  const { log, lines } = listening();
  const { stop, ask } = asking();
  const argv = ["work", "--config", config];
  const running = new Processes({ count: 1, argv, log, stop, startSilenceMs: 2_000 }).run();
  try {
    await until("two starts", () => lines.filter(({ message }) => message === STARTED).length > 1);
    expect(lines.map(({ message }) => message)).toContain(KILLED);
  } finally {
    ask();
    await running;
  }
});

test("R57: a process that stands still when it is asked to stop is killed within the grace", async () => {
  vi.stubEnv("DATABASE_URL", url);
  const { log, lines } = listening();
  const { stop, ask } = asking();
  const argv = ["work", "--config", config];
  const supervisor = new Processes({ count: 1, argv, log, stop, graceMs: 100 });
  const running = supervisor.run();
  try {
    await until("ready", () => supervisor.health.isReady);
    const { data } = lines.find(({ message }) => message === STARTED) ?? {};
    process.kill(Number((data as { pid: number }).pid), "SIGSTOP");
  } finally {
    ask();
  }
  await expect(running).rejects.toMatchObject({
    code: "worker_process_failed",
    data: { signal: "SIGKILL" },
  });
  expect(lines.find(({ message }) => message === KILLED)?.data).toMatchObject({ silenceMs: 5_000 });
  // for the next test: its lease has not run out
  await client.store.rows("update pawl.worker set ended_at = pawl.now() where ended_at is null");
});

test("R56 R57: a process that stands still is not ready, then not live, is killed and started again; so is one that a handler ends with exit code 2", async () => {
  vi.stubEnv("DATABASE_URL", url);
  const { log, lines } = listening();
  const { stop, ask } = asking();
  const argv = ["work", "--config", config];
  const supervisor = new Processes({
    count: 1,
    argv,
    log,
    stop,
    liveSilenceMs: 10_000,
  });
  const server = await serveHealth({ port: 0, host: "127.0.0.1", health: () => supervisor.health });
  const answer = async (what: string) =>
    (await fetch(`http://127.0.0.1:${server.port}/${what}`)).status;
  const running = supervisor.run();
  const { execPath } = process;
  const nextReady = async (than: number) => {
    const pid = await until("a worker", async () => {
      const rows = await client.store.rows<{ pid: number }>(
        "select pid from pawl.worker where ended_at is null and lease_until > pawl.now() and pid <> $1",
        [than],
      );
      return rows[0]?.pid;
    });
    await until("ready", async () => (await answer("ready")) === 200);
    return pid;
  };
  try {
    const first = await nextReady(0);
    process.kill(first, "SIGSTOP");
    await until("not ready", async () => (await answer("ready")) === 503);
    expect(await answer("live")).toBe(200);
    expect(supervisor.health.reason).toMatch(/^process 1 has said nothing for \d+ s$/);
    const second = await nextReady(first);
    expect(lines).toContainEqual({
      message: KILLED,
      data: { process: 1, pid: first, silenceMs: 10_000 },
    });

    process.execPath = path.join(newFolder(), "nothing"); // as when the system has no memory for a process
    const { id } = await client.enqueue(leave, { pid: second });
    await until("a start that failed", () =>
      lines.some(({ data }) => "err" in data && String(data.err).includes("ENOENT")),
    );
    process.execPath = execPath;
    await nextReady(second);
    const done = await until("done by the next", async () => {
      const task = await client.task(id);
      return task?.state === "done" && task;
    });
    expect(done.result).toEqual({ supervised: null });
  } finally {
    process.execPath = execPath;
    ask();
    await running.finally(() => server.close());
  }
  expect(lines.filter(({ message }) => message.includes("died"))).not.toHaveLength(0);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
