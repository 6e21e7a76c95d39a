/**
 * A worker process whose runs have many short steps. Each step writes down when its code begins, in a file of the process: no network is
 * in between.
 */

import { appendFileSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type App, defineApp, defineProcess } from "../../src/index.ts";
import { asWorker } from "./as-worker.ts";

/** Steps of a run: one goes over them again and again. */
export const ROUNDS_OF_RUN = 10;

/** A Standard Schema that takes anything. */
const anything = {
  "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) },
} as const;

const fileOf = (pid: number) => join(os.tmpdir(), `pawl-steps-${pid}`);

async function began(name: string, run: string, step: string): Promise<void> {
  appendFileSync(fileOf(process.pid), `${Date.now()} ${name} ${run} ${step}\n`);
  await pause(3);
}

const steppingProcess = (name: string) =>
  defineProcess({
    name,
    version: 1,
    input: anything,
    steps: (s) =>
      s
        .call("call", ({ runId }) => began(name, runId, "call"))
        .tx("tx", ({ runId }) => began(name, runId, "tx"))
        .call("careful", ({ runId }) => began(name, runId, "careful"), { ifInterrupted: "hold" })
        .tx("again", ({ data, merge, goto }) => {
          const round = Number((data as { round?: number }).round ?? 0) + 1;
          merge({ round });
          return round < ROUNDS_OF_RUN ? goto("call") : undefined;
        }),
  });

export const alphaProcess = steppingProcess("alpha");
export const betaProcess = steppingProcess("beta");

export const stepApp: App = defineApp({ processes: [alphaProcess, betaProcess] });

export interface StepStart {
  at: number;
  process: string;
  run: string;
  step: string;
}

/** What these processes have begun so far. */
export async function stepsOf(pids: readonly number[]): Promise<StepStart[]> {
  const all = await Promise.all(
    pids.map(async (pid) => {
      const text = await readFile(fileOf(pid), "utf8").catch(() => "");
      return text.split("\n").flatMap((line) => {
        const [at, process = "", run = "", step = ""] = line.split(" ");
        return step === "" ? [] : [{ at: Number(at), process, run, step }];
      });
    }),
  );
  return all.flat();
}

export async function removeSteps(pids: readonly number[]): Promise<void> {
  await Promise.all(pids.map((pid) => rm(fileOf(pid), { force: true })));
}

await asWorker(stepApp, () => undefined);
