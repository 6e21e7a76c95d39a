/** What `pawl.commands` and `pawl.locks` offer. */

import type { Logger } from "../../base/log.ts";
import type { ActOptions, Desk } from "../../operate/verb.ts";
import type { WritesFor } from "../../process/writes.ts";
import type { ControlApp } from "../definition.ts";
import type { RanCommand } from "../run.ts";
import type { AskedCommand, CommandRunRow, ListedCommand, LockRow, ReleasedLock } from "../sql.ts";

export interface CommandsDesk extends Desk {
  app: ControlApp | undefined;
  log: Logger;
  writes: WritesFor;
  /** Registers what the app defines, unless this process has. */
  registered: () => Promise<void>;
  /** Runs what has to end when `stop` resolves: the process, or the client, comes to its end. */
  stoppable: <T>(work: (stop: Promise<void>) => Promise<T>) => Promise<T>;
}

export interface RunCommand extends ActOptions {
  /** One of the command's `params`; required if it has any. */
  param?: string | number;
}

export interface AskedRun extends AskedCommand {
  /** `name`, or `name:param`. */
  key: string;
}

export interface ListCommands {
  /** On the command line: the exit code is 1 unless every command is disabled or locked. */
  stopped?: boolean;
}

export interface ListCommandRuns {
  /** A command, or one of its parameters as `name:param`. */
  command?: string;
  /** Maximum number of runs, up to 10,000; default 50. */
  limit?: number;
}

/** `pawl.commands`. */
export interface Commands {
  /** Returns every command that apps define, each parameter on its own, with its status. */
  list(options?: ListCommands): Promise<ListedCommand[]>;
  /** Returns runs, the latest first. Of each command and parameter the last 1,000 are kept. */
  runs(options?: ListCommandRuns): Promise<CommandRunRow[]>;
  /**
   * Runs a command of this app in this process, and returns when it has ended. It never runs twice at once.
   * @throws PawlError `command_not_found`, `command_running`, `command_locked`, `command_off`, `command_quiet`, `command_failed` with what was thrown as
   * `cause`, `named_lease_lost` if its lock was lost before it ended
   */
  run(name: string, options?: RunCommand): Promise<RanCommand>;
  /**
   * Asks a worker to run a command of any app. The task's result says what became of it.
   * @throws PawlError `command_not_found`
   */
  start(name: string, options?: RunCommand): Promise<AskedRun>;
}

/** `pawl.locks`. */
export interface Locks {
  /** Returns the locks of commands: of those that work, and of those whose process died. */
  list(): Promise<LockRow[]>;
  /**
   * Takes the lock of a command away: `name`, or `name:param`. If its process still runs, its signal aborts within seconds, and nothing that it
   * does under the lock counts.
   * @throws PawlError `lock_not_found`
   */
  release(key: string, options: ActOptions): Promise<ReleasedLock>;
}
