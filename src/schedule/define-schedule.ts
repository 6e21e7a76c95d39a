/** A schedule starts a job, a process or a command again and again: by a cron expression, or every so often. */

import { DURATION_MS_MAX, type Duration, durationMs } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { type Command, isCommand } from "../control/define-command.ts";
import {
  type Field,
  type FieldsOf,
  field,
  named,
  readOptions,
  required,
  withDefault,
} from "../options/field.ts";
import { choice, duration, flag, lowerName, text, time } from "../options/kinds.ts";
import { anything, object } from "../options/parts.ts";
import type { AnyProcess, ProcessInput } from "../process/define-process.ts";
import { isProcess } from "../process/step.ts";
import { priority } from "../queue/enqueue.ts";
import type { AnyJob, JobInput } from "../queue/job.ts";
import type { Missed } from "./missed.ts";
import { checkTiming, type Timing } from "./timing.ts";

const EVERY_MS_MIN = 1_000;
const JITTER_MS_MAX = 86_400_000;

/** What becomes of due times that nobody could fire: while all workers were stopped, or the schedule was paused. */
export type MissedPolicy = "skip" | "last" | { all: Duration };
/** What becomes of a due time that comes while the last task has not ended. */
export type OverlapPolicy = "skip" | "queue" | "all" | "cancel";

/** When a schedule is due, and what becomes of due times that come late or while its last task lives. */
export interface ScheduleTimes {
  /** "minute hour day month weekday", with seconds before it if wanted: `30 6 * * 1-5`. Or `@daily` and the like. */
  cron?: string;
  /** The zone of `cron`, such as `Europe/Prague`; default `UTC`. */
  timeZone?: string;
  /** Instead of `cron`: so often, from 1 s up. */
  every?: Duration;
  /** The moment from which `every` counts; default 1970-01-01T00:00:00Z, so that `1h` is due at every full hour. */
  from?: Date;
  /** Each due time is fired up to this much later, each by another time, so that not all start at once. Default: 0. */
  jitter?: Duration;
  /**
   * What becomes of missed due times. `last`: the last of them is fired. `skip`: none is. `{ all: "1d" }`: all that are not older.
   * A due time was missed when it is found more than a minute late. Default `last`.
   */
  missed?: MissedPolicy;
  /**
   * What becomes of a due time while the last task lives. `skip`: nothing. `queue`: it waits for its end; of several the last.
   * `all`: it starts beside it. `cancel`: the last task is cancelled, and it starts when that has ended. Default `skip`.
   */
  overlap?: OverlapPolicy;
}

interface ScheduleOptions extends ScheduleTimes {
  /** Must be unique in the app. Lower-case letters, digits, `_`, `.` and `-`. */
  name: string;
  /** False: it is known, and never due. Default true. */
  enabled?: boolean;
  /** Priority of its tasks, 0 (first) to 3; default 1. */
  priority?: number;
  /** Stored with each task: trace, tenant … */
  meta?: Record<string, unknown>;
}

type Input<Value> = undefined extends Value ? { input?: Value } : { input: Value };

/** Starts a job. */
export type JobSchedule<J extends AnyJob> = ScheduleOptions & { job: J } & Input<JobInput<J>>;
/** Starts a run of a process. */
export type ProcessSchedule<P extends AnyProcess> = ScheduleOptions & { process: P } & Input<
    ProcessInput<P>
  >;

/** Asks a worker to run a command, for one of its parameters if it has some. */
export type CommandSchedule = ScheduleOptions & { command: Command; param?: string | number };

interface AnyOptions extends ScheduleOptions {
  job?: AnyJob;
  process?: AnyProcess;
  command?: Command;
  param?: string | number;
  input?: unknown;
}

export interface Schedule {
  readonly name: string;
  readonly timing: Timing;
  readonly jitterMs: number;
  readonly missed: Missed;
  readonly overlap: OverlapPolicy;
  readonly isEnabled: boolean;
  readonly starts:
    | { readonly job: AnyJob }
    | { readonly process: AnyProcess }
    | { readonly command: Command; readonly param: string | null };
  readonly input: unknown;
  readonly priority: number | null;
  readonly meta: Readonly<Record<string, unknown>> | null;
}

export const scheduleName: Field<string> = lowerName();

const missedPolicy: Field<MissedPolicy, Missed> = field<MissedPolicy, Missed>({
  kind: "missed",
  help: "what becomes of missed due times: skip, last, or all:<duration>",
  shape: "policy",
  expected: `skip, last, or all: with a duration, such as all:1d`,
  inCode: '"skip", "last", or { all: a duration such as "1d" }',
  read: missedOf,
  fromText: (typed) => (typed.startsWith("all:") ? { all: typed.slice(4) } : typed),
});

function missedOf(given: unknown): Missed | undefined {
  if (given === "skip" || given === "last") return { policy: given };
  if (typeof given !== "object" || given === null) return undefined;
  const { all, ...others } = given as { all?: Duration };
  if (all === undefined || Object.keys(others).length > 0) return undefined;
  try {
    const withinMs = durationMs(all, "all");
    return withinMs > 0 ? { policy: "all", withinMs } : undefined;
  } catch {
    return undefined;
  }
}

/** What code and operators give alike. */
export const TIMES: {
  readonly cron: Field<string>;
  readonly timeZone: Field<string>;
  readonly every: Field<Duration, number>;
  readonly from: Field<Date>;
  readonly jitter: Field<Duration, number>;
  readonly missed: Field<MissedPolicy, Missed>;
  readonly overlap: Field<OverlapPolicy>;
} = {
  cron: text('"minute hour day month weekday", with seconds before it if wanted', "cron"),
  timeZone: text("the zone of the cron expression; default UTC", "zone"),
  every: duration({
    help: "instead of a cron expression: so often",
    minMs: EVERY_MS_MIN,
    maxMs: DURATION_MS_MAX,
  }),
  from: time("the moment from which `every` counts"),
  jitter: duration({ help: "fire each due time up to so much later", maxMs: JITTER_MS_MAX }),
  missed: missedPolicy,
  overlap: choice(
    ["skip", "queue", "all", "cancel"],
    "what becomes of a due time while the last task lives: skip, queue, all or cancel",
    "policy",
  ),
};

const FIELDS = {
  ...TIMES,
  name: required(scheduleName),
  missed: withDefault("last", TIMES.missed),
  overlap: withDefault("skip", TIMES.overlap),
  enabled: withDefault(true, flag("false: it is never due")),
  priority,
  meta: object<Record<string, unknown>>("stored with each task"),
  job: anything<AnyJob>("a job of the app"),
  process: anything<AnyProcess>("a process of the app"),
  command: anything<Command>("a command of the app"),
  param: anything<string | number>("one of the command's parameters"),
  input: anything<unknown>("what the task gets"),
} satisfies FieldsOf<AnyOptions>;

/**
 * Defines a schedule. Each due time starts one task, with `context.meta.schedule` saying which: `{ name, dueAt }`.
 *
 * @throws PawlError `invalid_option`
 */
export function defineSchedule<J extends AnyJob>(options: JobSchedule<J>): Schedule;
export function defineSchedule<P extends AnyProcess>(options: ProcessSchedule<P>): Schedule;
export function defineSchedule(options: CommandSchedule): Schedule;
export function defineSchedule(options: AnyOptions): Schedule {
  const where = named("defineSchedule", "schedule", options);
  const read = readOptions(where, FIELDS, options);
  const timing = timingOf(where, read);
  checkTiming(where, timing);
  return Object.freeze({
    name: read.name,
    timing,
    jitterMs: read.jitter ?? 0,
    missed: read.missed,
    overlap: read.overlap,
    isEnabled: read.enabled,
    starts: startsOf(where, read),
    input: options.input,
    priority: read.priority ?? null,
    meta: read.meta ?? null,
  });
}

/** @throws PawlError `invalid_option` */
export function timingOf(
  where: string,
  {
    cron,
    timeZone,
    every,
    from,
  }: {
    cron?: string | undefined;
    timeZone?: string | undefined;
    every?: number | undefined;
    from?: Date | undefined;
  },
): Timing {
  if ((cron === undefined) === (every === undefined))
    throw refused(where, "expected either `cron` or `every`, one of them");
  if (cron !== undefined && from !== undefined)
    throw refused(where, "`from` is for `every`; a cron expression has no beginning");
  if (every !== undefined && timeZone !== undefined)
    throw refused(where, "`timeZone` is for `cron`; `every` is the same in all zones");
  return every === undefined
    ? { cron: (cron ?? "").trim(), timeZone: timeZone ?? "UTC" }
    : { everyMs: every, from: from ?? new Date(0) };
}

type Started = {
  [K in "job" | "process" | "command" | "param" | "input"]?: AnyOptions[K] | undefined;
};

function startsOf(where: string, given: Started): Schedule["starts"] {
  const { job, process, command } = given;
  if ([job, process, command].filter((one) => one !== undefined).length !== 1)
    throw refused(where, "expected either `job`, `process` or `command`, one of them");
  if (command !== undefined) return commandOf(where, command, given);
  if (given.param !== undefined)
    throw refused(where, "`param` is for `command`; a job and a process get an `input`");
  if (process !== undefined) {
    if (isProcess(process)) return { process };
    throw refused(
      where,
      `expected \`process\` to be made by defineProcess(...), got ${shown(process)}`,
    );
  }
  if (typeof job?.run === "function" && typeof job.name === "string") return { job };
  throw refused(where, `expected \`job\` to be made by defineJob(...), got ${shown(job)}`);
}

function commandOf(where: string, command: Command, { param, input }: Started): Schedule["starts"] {
  if (!isCommand(command))
    throw refused(
      where,
      `expected \`command\` to be made by defineCommand(...), got ${shown(command)}`,
    );
  if (input !== undefined)
    throw refused(where, "`input` is for a job or a process; a command gets a `param`");
  const known = command.params.map(String);
  if (param === undefined && known.length === 0) return { command, param: null };
  if (param !== undefined && known.includes(String(param)))
    return { command, param: String(param) };
  const wanted =
    known.length === 0 ? "left out: the command has none" : `one of ${known.join(", ")}`;
  throw refused(where, `expected \`param\` to be ${wanted}, got ${shown(param)}`);
}

function refused(where: string, message: string): PawlError {
  return new PawlError("invalid_option", `${where}: ${message}`);
}

/** Also one that another copy of the package has made. */
export function isSchedule(given: unknown): given is Schedule {
  const { name, timing, starts } = (given ?? {}) as Partial<Record<keyof Schedule, unknown>>;
  return typeof name === "string" && typeof timing === "object" && typeof starts === "object";
}
