/** What `pawl.processes` offers. */

import type { TurnedOff, TurnedOn, TurnOff } from "../../kernel/operator/switches/switches.ts";
import type { ActOptions } from "../../operate/verb.ts";
import type { HistoryRow, RunRow, RunStatus, VersionRow } from "../list/sql.ts";

export interface ListRuns {
  /** The process's name. */
  process?: string;
  status?: RunStatus;
  key?: string;
  /** Those of one lane. */
  lane?: string;
  /** Texts of columns that the process declares: `"order=7"`, or several. */
  where?: string | readonly string[];
  /** Maximum number of runs, up to 10,000; default 50. */
  limit?: number;
}

export interface ShownRun {
  run: RunRow;
  /** What was given to it beside its input. */
  meta: Record<string, unknown> | null;
  /** Oldest first. */
  steps: HistoryRow[];
  /** Its text shows what was sent, too. */
  hasPayloads?: boolean;
}

export interface ChangedRun {
  id: string;
  /** The step at which the run goes on, or that was ended; null if it is where the run stood. */
  step: string | null;
}

export interface AbandonedRun {
  id: string;
  /** `requested`: a step runs now, and the run ends after it. `ended`: before, and only its children were looked at. `planned`: of a dry run. */
  outcome: "abandoned" | "requested" | "ended" | "planned";
  /** With `children`: the runs below it that are ended too, the oldest first. */
  children?: string[];
}

export interface AbandonRun {
  /** Also the living runs that its steps have started, and those that they have started, up to 10,000. */
  children?: boolean;
  /** Says what would happen, and changes nothing. */
  dryRun?: boolean;
}

export interface HeldRun {
  id: string;
  /** `requested`: a step runs now, and the run is held after it. */
  outcome: "held" | "requested";
}

export type OpenStatus = "error" | "retry" | "held" | "waiting" | "sleeping" | "pending";

/** In which a run can be held. */
export type HoldableStatus = "running" | "retry" | "waiting" | "sleeping" | "pending";

/** Which runs are meant. */
export interface ManyRuns extends ActOptions {
  /** The process's name. */
  process?: string;
  /** The step at which they stand. */
  at?: string;
  /** Maximum number of runs to look at, the newest first; default and maximum 10,000. */
  limit?: number;
  /** Says what would happen, and changes nothing. */
  dryRun?: boolean;
}

export interface ChangedRuns {
  dryRun: boolean;
  count: number;
  /** Oldest first. */
  ids: string[];
  /** Runs that were found and stay as they are. */
  left: { id: string; why: string }[];
}

export interface WorkedRun {
  run: RunRow;
  /** What was recorded of it meanwhile, oldest first. */
  steps: HistoryRow[];
}

export interface MigratedRun {
  id: string;
  /** Where it stood; null: at its end. */
  step: string | null;
  /**
   * `planned`: of a dry run. Others are left as they are: a step of it runs now (`running`), it has gone on meanwhile (`moved`), or the
   * definition's function left it, failed, or returned what does not fit (`refused`).
   */
  outcome: "migrated" | "planned" | "running" | "moved" | "refused";
  /** The step with which it goes on. */
  to: string | null;
  /** Why it is left as it is. */
  reason: string | null;
}

export interface Migration {
  process: string;
  from: number;
  to: number;
  isDryRun: boolean;
  /** How many are migrated, or would be. */
  count: number;
  /** All runs that were looked at, by their ids. */
  runs: MigratedRun[];
}

export interface MigrateRuns {
  /** The version that the runs have. */
  from: number;
  /** The version that they get. Default: the newest that the app defines. */
  to?: number;
  /** Maximum number of runs. Default: all. */
  limit?: number;
  /** Computes everything, and writes nothing. */
  dryRun?: boolean;
}

export interface Processes {
  /** Lists runs, the newest first. @throws PawlError `unknown_kind` for a process that nobody has defined */
  list(options?: ListRuns): Promise<RunRow[]>;
  /** Returns a run with its steps; undefined if there is none. */
  show(
    id: string | number | bigint,
    options?: { payloads?: boolean },
  ): Promise<ShownRun | undefined>;
  /** Lists the versions of processes, with their numbers of runs. @throws PawlError `unknown_kind` */
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
  /**
   * Holds a run before its next step, until `release`. What it waits for meanwhile is kept. @throws PawlError `task_not_found` if it has
   * ended, is in error, or is held
   */
  hold(id: string | number | bigint, options?: ActOptions): Promise<HeldRun>;
  /** Lets a held run go on. @throws PawlError `task_not_found`, `invalid_option` if it is not held */
  release(id: string | number | bigint, options?: ActOptions): Promise<ChangedRun>;
  /**
   * Turns `process:<name>` off: when this resolves, no worker starts a run of it, or a further step of one. @throws PawlError
   * `unknown_kind`
   */
  pause(name: string, options?: TurnOff): Promise<TurnedOff>;
  /** Turns `process:<name>` on. @throws PawlError `unknown_kind` */
  resume(name: string, options?: ActOptions): Promise<TurnedOn>;
  /** Runs all runs in error again, or those of another status. @throws PawlError `unknown_kind`, `invalid_option` */
  restartAll(options?: ManyRuns & { status?: OpenStatus; step?: string }): Promise<ChangedRuns>;
  /** Holds all live runs, or those of one status. @throws PawlError `unknown_kind` */
  holdAll(options?: ManyRuns & { status?: HoldableStatus }): Promise<ChangedRuns>;
  /** Leaves out the step `at` of all runs in error there, or of another status. @throws PawlError `unknown_kind` */
  skipAll(options: ManyRuns & { at: string; status?: OpenStatus }): Promise<ChangedRuns>;
  /** Lets all held runs go on. @throws PawlError `unknown_kind` */
  releaseAll(options?: ManyRuns): Promise<ChangedRuns>;
  /** Ends all runs in error, or those of another status, for good. @throws PawlError `unknown_kind` */
  abandonAll(options?: ManyRuns & { status?: OpenStatus }): Promise<ChangedRuns>;
  /**
   * Works on a run now, in this process, due or not: until it ends, waits, sleeps, is held, or a step fails. Its status tells.
   * @throws PawlError `task_not_found`, `unknown_kind` if this app does not define its version, `run_not_worked`
   */
  work(id: string | number | bigint, options?: ActOptions): Promise<WorkedRun>;
  /**
   * Moves runs that have not ended to another version, as `migrate` of its definition says. Each is moved whole, or left and told.
   * @throws PawlError `invalid_option` for a process or version that the app does not define
   */
  migrate(process: string, options: ActOptions & MigrateRuns): Promise<Migration>;
  /** Ends a run for good, with `children` also what it has started. @throws PawlError `task_not_found` */
  abandon(id: string | number | bigint, options?: ActOptions & AbandonRun): Promise<AbandonedRun>;
  /** Sends a signal. @throws PawlError `task_not_found`, `invalid_option` */
  signal(
    id: string | number | bigint,
    name: string,
    options?: ActOptions & { payload?: unknown },
  ): Promise<{ id: string }>;
}
