/**
 * The kernel against a model of it: random runs of everything that workers, callers and people can do.
 * `PAWL_TEST_SEED` chooses other runs, `PAWL_TEST_RUNS` how many; a failure prints its seed and the shortest run that fails.
 */

import { test } from "vitest";
import { freshStore } from "../support/database.ts";
import { Kernel } from "../support/model/kernel.ts";
import { checkRuns } from "../support/model/runs.ts";

/** Its thousands of small steps take seconds on the server that the tests start, and many minutes on one that was given. */
const isGiven = (process.env.PAWL_TEST_DATABASE_URL ?? "") !== "";
if (isGiven)
  console.log("the model's runs are skipped: they take too long on a server that was given");
const SEED = Number(process.env.PAWL_TEST_SEED ?? 20_310_303);
const RUNS = Number(process.env.PAWL_TEST_RUNS ?? 40);
/** Shrinking included. */
const TIMEOUT_MS = 600_000 + RUNS * 5_000;

test.skipIf(isGiven)(
  "whatever workers, callers and people do: no task is lost, run out of its order, started while off, or settled late",
  {
    timeout: TIMEOUT_MS,
  },
  async () => {
    const kernel = await Kernel.on(await freshStore());
    await checkRuns(kernel, { seed: SEED, runs: RUNS });
  },
);
