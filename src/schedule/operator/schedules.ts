/** What `pawl.schedules` offers. */

import type { TurnedOff, TurnedOn, TurnOff } from "../../kernel/operator/switches/switches.ts";
import type { ActOptions, Desk } from "../../operate/verb.ts";
import type { AnyProcess } from "../../process/define-process.ts";
import type { AnyJob } from "../../queue/job.ts";
import type { ScheduleTimes } from "../define-schedule.ts";
import type {
  BackfilledDue,
  ScheduleRow,
  ScheduleRunRow,
  ScheduleStatus,
  StartedSchedule,
} from "../sql.ts";
import type { PreviewedDue } from "./preview.ts";
import type { WhySchedule } from "./why.ts";

export interface ShownSchedule {
  schedule: ScheduleRow;
  /** Why it does or does not fire, as `why` says it. */
  line: string;
  /** The next due times. */
  next: PreviewedDue[];
  /** What became of the latest ones. */
  runs: ScheduleRunRow[];
}

/** What the app of the client or of the command line defines: without a config, nothing. */
export interface ScheduleProvided {
  startable: { jobs: readonly AnyJob[]; processes: readonly AnyProcess[] };
}

export interface ScheduleDesk extends Desk, ScheduleProvided {
  maxPayloadBytes: number;
}

/** As in `defineSchedule`. */
export interface EditSchedule extends ScheduleTimes {
  /** Of the job or process. */
  input?: unknown;
}

/** What it starts, by the name under which some app's code defines it: one of `job`, `process` and `command`. */
export interface AddSchedule extends EditSchedule {
  job?: string;
  process?: string;
  command?: string;
  /** One of the command's parameters. */
  param?: string;
}

/** `pawl.schedules`. */
export interface Schedules {
  /** Returns schedules in the order of their names, a maximum of `limit` (default 50). `target`: those that start this job, process or command. @throws PawlError `unknown_kind` */
  list(filter?: {
    status?: ScheduleStatus;
    target?: string;
    limit?: number;
  }): Promise<ScheduleRow[]>;
  /** Returns one schedule with its next due times and its latest runs, or undefined if there is none. */
  show(name: string): Promise<ShownSchedule | undefined>;
  /** Returns why a schedule does or does not fire. @throws PawlError `schedule_not_found` */
  why(name: string): Promise<WhySchedule>;
  /** Returns the next due times (default 10) of a schedule. @throws PawlError `schedule_not_found` */
  preview(name: string, options?: { count?: number }): Promise<PreviewedDue[]>;
  /**
   * Starts its task now, beside its due times. While its last task lives this is refused, unless `beside` says otherwise.
   * @throws PawlError `schedule_not_found`, `invalid_option`
   */
  run(name: string, options?: ActOptions & { beside?: boolean }): Promise<StartedSchedule>;
  /**
   * Adds a schedule of an operator.
   * @throws PawlError `invalid_option`, `unknown_kind`, `duplicate_name`
   */
  add(name: string, options: AddSchedule & ActOptions): Promise<ScheduleRow>;
  /** Changes a schedule of an operator; what is not given stays. @throws PawlError `schedule_not_found`, `owned_by_code`, `invalid_option` */
  edit(name: string, options?: EditSchedule & ActOptions): Promise<ScheduleRow>;
  /** Removes a schedule of an operator, or one that no code defines any more. @throws PawlError `schedule_not_found`, `owned_by_code` */
  remove(name: string, options?: ActOptions): Promise<void>;
  /**
   * Starts the tasks of due times that have passed and were not started, from `from` to `to`, a maximum of 1,000.
   * @throws PawlError `schedule_not_found`, `invalid_option`
   */
  backfill(
    name: string,
    options: ActOptions & { from: Date; to: Date; dryRun?: boolean },
  ): Promise<BackfilledDue[]>;
  /** Pauses a schedule: when this resolves, no worker fires it. Due times that come meanwhile are missed. */
  pause(name: string, options?: TurnOff): Promise<TurnedOff>;
  resume(name: string, options?: ActOptions): Promise<TurnedOn>;
}
