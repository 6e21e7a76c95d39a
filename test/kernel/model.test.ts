/**
 * The kernel against a model of it: random runs of everything that workers, callers and people can do.
 * `PAWL_TEST_SEED` chooses other runs, `PAWL_TEST_RUNS` how many; a failure prints its seed and the shortest run that fails.
 */

import { test } from "vitest";
import { freshStore } from "../support/database.ts";
import { Kernel } from "../support/model/kernel.ts";
import { checkRuns } from "../support/model/runs.ts";

const SEED = Number(process.env.PAWL_TEST_SEED ?? 20_310_303);
const RUNS = Number(process.env.PAWL_TEST_RUNS ?? 40);
/** Shrinking included. */
const TIMEOUT_MS = 900_000 + RUNS * 5_000;

test("whatever workers, callers and people do: no task is lost, run out of its order, started while off, or settled late", {
  timeout: TIMEOUT_MS,
}, async () => {
  const kernel = await Kernel.on(await freshStore());
  await checkRuns(kernel, { seed: SEED, runs: RUNS });
});
