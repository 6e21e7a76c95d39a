/** Each handler of the example against a real database, faults included: one attempt of one task, then what is in the tables. */

import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CRAWL } from "./cases-crawl.ts";
import { MAIL } from "./cases-mail.ts";
import { SALES } from "./cases-sales.ts";
import { expectEnd, type Stage, stage } from "./stage.ts";

const CASES = [...MAIL, ...SALES, ...CRAWL];

let on: Stage;
beforeAll(async () => {
  on = await stage();
});
beforeEach(() => on.clear());

describe.each(CASES.map(([job, cases]) => ({ name: job.name, job, cases })))(
  "R53: $name on a database",
  ({ job, cases }) => {
    test.each(
      cases.map(([name, input, expected, more = {}]) => ({ name, input, expected, ...more })),
    )("$name", async ({ input, expected, given, fault, after }) => {
      if (given !== undefined) await on.sql(given);
      if (fault !== undefined) on.world.fail(...fault);
      await expectEnd(on.kit.perform(job, input as never), expected);
      if (after !== undefined) expect(await on.sql(after[0])).toEqual(after[1]);
    });

    test("has its eight cases, and its message comes back from the database as it went in", async () => {
      expect(cases.length).toBeGreaterThanOrEqual(8);
      const [, input] = cases[0] ?? ["", {}];
      const { id } = await on.kit.pawl.enqueue(job, input as never, { delay: "1h" });
      const task = await on.kit.pawl.task(id);
      expect(task).toMatchObject({
        payload: input,
        kind: job.name,
        queue: job.queue,
        state: "scheduled",
      });
    });
  },
);

test("R53: messages go to the queues that messenger.yaml names", () => {
  const queues = new Map(CASES.map(([job]) => [job.name, job.queue]));
  expect(Object.fromEntries(queues)).toEqual({
    "send-email": "high",
    "process-ses-webhook": "high",
    "analyze-lead": "normal",
    "generate-proposal": "normal",
    "generate-offer": "normal",
    "sync-ares-data": "normal",
    "discover-leads": "low",
    "take-screenshot": "low",
    "calculate-benchmarks": "low",
  });
});
