/**
 * Runs one claimed task: decode, deadline, handler, classify. Never throws and answers exactly once:
 * whatever a handler does after its end (a late rejection, a second answer) changes nothing.
 */

import { TIMER_MS_MAX } from "../base/duration.ts";
import { PawlError } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import type { Logger } from "../base/log.ts";
import { parseTime } from "../store/store.ts";
import type { Transaction } from "../store/transaction.ts";
import { expired, failure, type Outcome } from "./outcome.ts";
import type { ClaimedTask, TaskContext, TaskHandler } from "./task.ts";
import { TaskTransaction, type TaskTransactions } from "./task-transaction.ts";

const PROGRESS_BYTES_MAX = 16_384;

export interface Running {
  readonly task: ClaimedTask;
  /** Aborts the handler's signal; it may still end well. */
  cancel(reason: PawlError): void;
  /** The same, and its transaction comes to nothing. */
  abort(reason: PawlError): void;
}

export interface RunOptions {
  log: Logger;
  resultBytesMax: number;
  transactions: TaskTransactions;
  /** A handler said how far it is; `value` is JSON. */
  progressed: (task: ClaimedTask, value: string) => void;
  ended: (running: Running, outcome: Outcome) => void;
}

export function runTask(task: ClaimedTask, handler: TaskHandler, options: RunOptions): Running {
  const context = new Context(task, handler, options);
  let timer: NodeJS.Timeout | undefined;
  let hasEnded = false;
  const end = (outcome: Outcome) => {
    if (hasEnded) return;
    hasEnded = true;
    clearTimeout(timer);
    options.ended(running, outcome);
  };
  const running: Running = {
    task,
    cancel: (reason) => context.cancel(reason),
    abort: (reason) => context.abort(reason),
  };
  if (task.isExpired) {
    setImmediate(() => end(expired(task)));
    return running;
  }
  timer = setTimeout(
    () => {
      const error = timeoutError(task, handler);
      context.abort(error);
      end(failure(task, error));
    },
    Math.min(handler.timeoutMs, TIMER_MS_MAX),
  );
  const returned = () => clearTimeout(timer); // what is left is ours: the deadline is the handler's
  void handle(task, handler, context, options, returned).then(end);
  return running;
}

async function handle(
  task: ClaimedTask,
  handler: TaskHandler,
  context: Context,
  options: RunOptions,
  returned: () => void,
): Promise<Outcome> {
  try {
    const value = await handler.run(task.payload, context);
    const result = resultJson(value, task, handler, options);
    if (!context.isTransactional) {
      context.close();
      return { ok: true, task, result };
    }
    returned();
    await context.commit(result);
    return { ok: true, task, result, isSettled: true };
  } catch (thrown) {
    await context.rollback();
    return context.isCancelled
      ? { ...failure(task, thrown), kind: "cancelled" }
      : failure(task, thrown);
  }
}

/** A result that cannot be stored does not undo the work: it is left out, and says so. */
function resultJson(
  result: unknown,
  task: ClaimedTask,
  handler: TaskHandler,
  { log, resultBytesMax }: RunOptions,
): string | null {
  if (result === undefined) return null;
  const what = `result of task ${task.id} (${handler.kind})`;
  try {
    return toJson(result, {
      what,
      bytesMax: resultBytesMax,
      codes: { notJson: "result_not_json", tooLarge: "result_not_json" },
    });
  } catch (error) {
    const message = (error as Error).message;
    log.warn({ task: task.id, kind: handler.kind, err: message }, "a result was not stored");
    return JSON.stringify({ $notStored: message });
  }
}

function timeoutError(task: ClaimedTask, handler: TaskHandler): PawlError {
  return new PawlError(
    "handler_timeout",
    `task ${task.id} (${handler.kind}): did not end within ${handler.timeoutMs} ms (attempt ${task.attempt}); raise its timeout, or make the handler heed context.signal`,
    { data: { timeoutMs: handler.timeoutMs } },
  );
}

/** Made for every attempt, so the signal, the logger and the transaction are made only when a handler asks for them. */
class Context implements TaskContext {
  readonly #task: ClaimedTask;
  readonly #handler: TaskHandler;
  readonly #options: RunOptions;
  #controller: AbortController | undefined;
  #aborted: PawlError | undefined;
  #transaction: TaskTransaction | undefined;
  #isOver = false;

  constructor(task: ClaimedTask, handler: TaskHandler, options: RunOptions) {
    this.#task = task;
    this.#handler = handler;
    this.#options = options;
  }

  get taskId(): string {
    return this.#task.id;
  }
  get kind(): string {
    return this.#handler.kind;
  }
  get queue(): string {
    return this.#handler.queue;
  }
  get attempt(): number {
    return this.#task.attempt;
  }
  get idempotencyKey(): string {
    return `task-${this.#task.id}`;
  }
  get createdAt(): Date {
    return parseTime(this.#task.createdAt);
  }
  get meta(): Record<string, unknown> {
    return this.#task.meta ?? {};
  }
  get ref(): string | null {
    return this.#task.ref;
  }
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
    return this.#controller.signal;
  }
  get log(): Logger {
    const bound = { task: this.#task.id, kind: this.#handler.kind, attempt: this.#task.attempt };
    const at = (level: keyof Logger) => (data: object, message: string) =>
      this.#options.log[level]({ ...bound, ...data }, message);
    return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  }

  get tx(): Transaction {
    this.#transaction ??= new TaskTransaction(this.#task, this.#options.transactions);
    if (this.#isOver) this.#transaction.abandon();
    return this.#transaction.tx;
  }

  /** Bound: handlers take the context apart. */
  get progress(): (value: unknown) => void {
    return (value) => {
      const what = `progress of task ${this.#task.id} (${this.#handler.kind})`;
      this.#options.progressed(this.#task, toJson(value, { what, bytesMax: PROGRESS_BYTES_MAX }));
    };
  }

  get isTransactional(): boolean {
    return this.#transaction?.isUsed === true;
  }
  get isCancelled(): boolean {
    return this.#aborted?.code === "task_cancelled";
  }
  async commit(result: string | null): Promise<void> {
    await this.#transaction?.commit(result);
  }
  async rollback(): Promise<void> {
    this.#isOver = true;
    await this.#transaction?.rollback();
  }
  /** No transaction can begin any more, and none that is open comes to anything. */
  close(): void {
    this.#isOver = true;
    this.#transaction?.abandon();
  }
  cancel(reason: PawlError): void {
    this.#aborted ??= reason;
    this.#controller?.abort(reason);
  }
  abort(reason: PawlError): void {
    this.cancel(reason);
    this.close();
  }
}
