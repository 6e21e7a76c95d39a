/** One run of a command in this process: start → run → end, under its lock the whole time. */

import { hostname } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { backoffMs } from "../base/backoff.ts";
import { type ErrorJson, errorToJson } from "../base/error-json.ts";
import { PawlError } from "../base/errors.ts";
import { following } from "../base/in-time.ts";
import type { Logger } from "../base/log.ts";
import { messageOf } from "../base/thrown.ts";
import { NamedLease } from "../kernel/named-lease/named-lease.ts";
import type { Calling } from "../operate/verb.ts";
import type { WritesFor } from "../process/writes.ts";
import { isTransient, translateDatabaseError } from "../store/sqlstate.ts";
import type { Store } from "../store/store.ts";
import { inForeignTransaction } from "../store/transaction.ts";
import type { CommandContext } from "./context.ts";
import { type Command, commandKey } from "./define-command.ts";
import { RunProgress } from "./progress.ts";
import { refusalOf } from "./refusal.ts";
import {
  type CommandEnd,
  endCommand,
  type Said,
  type StartedCommand,
  startCommand,
} from "./sql.ts";

/** How soon a run hears that an operator has released its lock. */
const RENEW_MS = 3_000;
const END_AGAIN_MS = { baseMs: 100, maxMs: 2_000 };

export interface RanCommand {
  /** Of the run. */
  id: string;
  /** `name`, or `name:param`. */
  key: string;
  durationMs: number;
}

export interface RunOptions {
  store: Store;
  /** The pool for the function's own transactions. Default: `store`. */
  transactionPool?: Store;
  writes: WritesFor;
  log: Logger;
  command: Command;
  param: string | number | undefined;
  act: Calling;
  /** Resolves when the process is asked to stop. */
  stop: Promise<void>;
  /** The task that asked for it. */
  task?: string;
}

interface Attempt {
  outcome: CommandEnd;
  thrown?: unknown;
}

/** @throws PawlError `command_running`, `command_locked`, `command_off`, `command_quiet`, `command_failed`, `named_lease_lost` */
export async function runCommand(options: RunOptions): Promise<RanCommand> {
  const { store, command, param, act, log } = options;
  const key = commandKey(command.name, param);
  const askedAt = performance.now();
  const started = await startCommand(store, {
    name: command.name,
    param: param === undefined ? null : String(param),
    onCrash: command.onCrash,
    host: hostname(),
    pid: process.pid,
    by: act.by,
    why: act.why,
    action: act.action,
    task: options.task,
  });
  if (started.refusal !== null) throw refusalOf(key, started);
  const lease = NamedLease.taken(store, started.epoch, {
    name: `command:${key}`,
    lengthMs: started.leaseMs,
    everyMs: Math.min(RENEW_MS, started.leaseMs / 4),
    askedAt,
    log,
  });
  const startedAt = performance.now();
  const progress = new RunProgress(store, started.runId, lease, log);
  const attempt = await attemptOf(options, { key, lease, progress });
  const durationMs = Math.round(performance.now() - startedAt);
  await Promise.all([lease.stopRenewing(), progress.stop()]);
  await ended({ ...options, key, lease, said: progress.said }, started.runId, attempt);
  if (attempt.outcome === "done") return { id: started.runId, key, durationMs };
  throw failed(key, started, attempt);
}

/** Never rejects. The function is called before anything is awaited: the first renewal says that it has begun. */
async function attemptOf(
  { command, param, stop, log, ...tools }: RunOptions,
  { key, lease, progress }: { key: string; lease: NamedLease; progress: RunProgress },
): Promise<Attempt> {
  const over = new AbortController();
  let isStopped = false;
  const stopped = () => {
    isStopped = true;
    over.abort(new PawlError("worker_stopping", `command "${key}": this process is stopping`));
  };
  const forget = hearing(stop, stopped);
  const { timeoutMs } = command;
  const timedOut = () => over.abort(timeoutError(key, timeoutMs ?? 0));
  const timer = timeoutMs === null ? undefined : setTimeout(timedOut, timeoutMs);
  try {
    lease.requireLive(); // the answer may have come late
    await following([over.signal, lease.signal, progress.lost], async (signal) => {
      const context: CommandContext = {
        param,
        signal,
        log,
        progress: (value) => progress.say(value, key),
        epoch: lease.epoch,
        transaction: transactionsOf(tools, lease, key),
      };
      progress.start();
      await command.run(context as CommandContext<never>);
    });
    return { outcome: "done" };
  } catch (thrown) {
    const outcome = isStopped ? "stopped" : "failed";
    return { outcome, thrown: over.signal.aborted ? (over.signal.reason as unknown) : thrown };
  } finally {
    clearTimeout(timer);
    forget();
  }
}

/** What was written under a lock that is no longer ours is rolled back; while the lock is checked and until the commit, nobody else takes it. */
function transactionsOf(
  {
    store,
    transactionPool = store,
    writes,
  }: Pick<RunOptions, "store" | "transactionPool" | "writes">,
  lease: NamedLease,
  key: string,
): CommandContext["transaction"] {
  const writesOf = writes(`command "${key}"`);
  return async (work) => {
    lease.requireLive();
    return transactionPool.transaction(async (tx) => {
      const result = await work(tx, writesOf(tx));
      await inForeignTransaction(tx, store.render, async (executor) => {
        await lease.hold(executor);
        return true;
      });
      return result;
    });
  };
}

/** `stop` may live as long as the process: nothing of a run that has ended stays on it. */
function hearing(stop: Promise<void>, act: () => void): () => void {
  let heard: (() => void) | undefined = act;
  const tell = () => heard?.();
  stop.then(tell, tell).catch(() => undefined);
  return () => {
    heard = undefined;
  };
}

/** Again while the database cannot be reached, as long as the lock is ours. */
async function ended(
  {
    store,
    key,
    lease,
    said,
    log,
  }: { store: Store; key: string; lease: NamedLease; said: Said; log: Logger },
  run: string,
  { outcome, thrown }: Attempt,
): Promise<void> {
  const error: ErrorJson | null = outcome === "done" ? null : errorToJson(thrown);
  for (let tries = 1; ; tries += 1) {
    try {
      return await endCommand(store, run, { outcome, error, said });
    } catch (failure) {
      const why = translateDatabaseError(failure);
      if (why.code === "named_lease_lost") throw lost(key, outcome, why);
      if (!isTransient(why) || !lease.isLive) throw why;
      log.warn({ command: key, err: messageOf(why) }, "recording the end of a command failed");
      await wait(backoffMs(tries, END_AGAIN_MS));
    }
  }
}

function lost(key: string, outcome: CommandEnd, cause: PawlError): PawlError {
  return new PawlError(
    "named_lease_lost",
    `command "${key}": its function has ended (${outcome}), but its lock was lost before: ${cause.message}`,
    { cause, data: { command: key, outcome } },
  );
}

function timeoutError(key: string, timeoutMs: number): PawlError {
  return new PawlError(
    "handler_timeout",
    `command "${key}": not done within its timeout of ${timeoutMs} ms`,
  );
}

function failed(
  key: string,
  { runId }: StartedCommand & { refusal: null },
  { outcome, thrown }: Attempt,
): PawlError {
  const why = messageOf(thrown).replace(`command "${key}": `, "");
  return new PawlError("command_failed", `command "${key}": ${outcome}: ${why}`, {
    cause: thrown,
    data: { command: key, runId, outcome },
  });
}
