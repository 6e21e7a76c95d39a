/** A worker process whose handlers write down when they start, in a file of the process: no network is in between. */

import { appendFileSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type App, defineApp, defineJob } from "../../src/index.ts";
import { asWorker } from "./as-worker.ts";

const anything: StandardSchemaV1<object> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: value as object }) },
};
const fileOf = (pid: number) => join(os.tmpdir(), `pawl-starts-${pid}`);

export const stampJob = defineJob({
  name: "stamp",
  input: anything,
  run: async () => {
    appendFileSync(fileOf(process.pid), `${Date.now()}\n`);
    await pause(20);
  },
});

export const stampApp: App = defineApp({ jobs: [stampJob] });

export interface Start {
  pid: number;
  at: number;
}

/** The starts of these processes so far. */
export async function startsOf(pids: readonly number[]): Promise<Start[]> {
  const all = await Promise.all(
    pids.map(async (pid) => {
      const text = await readFile(fileOf(pid), "utf8").catch(() => "");
      return text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => ({ pid, at: Number(line) }));
    }),
  );
  return all.flat();
}

export async function removeStarts(pids: readonly number[]): Promise<void> {
  await Promise.all(pids.map((pid) => rm(fileOf(pid), { force: true })));
}

await asWorker(stampApp, () => undefined);
