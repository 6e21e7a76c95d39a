/** Every statement of schedules: one function each, named by its verb. */

import { scopeText } from "../base/scope.ts";
import { kinds } from "../kernel/operator/sql.ts";
import { offHere } from "../kernel/operator/switches/sql.ts";
import { ownJson, results } from "../operate/results.ts";
import type { Act } from "../operate/sql.ts";
import type { Executor, PreparedExecutor } from "../store/executor.ts";

export interface ScheduleDefinition {
  name: string;
  cron: string | null;
  every_ms: number | null;
  origin: Date | null;
  time_zone: string | null;
  jitter_ms: number;
  starts: string;
  target: string;
  /** Already JSON: what the kernel gets. */
  task: unknown;
  missed: string;
  missed_ms: number | null;
  overlap: string;
  is_enabled: boolean;
  next_at: Date | null;
  fire_at: Date | null;
}

export async function registerSchedules(
  executor: Executor,
  owner: { application: string; revision: number },
  schedules: readonly string[],
): Promise<void> {
  const { application, revision } = owner;
  const head = JSON.stringify({ application, revision }).slice(0, -1);
  await executor.rows("select pawl.register_schedules_v1($1)", [
    `${head},"schedules":[${schedules.join(",")}]}`,
  ]);
}

export async function scheduleClock(executor: Executor): Promise<Date> {
  const [row] = await executor.rows<{ now: Date }>("select pawl.schedule_clock_v1() as now");
  return row?.now ?? new Date();
}

/** `$1`: the scopes that are off on this host. True if something is to be done within 2 seconds. */
export const IS_SCHEDULE_DUE = "pawl.is_schedule_due_v1($1)";

export interface SeenSchedule {
  id: number;
  name: string;
  version: number;
  cron: string | null;
  every_ms: number | null;
  origin_ms: number | null;
  time_zone: string | null;
  jitter_ms: number;
  missed: "skip" | "last" | "all";
  missed_ms: number | null;
  next_ms: number | null;
  fire_ms: number | null;
  cancel: number | null;
}

export interface Look {
  seenAt: Date;
  /** Until the next one; null: none is near. */
  waitMs: number | null;
  schedules: SeenSchedule[];
}

export async function lookAtSchedules(
  executor: PreparedExecutor,
  limit: number,
  offHere: readonly string[],
): Promise<Look> {
  const [row] = await executor.prepared<{
    seen_ms: number;
    wait_ms: number | null;
    schedules: SeenSchedule[];
  }>("select seen_ms, wait_ms, schedules from pawl.look_at_schedules_v1($1, $2)", [limit, offHere]);
  return row === undefined
    ? { seenAt: new Date(), waitMs: null, schedules: [] }
    : { seenAt: new Date(Math.floor(row.seen_ms)), waitMs: row.wait_ms, schedules: row.schedules };
}

export interface Firing {
  id: number;
  version: number;
  next_at: Date | null;
  dues: Date[];
  missed: number;
  missed_since: Date | null;
  missed_at: Date | null;
  then_at: Date | null;
  then_fire_at: Date | null;
}

export interface Fired {
  name: string;
  /** As PostgreSQL writes it. */
  due_at: string | null;
  outcome: "started" | "duplicate" | "overlap" | "failed" | "busy";
  task_id: string | null;
  error: string | null;
}

export function fireSchedules(
  executor: PreparedExecutor,
  firings: readonly Firing[],
  offHere: readonly string[],
): Promise<Fired[]> {
  return executor.prepared(
    "select name, due_at, outcome, task_id::text as task_id, error from pawl.fire_schedules_v1($1, $2)",
    [JSON.stringify(firings), offHere],
  );
}

/** Leaves out what somebody holds, and schedules whose last task is another one. */
export function cancelScheduled(
  executor: PreparedExecutor,
  schedules: readonly number[],
  tasks: readonly number[],
): Promise<{ schedule_id: number; error: string | null }[]> {
  return executor.prepared("select schedule_id, error from pawl.cancel_scheduled_v1($1, $2)", [
    schedules,
    tasks,
  ]);
}

export const SCHEDULE_STATUSES = ["on", "off", "quiet", "disabled", "undefined", "over"] as const;
export type ScheduleStatus = (typeof SCHEDULE_STATUSES)[number];

/** A switch, with its scope; or quiet hours, with their name. */
export interface ScheduleHold {
  scope?: string;
  name?: string;
  by?: string;
  why?: string | null;
  since?: Date;
  beginsAt?: Date;
  until?: Date | null;
}

export interface ScheduleRow {
  name: string;
  status: ScheduleStatus;
  cron: string | null;
  everyMs: number | null;
  origin: Date | null;
  timeZone: string | null;
  jitterMs: number;
  starts: "job" | "process" | "command";
  target: string;
  missed: "skip" | "last" | "all";
  missedMs: number | null;
  overlap: "skip" | "queue" | "all" | "cancel";
  /** null: an operator made it. */
  application: string | null;
  definedAt: Date;
  /** The next due time. */
  nextAt: Date | null;
  /** When it is fired: later than the due time by its jitter. */
  fireAt: Date | null;
  /** A due time that waits until the last task has ended. */
  waitingAt: Date | null;
  /** The last due time that was started. */
  lastAt: Date | null;
  lastOutcome: ScheduleRunRow["outcome"] | null;
  lastError: string | null;
  lastTask: string | null;
  lastState: string | null;
  off: ScheduleHold[];
  quiet: ScheduleHold[];
  /** Hosts whose workers do not fire it, because of a file or `PAWL_OFF` there. */
  offHosts: string[];
}

export interface ScheduleFilter {
  /** One of them. */
  name?: string | undefined;
  status?: ScheduleStatus | undefined;
  /** What they start: a job, a process or a command with all of its parameters. */
  target?: string | undefined;
  limit: number;
}

/** What a schedule could start: jobs, processes, and commands with and without their parameter; and what one starts. */
export async function targets(executor: Executor): Promise<string[]> {
  const rows = await executor.rows<{ target: string }>(
    `select k.key as target from pawl.command_keys_v1() k union select k.name from pawl.command_keys_v1() k
      union select s.target from pawl.schedules_v1(null, null, null, null) s`,
  );
  const defined = (await kinds(executor)).map((row) => row.kind);
  return [...new Set([...defined, ...rows.map((row) => row.target)])];
}

/** In the order of their names. */
export async function scheduleRows(
  executor: Executor,
  { name, status, target, limit }: ScheduleFilter,
): Promise<ScheduleRow[]> {
  const rows = await results<ScheduleRow & { lastTask: number | string | null }>(
    executor,
    `select name, status, cron, every_ms, origin, time_zone, jitter_ms, starts, target, missed, missed_ms, overlap, application, defined_at,
            next_at, fire_at, waiting_at, last_at, last_outcome, last_error, last_task::text as last_task, last_state, off, quiet
       from pawl.schedules_v1($1, $2, $3, $4)`,
    [name ?? null, status ?? null, target ?? null, limit],
  );
  const hosts = await offHere(executor);
  return rows.map((row) => ({
    ...row,
    offHosts: hosts.flatMap(({ host, scopes }) =>
      scopes.includes("all") || scopes.includes(scopeText({ kind: "schedule", name: row.name }))
        ? host
        : [],
    ),
    everyMs: row.everyMs === null ? null : Number(row.everyMs),
    jitterMs: Number(row.jitterMs),
    missedMs: row.missedMs === null ? null : Number(row.missedMs),
    off: ownJson(row.off) as ScheduleHold[],
    quiet: ownJson(row.quiet) as ScheduleHold[],
  }));
}

export interface ScheduleRunRow {
  dueAt: Date;
  outcome: "started" | "duplicate" | "overlap" | "missed" | "failed";
  taskId: string | null;
  taskState: string | null;
  /** The first of several due times in a row that ended alike. */
  since: Date | null;
  /** How many they are. */
  amount: number;
  error: string | null;
  /** Who started it; null: the schedule. */
  by: string | null;
  at: Date;
}

/** The latest first. */
export function scheduleRuns(
  executor: Executor,
  name: string,
  limit: number,
): Promise<ScheduleRunRow[]> {
  return results(
    executor,
    "select due_at, outcome, task_id, task_state, since, amount, error, by, at from pawl.schedule_runs_v1($1, $2)",
    [name, limit],
  );
}

export interface StartedSchedule {
  dueAt: Date;
  outcome: "started" | "duplicate";
  taskId: string;
}

/** @throws PawlError `schedule_not_found`, `invalid_option` while its last task lives */
export async function runSchedule(
  executor: Executor,
  { name, isBeside }: { name: string; isBeside: boolean },
  { by, why, action }: Act,
): Promise<StartedSchedule[]> {
  return results(
    executor,
    "select due_at, outcome, task_id from pawl.run_schedule_v1($1, $2, $3, $4, $5)",
    [name, isBeside, by, why ?? null, action ?? "schedules.run"],
  );
}

/** `schedule` is JSON text. @throws PawlError `unknown_kind`, `duplicate_name`, `owned_by_code`, `schedule_not_found` */
export async function putSchedule(
  executor: Executor,
  schedule: string,
  isNew: boolean,
  { by, why, action }: Act,
): Promise<void> {
  await executor.rows("select pawl.put_schedule_v1($1, $2, $3, $4, $5)", [
    schedule,
    isNew,
    by,
    why ?? null,
    action,
  ]);
}

/** @throws PawlError `owned_by_code`, `schedule_not_found` */
export async function removeSchedule(
  executor: Executor,
  name: string,
  { by, why, action }: Act,
): Promise<void> {
  await executor.rows("select pawl.remove_schedule_v1($1, $2, $3, $4)", [
    name,
    by,
    why ?? null,
    action,
  ]);
}

export interface BackfilledDue {
  dueAt: Date;
  /** `already`: it was started before. */
  outcome: "started" | "duplicate" | "already";
  /** null: with a dry run, or for one that was started before. */
  taskId: string | null;
}

/** In order. */
export async function backfillSchedule(
  executor: Executor,
  { name, dues, isDry }: { name: string; dues: readonly Date[]; isDry: boolean },
  { by, why, action }: Act,
): Promise<BackfilledDue[]> {
  const rows = await results<BackfilledDue>(
    executor,
    "select due_at, outcome, task_id from pawl.backfill_schedule_v1($1, $2::timestamptz[], $3, $4, $5, $6)",
    [name, dues.map((due) => due.toISOString()), isDry, by, why ?? null, action],
  );
  return rows.sort((a, b) => a.dueAt.getTime() - b.dueAt.getTime());
}

/** True if a due time that nothing holds has come, or one that waited can start. */
export async function isScheduleLeft(
  executor: Executor,
  offHere: readonly string[],
): Promise<boolean> {
  const [row] = await executor.rows<{ is_left: boolean }>(
    "select pawl.is_schedule_left_v1($1) as is_left",
    [offHere],
  );
  return row?.is_left === true;
}

/** What each start of it gets, as JSON text. */
export async function scheduleTask(executor: Executor, name: string): Promise<string> {
  const [row] = await executor.rows<{ task: string }>(
    "select task::text as task from pawl.schedules_v1($1)",
    [name],
  );
  return row?.task ?? "{}";
}
