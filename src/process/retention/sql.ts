/** Statements of what is no longer kept of runs. */

import type { Executor } from "../../store/executor.ts";

const RUNS_AT_ONCE = 1_000;

interface PrunedRuns {
  /** The last run that was looked at; null when none was left. */
  last: string | null;
  steps: number;
  sent: number;
  results: number;
}

/** One batch: of the runs after this one. */
export async function pruneRuns(
  executor: Executor,
  { after, limit = RUNS_AT_ONCE, isDryRun }: { after: string; limit?: number; isDryRun: boolean },
): Promise<PrunedRuns> {
  const [row] = await executor.rows<Record<keyof PrunedRuns, string | null>>(
    "select last::text, steps, sent, results from pawl.prune_runs_v1($1, $2, $3)",
    [after, limit, isDryRun],
  );
  const { last = null, steps, sent, results } = row ?? {};
  return { last, steps: Number(steps), sent: Number(sent), results: Number(results) };
}
