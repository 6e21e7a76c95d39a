import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

/** More than any lease. */
const FROZEN_MS = 60_000;

afterEach(() => {
  vi.restoreAllMocks();
});

test("R103a: a process that freezes beyond its lease between two starts of one claim starts no more of it; the others run once it has registered again", async () => {
  const { url } = await freshDatabase();
  const now = performance.now.bind(performance);
  let frozenMs = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now() + frozenMs);
  const started: number[] = [];
  let startedAtOnce = 0;
  const job = defineJob({
    name: "job",
    input: z.object({ n: z.number() }),
    run: ({ n }) => {
      started.push(n);
      if (frozenMs > 0) return;
      frozenMs = FROZEN_MS;
      setImmediate(() => {
        startedAtOnce = started.length;
      });
    },
  });
  const pawl = await connect(defineApp({ name: "late", jobs: [job] }), {
    databaseUrl: url,
    log: silentLogger,
  });
  onTestFinished(() => pawl.close());
  await pawl.enqueueMany(job, [{ n: 1 }, { n: 2 }, { n: 3 }]);
  await pawl.work({ concurrency: 3 });
  await until("all have run", () => new Set(started).size === 3);
  expect(startedAtOnce).toBe(1);
});
