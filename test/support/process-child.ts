/**
 * A worker process whose runs leave a row for whatever they do. `PAWL_TEST_KILL`, such as `record answered:20`, kills it when it comes to that
 * point for the 20th time.
 */

import pg from "pg";
import {
  type App,
  defineApp,
  defineProcess,
  flow,
  on,
  type StepContext,
  type TxContext,
} from "../../src/index.ts";
import { asWorker } from "./as-worker.ts";

/** Of the statements that move a run on: sent and not answered yet, and answered. */
const STATEMENTS = {
  load: "load_runs_v1",
  record: "record_steps_v1",
  item: "record_items_v1",
  "record in a transaction": "record_in_transaction_v1",
  commit: "commit",
  turn: "turn_v1",
  route: "route_v1",
} as const;
type Statement = keyof typeof STATEMENTS;
export type ProcessKill = `${Statement} ${"sent" | "answered"}` | "in a call" | "in a transaction";
export const PROCESS_KILLS: readonly ProcessKill[] = [
  "load sent",
  "load answered",
  "record sent",
  "record answered",
  "item sent",
  "item answered",
  "record in a transaction sent",
  "record in a transaction answered",
  "commit sent",
  "commit answered",
  "turn sent",
  "turn answered",
  "route sent",
  "route answered",
  "in a call",
  "in a transaction",
];
export const PROCESS_TABLES = [
  "create table effect (run bigint not null, step text not null, key text not null, pid int not null)",
];

const EFFECT = "insert into effect values ($1, $2, $3, $4)";

const [killAt, killTimes] = (process.env.PAWL_TEST_KILL ?? "").split(":");
let times = 0;
let hasRun = false;

function reached(point: ProcessKill): void {
  if (point !== killAt) return;
  times += 1;
  if (times === Number(killTimes)) process.kill(process.pid, "SIGKILL");
}

function statementOf(text: string | undefined): Statement | undefined {
  const found = Object.entries(STATEMENTS).find(([, name]) =>
    name === "commit" ? text === name : text?.includes(name),
  );
  return found?.[0] as Statement | undefined;
}

function killAtStatement(): void {
  const query = Reflect.get(pg.Client.prototype, "query") as (...args: unknown[]) => unknown;
  const wrapped = function (this: pg.Client, ...args: unknown[]) {
    const [given] = args as [string | { text?: string }];
    const statement = hasRun
      ? statementOf(typeof given === "string" ? given : given?.text)
      : undefined;
    if (statement === undefined) return Reflect.apply(query, this, args);
    const heard = args.at(-1) as (error: Error | null, result: unknown) => void;
    const answered = (error: Error | null, result: unknown) => {
      reached(`${statement} answered`);
      heard(error, result);
    };
    const answer: unknown = Reflect.apply(query, this, [...args.slice(0, -1), answered]);
    reached(`${statement} sent`);
    return answer;
  };
  Object.assign(pg.Client.prototype, { query: wrapped });
}

/** A Standard Schema that takes anything. */
const anything = {
  "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) },
} as const;

/** Each call writes on a connection of its own, as the world outside would. */
let world: pg.Pool | undefined;

type Named = Pick<StepContext, "runId" | "step" | "idempotencyKey">;

async function outside({ runId, step, idempotencyKey }: Named): Promise<number> {
  world ??= new pg.Pool({ connectionString: process.env.PAWL_TEST_WORKER_URL, max: 2 });
  hasRun = true;
  await world.query(EFFECT, [runId, step, idempotencyKey, process.pid]);
  reached("in a call");
  return process.pid;
}

/** The same through the step's own transaction. */
async function inside({ tx, runId, step, idempotencyKey }: TxContext): Promise<void> {
  hasRun = true;
  await tx.query(EFFECT, [runId, step, idempotencyKey, process.pid]);
  reached("in a transaction");
}

const retry = { attempts: 1_000, delay: "1ms", factor: 1 } as const;

export const partProcess = defineProcess({
  name: "part",
  version: 1,
  input: anything,
  retry,
  steps: (s) =>
    s.tx("part", async (context) => {
      await inside(context as TxContext);
      return { part: true };
    }),
});

export const killedProcess = defineProcess({
  name: "killed",
  version: 1,
  input: anything,
  retry,
  steps: (s) =>
    s
      .tx("reserve", async (context) => {
        await inside(context as TxContext);
        return { reserved: true };
      })
      .call("pay", (context) => outside(context as StepContext))
      .sleep("rest", "20ms")
      .send("notify", {
        request: ({ runId }) => ({
          method: "POST",
          url: `${process.env.PAWL_TEST_RECEIVER}/${runId}`,
          body: runId,
        }),
      })
      .send("tell", {
        event: ({ runId }) => ({ name: "run.told", aggregate: ["run", runId], payload: null }),
      })
      .child("part", { process: partProcess, input: () => ({}) })
      .call("once", (context) => outside(context as StepContext), { ifInterrupted: "hold" })
      .each("items", {
        items: () => [1, 2, 3],
        concurrency: 2,
        run: (_, context) => outside(context),
      })
      .wait("approved")
      .tx("ship", async (context) => {
        await inside(context as TxContext);
        return { ...context.outputs };
      }),
});

export const processApp: App = defineApp({
  processes: [killedProcess, partProcess],
  http: { allow: ["127.0.0.1"] },
  destinations: {
    told: flow(async ({ aggregateId }, { tx, deliveryId }) => {
      await tx.query(EFFECT, [aggregateId, "told", deliveryId, process.pid]);
    }),
  },
  routes: [on("run.told").to("told")],
});

if (killAt !== "") killAtStatement();
await asWorker(processApp, () => undefined);
