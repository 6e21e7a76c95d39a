/**
 * A worker process for tests of order. Every try of a task is a row of `step`, begun and ended by the database's clock;
 * one that was killed has no end, and what a killed process had sent counts for nothing once its lease is over. Which
 * tries fail is said in the task itself.
 */

import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import {
  type App,
  defineApp,
  defineJob,
  type Pawl,
  type TaskContext,
  Unrecoverable,
} from "../../src/index.ts";
import { asWorker } from "./as-worker.ts";

export const STEP_TABLE =
  "create table step (no bigserial primary key, lane text, task bigint, attempt int, pid int, began timestamptz, ended timestamptz)";

const input = z.object({
  lane: z.string(),
  ms: z.number(),
  /** The first so many tries fail. */
  fails: z.number(),
  /** The try after them ends as a dead letter. */
  dies: z.boolean(),
});
export type LaneTask = z.infer<typeof input>;

/** The server may come late to what a process sent before it was killed. */
const isLive = (pid: string) =>
  `exists (select from pawl.worker where pid = ${pid} and ended_at is null and lease_until > pawl.now())`;
const RETRY = { attempts: 60, delays: ["1ms", "5ms", "20ms"], jitter: 0 };
let pawl: Pawl | undefined;

/** Answers the step and how many the task had before. */
async function began(lane: string, { taskId, attempt }: TaskContext) {
  const [row] =
    (await pawl?.store.rows<{ no: string; tries: number }>(
      `insert into step (lane, task, attempt, pid, began)
       select $1::text, $2::bigint, $3::int, $4::int, statement_timestamp() where ${isLive("$4")}
       returning no, (select count(*)::int from step s where s.task = $2) as tries`,
      [lane, taskId, attempt, process.pid],
    )) ?? [];
  if (row === undefined) throw new Error("the database returned no row");
  return row;
}

async function run({ lane, ms, fails, dies }: LaneTask, context: TaskContext): Promise<void> {
  const { no, tries } = await began(lane, context);
  try {
    await pause(ms, undefined, { signal: context.signal });
    if (tries < fails) throw new Error("not yet");
    if (dies && tries === fails) throw new Unrecoverable("a person must look at it");
  } finally {
    await pawl?.store.rows(
      `update step set ended = statement_timestamp() where no = $1 and ${isLive("$2")}`,
      [no, process.pid],
    );
  }
}

const job = (name: string, queue: string) =>
  defineJob({ name, queue, input, lane: ({ lane }) => lane, retry: RETRY, run });

export const strictJob = job("strict", "strict");
export const lenientJob = job("lenient", "lenient");

export const laneApp: App = defineApp({
  queues: { strict: { onDead: "block" }, lenient: { onDead: "skip" } },
  jobs: [strictJob, lenientJob],
});

await asWorker(
  laneApp,
  (connected) => {
    pawl = connected;
  },
  4,
);
