/** Worker processes of a fault test: started, killed, and all gone when the test is over. */

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { silentLogger } from "../../src/base/log.ts";
import { connect, type Pawl } from "../../src/index.ts";
import { freshDatabase } from "./database.ts";
import { until } from "./until.ts";
import { faultApp } from "./worker-child.ts";

const CHILD = join(import.meta.dirname, "worker-child.ts");

export interface Fleet {
  readonly pawl: Pawl;
  /** Starts a process and resolves with its pid once its worker is registered. */
  start(concurrency?: number): Promise<number>;
  /** Pids of the processes that live. */
  readonly live: readonly number[];
  workerOf(pid: number): Promise<number>;
  /** Tells the process to stop in good order, and resolves when it is gone. */
  drained(pid: number): Promise<void>;
  /** Resolves when the process is gone. */
  ended(pid: number): Promise<void>;
  kill(pid: number): Promise<void>;
  stop(): Promise<void>;
}

export async function fleet(): Promise<Fleet> {
  const database = await freshDatabase();
  const { url } = database;
  const pawl = await connect(faultApp, { databaseUrl: url, log: silentLogger, connections: 6 });
  await pawl.store.rows("create table began (task bigint, pid int, at timestamptz)");
  await pawl.store.rows("create table released (task bigint)");
  const children = new Map<number, ChildProcess>();
  const workerOf = (pid: number) =>
    until(`process ${pid} has registered its worker`, async () => {
      const [row] = await pawl.store.rows<{ id: number }>(
        "select id from pawl.worker where pid = $1 order by id desc limit 1",
        [pid],
      );
      return row?.id;
    });
  const ended = async (pid: number) => {
    await until(`process ${pid} is gone`, () => !children.has(pid));
  };
  return {
    pawl,
    workerOf,
    ended,
    get live() {
      return [...children.keys()];
    },
    start: async (concurrency = 8) => {
      const child = spawn(process.execPath, ["--import", "tsx", CHILD], {
        stdio: ["ignore", "ignore", "inherit"],
        env: {
          ...process.env,
          PAWL_TEST_WORKER_URL: url,
          PAWL_TEST_CONCURRENCY: String(concurrency),
        },
      });
      const { pid } = child;
      if (pid === undefined) throw new Error("the worker process did not start");
      children.set(pid, child);
      child.once("exit", () => children.delete(pid));
      await workerOf(pid);
      return pid;
    },
    drained: async (pid) => {
      children.get(pid)?.kill("SIGTERM");
      await ended(pid);
    },
    kill: async (pid) => {
      children.get(pid)?.kill("SIGKILL");
      await ended(pid);
    },
    stop: async () => {
      for (const child of children.values()) child.kill("SIGKILL"); // a frozen one heeds nothing else
      await until("all worker processes are gone", () => children.size === 0);
      await pawl.close();
      await database.drop();
    },
  };
}
