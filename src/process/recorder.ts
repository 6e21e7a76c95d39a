/** What a worker's runs read and write, many of them in one statement each. */

import { backoffMs } from "../base/backoff.ts";
import { PawlError } from "../base/errors.ts";
import { gather } from "../base/gather.ts";
import type { Executor } from "../store/executor.ts";
import { translateDatabaseError } from "../store/sqlstate.ts";
import { type Loaded, loadRuns, recordSteps, type StepRecord } from "./sql.ts";

const BATCH = { most: 200, calls: 2 };
const AGAIN_MS = { baseMs: 50, maxMs: 2_000 };

/** Rows of one run: all are recorded, or none. */
export type Records = readonly [StepRecord, ...StepRecord[]];

export interface Recorder {
  /** @throws PawlError of the database */
  load(id: string): Promise<Loaded>;
  /**
   * Tries until the database answers, or `signal` aborts: what a step has done outside is done.
   * @throws PawlError `lease_lost` when the run is no longer this worker's, and nothing was recorded
   */
  record(records: Records, signal: AbortSignal): Promise<void>;
}

export function recorderOn(executor: Executor): Recorder {
  const load = gather((ids: string[]) => inParts(ids, (some) => loadRuns(executor, some)), BATCH);
  const write = gather((all: Records[]) => recordAll(executor, all), BATCH);
  return {
    load: async (id) => {
      const answer = await load(id);
      if (answer instanceof PawlError) throw answer;
      return answer;
    },
    record: async (records, signal) => {
      for (let tries = 1; ; tries += 1) {
        const answer = await write(records);
        if (answer === true) return;
        if (answer === false) throw lost(records[0]);
        if (answer.code !== "database_unreachable" || signal.aborted) throw answer;
        await new Promise((resolve) => setTimeout(resolve, backoffMs(tries, AGAIN_MS)));
      }
    },
  };
}

function lost({ fence, step }: StepRecord): PawlError {
  return new PawlError(
    "lease_lost",
    `run ${fence.id}: no longer this worker's, so nothing of step "${step}" was recorded`,
  );
}

/** Of one worker at a time: one that lost its lease has another number. */
function recordAll(executor: Executor, all: readonly Records[]): Promise<(boolean | PawlError)[]> {
  return inParts(all, async (some) => {
    const worker = some[0]?.[0].fence.worker;
    if (some.some(([{ fence }]) => fence.worker !== worker)) return undefined;
    return recordSteps(executor, some);
  });
}

/** Tries again in halves what the database refuses, or `send` cannot take together, so that one bad run does not fail the others. */
async function inParts<In, Out>(
  all: readonly In[],
  send: (some: readonly In[]) => Promise<Out[] | undefined>,
): Promise<(Out | PawlError)[]> {
  let failed: PawlError | undefined;
  try {
    const answers = await send(all);
    if (answers !== undefined) return answers;
  } catch (thrown) {
    failed = translateDatabaseError(thrown);
  }
  if (failed !== undefined && (all.length === 1 || failed.code !== "database_error"))
    return all.map(() => failed);
  const middle = Math.ceil(all.length / 2);
  const left = await inParts(all.slice(0, middle), send);
  return [...left, ...(await inParts(all.slice(middle), send))];
}
