/** A worker process for tests of schedules: some of each second, whose job does nothing. */

import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type App, defineApp, defineJob, defineSchedule } from "../../src/index.ts";
import { asWorker } from "./as-worker.ts";

const anything: StandardSchemaV1<object> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: value as object }) },
};

const tickJob = defineJob({ name: "tick", input: anything, run: () => undefined });

export const SCHEDULES = 20;

export const scheduleApp: App = defineApp({
  jobs: [tickJob],
  schedules: Array.from({ length: SCHEDULES }, (_, n) =>
    defineSchedule({
      name: `each-${n}`,
      ...(n % 2 === 0 ? { every: "1s" } : { cron: "* * * * * *", timeZone: "Europe/Prague" }),
      job: tickJob,
      input: {},
      overlap: "all",
      missed: { all: "1h" },
    }),
  ),
});

await asWorker(scheduleApp, () => undefined);
