/** What `pawl.processes` offers. */

import type { ActOptions } from "../../operate/verb.ts";
import type { HistoryRow, RunRow, RunStatus, VersionRow } from "../sql.ts";

export interface ListRuns {
  /** The process's name. */
  process?: string;
  status?: RunStatus;
  key?: string;
  /** Maximum number of runs, up to 10,000; default 50. */
  limit?: number;
}

export interface ShownRun {
  run: RunRow;
  /** Oldest first. */
  steps: HistoryRow[];
}

export interface ChangedRun {
  id: string;
  /** The step at which the run goes on, or that was ended; null if it is where the run stood. */
  step: string | null;
}

export interface AbandonedRun {
  id: string;
  /** `requested`: a step runs now, and the run ends after it. */
  outcome: "abandoned" | "requested";
}

export interface Processes {
  /** Lists runs, the newest first. */
  list(options?: ListRuns): Promise<RunRow[]>;
  /** Returns a run with its steps; undefined if there is none. */
  show(id: string | number | bigint): Promise<ShownRun | undefined>;
  /** Lists the versions of processes, with their numbers of runs. */
  versions(process?: string): Promise<VersionRow[]>;
  /**
   * Runs it again, with fresh attempts, at the step where it stands or at an earlier one.
   * @throws PawlError `task_not_found`, `task_running`, `invalid_option` for an unknown step
   */
  restart(
    id: string | number | bigint,
    options?: ActOptions & { step?: string },
  ): Promise<ChangedRun>;
  /**
   * Leaves out the step where it stands. Its output is undefined.
   * @throws PawlError `task_not_found`, `task_running`, `invalid_option` if it does not stand at this step
   */
  skip(id: string | number | bigint, step: string, options?: ActOptions): Promise<ChangedRun>;
  /**
   * Takes the step where it stands for done, with this output.
   * @throws PawlError `task_not_found`, `task_running`, `invalid_option` if it does not stand at this step
   */
  complete(
    id: string | number | bigint,
    step: string,
    options?: ActOptions & { output?: unknown },
  ): Promise<ChangedRun>;
  /** Lets a held run go on. @throws PawlError `task_not_found`, `invalid_option` if it is not held */
  release(id: string | number | bigint, options?: ActOptions): Promise<ChangedRun>;
  /** Ends a run for good. @throws PawlError `task_not_found` */
  abandon(id: string | number | bigint, options?: ActOptions): Promise<AbandonedRun>;
  /** Sends a signal. @throws PawlError `task_not_found`, `invalid_option` */
  signal(
    id: string | number | bigint,
    name: string,
    options?: ActOptions & { payload?: unknown },
  ): Promise<{ id: string }>;
}
