/** Worker processes of a fault test: started, killed, and all gone when the test is over. */

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { silentLogger } from "../../src/base/log.ts";
import { type App, connect, type Pawl } from "../../src/index.ts";
import { bundle } from "./bundle.ts";
import { freshDatabase } from "./database.ts";
import { endLease } from "./kernel.ts";
import { until } from "./until.ts";
import { faultApp } from "./worker-child.ts";

export interface FleetOptions {
  app?: App;
  /** The program of its processes: a file beside this one that defines the app. */
  child?: string;
  /** Tables and triggers that the jobs or the test want, one statement each. */
  setUp?: readonly string[];
}

export interface Fleet {
  readonly pawl: Pawl;
  /** Starts a process and resolves with its pid once its worker is registered. */
  start(concurrency?: number, env?: Record<string, string>): Promise<number>;
  /** Pids of the processes that live. */
  readonly live: readonly number[];
  /** Pids of the processes that ended by SIGKILL, whoever sent it. */
  readonly killed: readonly number[];
  workerOf(pid: number): Promise<number>;
  /** Tells the process to stop in good order, and resolves when it is gone. */
  drained(pid: number): Promise<void>;
  /** Resolves when the process is gone. */
  ended(pid: number): Promise<void>;
  kill(pid: number): Promise<void>;
  /** Ends the lease of a process that is gone and gives its tasks back, instead of waiting for it. */
  bury(pid: number): Promise<void>;
  stop(): Promise<void>;
}

/** A loaded machine starts a process slowly. */
const START_MS = 300_000;
/** Of `worker-child.ts`. */
const SET_UP = [
  "create table began (task bigint, pid int, at timestamptz)",
  "create table released (task bigint)",
];

export async function fleet(options: FleetOptions = {}): Promise<Fleet> {
  const { app = faultApp, child: file = "worker-child.ts", setUp = SET_UP } = options;
  const program = bundle(join(import.meta.dirname, file));
  const database = await freshDatabase();
  const { url } = database;
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger, connections: 4 });
  for (const statement of setUp) await pawl.store.rows(statement);
  const children = new Map<number, ChildProcess>();
  const killed: number[] = [];
  let isOver = false;
  const workerOf = (pid: number) =>
    until(
      `process ${pid} has registered its worker`,
      async () => {
        if (isOver) throw new Error("the fleet was stopped");
        const [row] = await pawl.store.rows<{ id: number }>(
          "select id from pawl.worker where pid = $1 order by id desc limit 1",
          [pid],
        );
        return row?.id;
      },
      START_MS,
    );
  const ended = async (pid: number) => {
    await until(`process ${pid} is gone`, () => !children.has(pid));
  };
  const start = async (concurrency: number, env: Record<string, string>) => {
    if (isOver) throw new Error("the fleet was stopped");
    const child = spawn(process.execPath, [program.path], {
      stdio: ["pipe", "ignore", "inherit"],
      env: {
        ...process.env,
        ...env,
        PAWL_TEST_WORKER_URL: url,
        PAWL_TEST_CONCURRENCY: String(concurrency),
      },
    });
    const { pid } = child;
    if (pid === undefined) throw new Error("the worker process did not start");
    children.set(pid, child);
    child.once("exit", (_code, signal) => {
      children.delete(pid);
      if (signal === "SIGKILL") killed.push(pid);
    });
    await workerOf(pid);
    return pid;
  };
  return {
    pawl,
    workerOf,
    ended,
    get live() {
      return [...children.keys()];
    },
    killed,
    start: (concurrency = 8, env = {}) => {
      const started = start(concurrency, env);
      started.catch(() => undefined); // a test that fails meanwhile does not wait for it
      return started;
    },
    drained: async (pid) => {
      children.get(pid)?.kill("SIGTERM");
      await ended(pid);
    },
    kill: async (pid) => {
      children.get(pid)?.kill("SIGKILL");
      await ended(pid);
    },
    bury: async (pid) => {
      await endLease(pawl.store, await workerOf(pid));
      await pawl.store.rows("select pawl.rescue_v1()");
    },
    stop: async () => {
      isOver = true;
      for (const child of children.values()) child.kill("SIGKILL"); // a frozen one heeds nothing else
      await until("all worker processes are gone", () => children.size === 0);
      program.remove();
      await pawl.close();
      await database.drop();
    },
  };
}
