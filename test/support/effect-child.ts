/**
 * A worker process whose handler writes one row of `effect` through its task's transaction. `PAWL_TEST_KILL`, such as
 * `before commit:20`, kills it at the 20th time that it comes to that point; `at random:20:7` at whatever it does 7 ms
 * after its 20th effect. Imports little: it is started often.
 */

import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { type App, defineApp, defineJob } from "../../src/index.ts";
import { asWorker } from "./as-worker.ts";

export const KILL_POINTS = [
  "after the effect",
  "before commit",
  "commit sent",
  "after commit",
] as const;
export type KillPoint = (typeof KILL_POINTS)[number];
export const EFFECT_TABLE = [
  "create table effect (task bigint not null, pid int not null)",
  "create index on effect (pid)",
  "create table account (balance int not null, pid int)",
  "insert into account values (10, null)",
];

const [killAt, killTimes, killMs] = (process.env.PAWL_TEST_KILL ?? "").split(":");
let times = 0;
let hasRun = false;

function reached(point: KillPoint): void {
  if (point !== killAt) return;
  times += 1;
  if (times === Number(killTimes)) process.kill(process.pid, "SIGKILL");
}

/** The process kills itself, so that a test which is late does not find all tasks done. */
function effectMade(): void {
  reached("after the effect");
  if (killAt !== "at random") return;
  times += 1;
  if (times !== Number(killTimes)) return;
  setTimeout(() => process.kill(process.pid, "SIGKILL"), Number(killMs));
}

/** Once a handler has run, only handlers' transactions commit in a worker; before that, its registration has. */
function killAtCommit(): void {
  const query = Reflect.get(pg.Client.prototype, "query") as (...args: unknown[]) => unknown;
  const wrapped = function (this: pg.Client, ...args: unknown[]) {
    const [given] = args as [string | { text?: string }];
    const text = typeof given === "string" ? given : given?.text;
    if (text !== "commit" || !hasRun) return Reflect.apply(query, this, args);
    reached("before commit");
    const heard = args.at(-1) as (error: Error | null, result: unknown) => void;
    const committed = (error: Error | null, result: unknown) => {
      if (error === null || error === undefined) reached("after commit");
      heard(error, result);
    };
    const answer: unknown = Reflect.apply(query, this, [...args.slice(0, -1), committed]);
    reached("commit sent");
    return answer;
  };
  Object.assign(pg.Client.prototype, { query: wrapped });
}

/** A Standard Schema that takes anything. */
const anything = {
  "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) },
} as const;

export const effectJob = defineJob({
  name: "effect",
  input: anything,
  retry: { attempts: 100, delays: ["1ms"], jitter: 0 },
  run: async (_, { tx, taskId }) => {
    hasRun = true;
    await tx.query("insert into effect values ($1, $2)", [taskId, process.pid]);
    effectMade();
  },
});

/** Its first try locks the account and then waits for ever; each later one only takes from it. */
export const accountJob = defineJob({
  name: "account",
  input: anything,
  retry: { attempts: 100, delays: ["1ms"], jitter: 0 },
  run: async (_, { tx, attempt, signal }) => {
    await tx.query("update account set balance = balance - 1, pid = $1", [process.pid]);
    if (attempt === 1) await new Promise((resolve) => signal.addEventListener("abort", resolve));
  },
});

/** Its transaction says nothing for longer than a lease. */
export const quietJob = defineJob({
  name: "quiet",
  input: anything,
  retry: { attempts: 1 },
  run: async (_, { tx, taskId }) => {
    await tx.query("insert into effect values ($1, $2)", [taskId, process.pid]);
    await pause(12_000);
  },
});

export const effectApp: App = defineApp({ jobs: [effectJob, accountJob, quietJob] });

if (killAt !== "") killAtCommit();
await asWorker(effectApp, () => undefined);
