/** Worker processes of a fault test: started, killed, and all gone when the test is over. */

import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
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
  /** Resolves when the process is gone, and what it had sent has ended at the server: it locks and writes nothing any more. */
  ended(pid: number): Promise<void>;
  kill(pid: number): Promise<void>;
  /** Ends the lease of a process that is gone, and resolves when its tasks are given back. */
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
  /** By pid, what its sessions at the server are called. */
  const sessions = new Map<number, string>();
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
    await until(`the sessions of process ${pid} are gone`, async () => {
      if (isOver) return true;
      const rows = await pawl.store.rows(
        "select from pg_stat_activity where datname = current_database() and application_name = $1",
        [sessions.get(pid)],
      );
      return rows.length === 0;
    });
  };
  const start = async (concurrency: number, env: Record<string, string>) => {
    if (isOver) throw new Error("the fleet was stopped");
    const session = `fleet-${randomUUID()}`;
    const child = spawn(process.execPath, [program.path], {
      stdio: ["pipe", "ignore", "inherit"],
      env: {
        ...process.env,
        ...env,
        PAWL_TEST_WORKER_URL: `${url}${url.includes("?") ? "&" : "?"}application_name=${session}`,
        PAWL_TEST_CONCURRENCY: String(concurrency),
      },
    });
    const { pid } = child;
    if (pid === undefined) throw new Error("the worker process did not start");
    children.set(pid, child);
    sessions.set(pid, session);
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
      const worker = await workerOf(pid);
      await endLease(pawl.store, worker);
      await until(`the tasks of worker ${worker} are given back`, async () => {
        await pawl.store.rows("select pawl.rescue_v1()"); // it passes by what somebody holds at this moment
        const rows = await pawl.store.rows(
          "select from pawl.worker where id = $1 and ended_at is not null",
          [worker],
        );
        return rows.length === 1;
      });
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
