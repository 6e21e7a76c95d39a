/**
 * Runs that a worker was asked for. The task ends with what became of the start: a refused one is never tried again, because it would be a
 * second run. What holds the command for a while is waited for.
 */

import { TIMER_MS_MAX } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Groups } from "../base/scope.ts";
import { isA } from "../base/thrown.ts";
import type { OffSwitch, QuietWindow } from "../kernel/operator/held-text.ts";
import type { RetrySeries } from "../kernel/retry.ts";
import type { HandlerContext, TaskHandler } from "../kernel/task.ts";
import { Advance, Snooze, Unrecoverable } from "../kernel/thrown.ts";
import type { WritesFor } from "../process/writes.ts";
import type { Store } from "../store/store.ts";
import { type Command, commandKey } from "./define-command.ts";
import { COMMANDS_QUEUE } from "./definition.ts";
import { refuseOffHere } from "./off-here.ts";
import { type RanCommand, runCommand } from "./run.ts";
import type { CommandHolder } from "./sql.ts";

/** A command that failed, or whose worker died, is not run again by itself. */
export const TASK_RETRY: RetrySeries = {
  attempts: 1,
  delays_ms: [1_000],
  jitter: 0,
  until_ms: null,
};

/** How soon what holds a command is looked at again, at the latest. Whoever lifts it wakes the task; the look only makes sure. */
const HELD_MS = 600_000;
/** The same where an end is known: this machine's clock may be behind the database's. */
const ENDS_MS = 60_000;
/** The same for a file on this host, of which the database hears nothing. */
const HELD_HERE_MS = 1_000;
/** An earlier attempt of the same task is ending. */
const ENDING_MS = 2_000;

interface Tools {
  store: Store;
  transactionPool: Store;
  writes: WritesFor;
  groups: Groups;
  log: Logger;
}

/** The result of the task. */
type Ended =
  | ({ outcome: "done" } & RanCommand)
  | { outcome: "refused"; key: string; code: string; reason: string };

export function commandHandler(command: Command, tools: Tools): TaskHandler {
  return {
    queue: COMMANDS_QUEUE,
    kind: command.name,
    version: 1,
    timeoutMs: TIMER_MS_MAX, // its own timeout counts
    run: (payload, context) => runTask(command, payload as Asked, { ...tools, context }),
  };
}

interface Asked {
  param: string | null;
  by: string;
  why: string | null;
}

/**
 * What asks a worker to run a command, as JSON text; `pawl.start_command_task_v1` writes the same. While a task of the same key lives, no other
 * one is put.
 */
export function commandTask(command: string, param: string | null, by: string): string {
  const payload: Asked = { param, by, why: null };
  const key = commandKey(command, param ?? undefined);
  return JSON.stringify({ kind: command, queue: COMMANDS_QUEUE, key, payload });
}

async function runTask(
  command: Command,
  { param: given, by, why }: Asked,
  { context, ...tools }: Tools & { context: HandlerContext },
): Promise<Ended> {
  const param = paramOf(command, given);
  const key = commandKey(command.name, param);
  try {
    await refuseOffHere(command.name, key, tools.groups);
    if (!context.mayGoOn()) throw new Snooze(0);
    const act = { by, ...(why !== null && { why }), action: "commands.run" };
    const calling = { ...act, where: act.action, label: (option: string) => option };
    const { taskId: task, signal } = context;
    const ran = await runCommand({
      ...tools,
      command,
      param,
      act: calling,
      stop: aborted(signal),
      task,
    });
    return { outcome: "done", ...ran };
  } catch (thrown) {
    return refused(key, thrown, context);
  }
}

function paramOf({ name, params }: Command, given: string | null): string | number | undefined {
  if (given === null && params.length === 0) return undefined;
  const found = params.find((one) => String(one) === given);
  if (found !== undefined) return found;
  throw new Unrecoverable(
    `command "${name}": its code has no parameter ${shown(given)} any more; deploy the same version to all workers`,
  );
}

/** @throws what the kernel is to make of it, unless the start was refused for good */
function refused(key: string, thrown: unknown, { taskId }: HandlerContext): Ended {
  if (!isA(thrown, PawlError)) throw thrown;
  const { code, message, data } = thrown;
  if (code === "command_off" || code === "command_quiet") throw new Advance(heldMs(data));
  if (code !== "command_running" && code !== "command_locked") throw thrown;
  const holder = (data as { holder?: CommandHolder | null } | undefined)?.holder ?? null;
  if (code === "command_running" && holder?.taskId === taskId) throw new Snooze(ENDING_MS);
  return { outcome: "refused", key, code, reason: message };
}

/** Until the first of them ends by itself. */
function heldMs(data: unknown): number {
  const { host, off = [], quiet = [] } = (data ?? {}) as Held;
  const ends = [...off, ...quiet].flatMap(({ until }) => (until === null ? [] : until.getTime()));
  if (host !== undefined) return HELD_HERE_MS;
  const firstMs = Math.min(...ends) - Date.now();
  return Math.min(Math.max(firstMs, HELD_HERE_MS), ends.length === 0 ? HELD_MS : ENDS_MS);
}

/** What a refusal says in its data: the host that holds it, or what does everywhere. */
interface Held {
  host?: string;
  off?: readonly OffSwitch[];
  quiet?: readonly QuietWindow[];
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve());
  });
}
