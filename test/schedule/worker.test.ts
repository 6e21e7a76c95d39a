/** Schedules with real workers and the real clock. */

import { expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, defineSchedule } from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

test("R66, R68: idle workers fire each due time once, and a scheduled task that fails is tried again", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const attempts = new Map<string, number[]>();
  const job = defineJob({
    name: "tick",
    input: z.object({}),
    retry: { attempts: 2, delay: 1 },
    run: (_input, { meta, attempt }) => {
      const { dueAt } = meta.schedule as { dueAt: string };
      attempts.set(dueAt, [...(attempts.get(dueAt) ?? []), attempt]);
      if (attempt === 1) throw new Error("the first attempt fails");
    },
  });
  const schedule = defineSchedule({
    name: "ticks",
    every: "1s",
    job,
    input: {},
    overlap: "all",
    missed: { all: "1h" },
  });
  const app = defineApp({ jobs: [job], schedules: [schedule] });
  for (let n = 0; n < 2; n += 1) {
    const pawl = await connect(app, { databaseUrl: url, log: silentLogger, connections: 3 });
    atEnd(() => pawl.close());
    await pawl.work();
  }
  const ended = await until("three due times have been worked off", () => {
    const done = [...attempts].filter(([, tried]) => tried.length === 2);
    return done.length >= 3 && done;
  });
  for (const [dueAt, tried] of ended) {
    expect(tried).toEqual([1, 2]); // a due time that was fired twice would have been tried four times
    expect(Date.parse(dueAt) % 1_000).toBe(0);
  }
});

test("a schedule's input is typed by its job", () => {
  const job = defineJob({
    name: "typed",
    input: z.object({ n: z.number() }),
    run: () => undefined,
  });
  const times = { name: "typed", cron: "@daily" } as const;
  // @ts-expect-error a text is no number
  defineSchedule({ ...times, job, input: { n: "1" } });
  // @ts-expect-error the job needs an input
  defineSchedule({ ...times, job });
  const none = defineJob({ name: "none", input: z.undefined(), run: () => undefined });
  expect(defineSchedule({ ...times, job: none }).name).toBe("typed");
});

test.each([
  ["neither cron nor every", {}, /either `cron` or `every`/],
  ["both", { cron: "@daily", every: "1h" }, /either `cron` or `every`/],
  ["a zone for every", { every: "1h", timeZone: "UTC" }, /`timeZone` is for `cron`/],
  ["an origin for cron", { cron: "@daily", from: new Date() }, /`from` is for `every`/],
  ["too often", { every: "100ms" }, /from 1s/],
  ["a wrong policy", { cron: "@daily", missed: { all: "soon" } }, /"skip", "last"/],
  ["a wrong overlap", { cron: "@daily", overlap: "quueue" }, /did you mean "queue"/],
  ["a wrong option", { cron: "@daily", timezone: "UTC" }, /timeZone/],
  ["nothing to start", { cron: "@daily", job: undefined }, /either `job`, `process` or `command`/],
])("a schedule with %s is refused", (_what, more, reason) => {
  const job = defineJob({ name: "odd", input: z.object({}), run: () => undefined });
  expect(() => defineSchedule({ name: "odd", job, input: {}, ...more } as never)).toThrow(reason);
});
