/** Statements of commands. The work is in the functions of `src/control/sql`. */

import type { ErrorJson } from "../base/error-json.ts";
import type { OffSwitch, QuietWindow } from "../kernel/operator/held-text.ts";
import { ownFields, ownJson, results } from "../operate/results.ts";
import type { Act } from "../operate/sql.ts";
import { type Executor, LOOP_MS } from "../store/executor.ts";
import type { OnCrash } from "./define-command.ts";

export interface CommandRow {
  name: string;
  title: string;
  params: readonly string[];
  expected_ms: number | null;
  timeout_ms: number | null;
  on_crash: OnCrash;
}

export async function writeCommands(
  executor: Executor,
  definitions: { application: string; revision: number; commands: readonly CommandRow[] },
): Promise<void> {
  await executor.rows("select pawl.register_commands_v1($1)", [JSON.stringify(definitions)]);
}

/** Who runs a command, or has left its lock. */
export interface CommandHolder {
  runId: string;
  host: string;
  pid: number;
  by: string;
  since: Date;
  /** The task that asked for it; null: it was started in its own process. */
  taskId: string | null;
}

export type StartedCommand =
  | { refusal: null; runId: string; epoch: string; leaseMs: number }
  | { refusal: "running" | "locked"; holder: CommandHolder | null }
  | { refusal: "off"; off: OffSwitch[] }
  | { refusal: "quiet"; quiet: QuietWindow[] };

export interface StartCommand extends Act {
  action: string;
  name: string;
  param: string | null;
  onCrash: OnCrash;
  host: string;
  pid: number;
  /** The task that asked for it. */
  task: string | undefined;
}

export async function startCommand(
  executor: Executor,
  { name, param, onCrash, host, pid, by, why, action, task }: StartCommand,
): Promise<StartedCommand> {
  const [row] = await executor.rows<{
    run_id: string;
    epoch: string;
    lease_ms: number;
    refusal: "running" | "locked" | "off" | "quiet" | null;
    detail: object | null;
  }>(
    `select run_id::text, epoch::text, lease_ms, refusal, detail
       from pawl.start_command_v1($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [name, param, onCrash, host, pid, by, why ?? null, action, task ?? null],
  );
  if (row === undefined) throw new Error(`command "${name}": starting it answered no row`);
  const { refusal, detail } = row;
  if (refusal === "off") return { refusal, off: ownJson(detail) as OffSwitch[] };
  if (refusal === "quiet") return { refusal, quiet: ownJson(detail) as QuietWindow[] };
  if (refusal !== null) return { refusal, holder: ownJson(detail) as CommandHolder | null };
  return { refusal, runId: row.run_id, epoch: row.epoch, leaseMs: row.lease_ms };
}

/** A run that a worker is asked for. */
export interface AskedCommand {
  /** Of the task. */
  id: string;
  /** `duplicate`: it was asked for before, and has not ended. */
  outcome: "created" | "duplicate";
}

/** In the caller's transaction. @throws PawlError `command_not_found` */
export async function askForCommand(
  executor: Executor,
  { name, param, by, why, action }: Act & { name: string; param: string | null; action: string },
): Promise<AskedCommand> {
  const [row] = await executor.rows<{ id: string; outcome: AskedCommand["outcome"] }>(
    "select id, outcome from pawl.start_command_task_v1($1, $2, $3, $4, $5)",
    [name, param, by, why ?? null, action],
  );
  if (row === undefined) throw new Error(`command "${name}": asking for it answered no row`);
  return row;
}

/** How far a run is. */
export interface Said {
  progress: string | null;
  fraction: number | null;
}

export async function writeProgress(executor: Executor, run: string, said: Said): Promise<void> {
  await executor.rows(
    "select pawl.progress_command_v1($1, $2, $3)",
    [run, said.progress, said.fraction],
    LOOP_MS,
  );
}

export type CommandEnd = "done" | "failed" | "stopped";

/** @throws PawlError `named_lease_lost` */
export async function endCommand(
  executor: Executor,
  run: string,
  { outcome, error, said }: { outcome: CommandEnd; error: ErrorJson | null; said: Said },
): Promise<void> {
  await executor.rows(
    "select pawl.end_command_v1($1, $2, $3, $4, $5)",
    [run, outcome, error === null ? null : JSON.stringify(error), said.progress, said.fraction],
    LOOP_MS,
  );
}

/** One run in lists. */
export interface ListedRun {
  id: string;
  host: string;
  pid: number;
  by: string;
  startedAt: Date;
  endedAt: Date | null;
  outcome: CommandOutcome;
  durationMs: number;
  progress: string | null;
  /** From 0 to 1. */
  fraction: number | null;
  /** Of one that has not ended: when it was last heard of. */
  heardAt: Date | null;
}

/**
 * `working`: it runs. `locked`: its process died, and its lock is held until an operator releases it. `lost`: its process died.
 * `released`: an operator took its lock away. `stopped`: its process was asked to stop, and it ended with an error.
 */
export type CommandOutcome = "working" | "locked" | "lost" | "released" | CommandEnd;

/** `waiting`: a worker was asked to run it, and none has taken it yet. */
export type CommandStatus =
  | "working"
  | "locked"
  | "disabled"
  | "quiet"
  | "waiting"
  | "failing"
  | "idle";

/** A command, or one of its parameters. */
export interface ListedCommand {
  /** `name`, or `name:param`. */
  key: string;
  name: string;
  param: string | null;
  title: string;
  application: string;
  /** `disabled` and `locked`: nothing works. One that works while a switch holds it is `working`, with the switch in `off`. */
  status: CommandStatus;
  /** What works now, or has left its lock. */
  run: ListedRun | null;
  /** The latest of the other runs. */
  last: ListedRun | null;
  /** The latest three, newest first. */
  errors: { at: Date; message: string | null }[];
  /** As defined, or else as measured; null: not known yet. */
  expectedMs: number | null;
  isExpectedMeasured: boolean;
  /** What works takes longer than it should. */
  isOverrun: boolean;
  /** The switches that hold it everywhere. */
  off: OffSwitch[];
  /** The hosts on which a file or `PAWL_OFF` holds it. */
  offHosts: string[];
  /** The quiet hours that hold it now, or that a run could last into. */
  quiet: QuietWindow[];
  /** The task by which a worker was asked to run it, until one does. */
  asked: { id: string; by: string; since: Date } | null;
}

export interface Here {
  host: string;
  off: readonly string[];
}

export async function listCommands(
  executor: Executor,
  { host, off }: Here,
): Promise<ListedCommand[]> {
  const rows = await results<ListedCommand>(
    executor,
    "select * from pawl.commands_v1($1, $2) order by key",
    [host, off],
  );
  return rows.map((row) => ({
    ...row,
    expectedMs: row.expectedMs === null ? null : Number(row.expectedMs),
    ...(ownFields(
      {
        run: row.run,
        last: row.last,
        errors: row.errors,
        off: row.off,
        quiet: row.quiet,
        asked: row.asked,
      },
      ownJson,
    ) as Pick<ListedCommand, "run" | "last" | "errors" | "off" | "quiet" | "asked">),
  }));
}

/** What runs apart: commands, or each of their parameters. */
export function commandKeys(executor: Executor): Promise<{ name: string; key: string }[]> {
  return executor.rows("select name, key from pawl.command_keys_v1()");
}

/** The commands, and the keys of those with parameters. */
export async function commandNames(executor: Executor): Promise<string[]> {
  const rows = await commandKeys(executor);
  return [...new Set(rows.flatMap(({ name, key }) => [name, key]))];
}

export interface CommandRunRow extends Omit<ListedRun, "heardAt"> {
  key: string;
  why: string | null;
  error: ErrorJson | null;
}

export async function commandRuns(
  executor: Executor,
  { command, limit }: { command: string | undefined; limit: number },
): Promise<CommandRunRow[]> {
  const rows = await results<CommandRunRow>(
    executor,
    "select * from pawl.command_runs_v1($1, $2)",
    [command ?? null, limit],
  );
  return rows.map((row) => ({ ...row, durationMs: Number(row.durationMs) }));
}

/** A lock that a run has, or has left. */
export interface LockRow {
  key: string;
  /** `lost`: free for the next start. */
  state: "working" | "locked" | "lost";
  host: string;
  pid: number;
  by: string;
  since: Date;
  heardAt: Date | null;
  epoch: string;
  onCrash: OnCrash;
  runId: string;
}

export async function locks(executor: Executor): Promise<LockRow[]> {
  const rows = await results<LockRow>(executor, "select * from pawl.locks_v1()");
  return rows.map((row) => ({ ...row, epoch: String(row.epoch) }));
}

export interface ReleasedLock {
  key: string;
  /** What it was. `working`: its process may still run, and what it does under the lock counts no more. */
  state: LockRow["state"];
  host: string;
  pid: number;
  since: Date;
}

/** @throws PawlError `lock_not_found` */
export async function releaseLock(
  executor: Executor,
  { key, by, why, action }: Act & { key: string; action: string },
): Promise<ReleasedLock> {
  const [row] = await results<Omit<ReleasedLock, "key">>(
    executor,
    "select * from pawl.release_lock_v1($1, $2, $3, $4)",
    [key, by, why ?? null, action],
  );
  if (row === undefined) throw new Error(`lock "${key}": releasing it answered no row`);
  return { key, ...row };
}

/** Questions of the watch. */
export const ARE_CHANGED_LOCKDOWNS = "pawl.are_changed_lockdowns_v1()";
export const ARE_UNTOLD_LOCKS = "pawl.are_untold_locks_v1()";

/** @returns the keys whose locks were told of now */
export async function tellStaleLocks(executor: Executor): Promise<string[]> {
  const rows = await executor.rows<{ key: string }>(
    "select t as key from pawl.tell_stale_locks_v1() t",
    [],
    LOOP_MS,
  );
  return rows.map((row) => row.key);
}

/** Everything is off: on a host, or, where `host` is empty, for the whole fleet. */
export interface Lockdown {
  host: string;
  off_by: string | null;
  why: string | null;
}

/** @returns those that were told of now */
export function tellLockdowns(executor: Executor): Promise<Lockdown[]> {
  return executor.rows("select host, off_by, why from pawl.tell_lockdowns_v1()", [], LOOP_MS);
}

/** The key that a task is to run; undefined: it is no live task of a command. */
export async function commandOfTask(executor: Executor, id: string): Promise<string | undefined> {
  const [row] = await executor.rows<{ key: string | null }>(
    "select pawl.command_of_task_v1($1) as key",
    [id],
  );
  return row?.key ?? undefined;
}
