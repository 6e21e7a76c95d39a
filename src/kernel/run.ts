/**
 * Runs one claimed task: decode, deadline, handler, classify. Never throws, and reports exactly one outcome:
 * whatever a handler does after its end (a late rejection, a second answer) changes nothing.
 */

import { TIMER_MS_MAX } from "../base/duration.ts";
import { PawlError } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import type { Logger } from "../base/log.ts";
import { isA, messageOf } from "../base/thrown.ts";
import type { Transaction } from "../store/transaction.ts";
import { parseTime } from "../store/types.ts";
import { type Attempt, tell, type WorkObserver } from "./heard.ts";
import { expired, failure, type Outcome } from "./outcome.ts";
import { progressJson } from "./progress-json.ts";
import { payloadText } from "./sql.ts";
import type { ClaimedTask, Fence, HandlerContext, StreamHandler } from "./task.ts";
import type { Seal } from "./task-transaction/seal.ts";
import { settling } from "./task-transaction/sql.ts";
import { TaskTransaction, type TaskTransactions } from "./task-transaction/task-transaction.ts";

export interface Running {
  readonly task: ClaimedTask;
  /** Aborts the handler's signal; it may still end well. */
  cancel(reason: PawlError): void;
  /** The same, and its transaction is rolled back. */
  abort(reason: PawlError): void;
}

export interface RunOptions {
  log: Logger;
  resultBytesMax: number;
  transactions: TaskTransactions;
  /** False when the worker is stopping, or what the task is of was turned off. */
  mayGoOn: (task: ClaimedTask) => boolean;
  /** For how long quiet hours hold a step of the task that takes so long; 0: it may begin. */
  quietMs: (task: ClaimedTask, takesMs: number) => number;
  /** For how long the worker goes on; Infinity: it has no time limit. */
  leftMs: () => number;
  /** A handler said how far it is; `value` is JSON. */
  progressed: (task: ClaimedTask, value: string) => void;
  observer?: WorkObserver | undefined;
  ended: (running: Running, outcome: Outcome) => void;
}

export function runTask(task: ClaimedTask, handler: StreamHandler, options: RunOptions): Running {
  const context = new Context(task, handler, options);
  let timer: NodeJS.Timeout | undefined;
  let hasEnded = false;
  let observed: Observed | undefined;
  const end = (outcome: Outcome) => {
    if (hasEnded) return;
    hasEnded = true;
    clearTimeout(timer);
    observed?.ended(outcome);
    try {
      options.ended(running, outcome);
    } catch (error) {
      const data = { task: task.id, kind: handler.kind, err: messageOf(error) };
      options.log.error(data, "telling the end of an attempt failed");
    }
  };
  const running: Running = {
    task,
    cancel: (reason) => context.cancel(reason),
    abort: (reason) => {
      observed?.givenBack();
      context.abort(reason);
    },
  };
  if (task.isExpired) {
    setImmediate(() => end(expired(task)));
    return running;
  }
  if (options.observer !== undefined) observed = observe(task, handler, options.observer);
  timer = setTimeout(
    () => {
      const error = timeoutError(task, handler);
      context.abort(error);
      end(failure(task, error));
    },
    Math.min(handler.timeoutMs, TIMER_MS_MAX),
  );
  const returned = () => clearTimeout(timer); // what is left is ours: the deadline is the handler's
  handle(task, handler, context, options, returned).then(end, (thrown) =>
    end(failure(task, thrown)),
  );
  return running;
}

interface Observed {
  /** How it ends does not count. */
  givenBack(): void;
  ended(outcome: Outcome): void;
}

function observe(
  { id: taskId, attempt }: ClaimedTask,
  { queue, kind }: StreamHandler,
  observer: WorkObserver,
): Observed {
  const what: Attempt = { taskId, queue, kind, attempt };
  const startedAt = performance.now();
  let isGivenBack = false;
  tell(observer, "attemptStarted", what);
  return {
    givenBack: () => {
      isGivenBack = true;
    },
    ended: (outcome) => {
      const how = outcome.ok ? "done" : outcome.kind;
      const durationMs = performance.now() - startedAt;
      tell(observer, "attemptEnded", {
        ...what,
        outcome: isGivenBack ? "given_back" : how,
        durationMs,
      });
    },
  };
}

async function handle(
  task: ClaimedTask,
  handler: StreamHandler,
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
    await context.rollback().catch(() => undefined); // what was thrown says more
    return context.isCancelled
      ? { ...failure(task, thrown), kind: "cancelled" }
      : failure(task, thrown);
  }
}

/** A result that cannot be stored does not undo the work: a note is stored instead. */
function resultJson(
  result: unknown,
  task: ClaimedTask,
  handler: StreamHandler,
  { log, resultBytesMax }: RunOptions,
): string | null {
  if (result === undefined) return null;
  const what = `result of task ${task.id} (${handler.kind})`;
  try {
    return toJson(result, {
      what,
      bytesMax: resultBytesMax,
      isLossy: true,
      codes: { notJson: "result_not_json", tooLarge: "result_not_json" },
    });
  } catch (error) {
    const message = messageOf(error);
    log.warn({ task: task.id, kind: handler.kind, err: message }, "a result was not stored");
    return JSON.stringify({ $notStored: message });
  }
}

export function isTimeout(thrown: unknown): boolean {
  return isA(thrown, PawlError) && thrown.code === "handler_timeout";
}

function timeoutError(task: ClaimedTask, handler: StreamHandler): PawlError {
  return new PawlError(
    "handler_timeout",
    `task ${task.id} (${handler.kind}): did not end within ${handler.timeoutMs} ms (attempt ${task.attempt}); raise its timeout, or make the handler obey context.signal`,
    { data: { timeoutMs: handler.timeoutMs } },
  );
}

/** Made for every attempt, so the signal, the logger and the transaction are made only when a handler asks for them. */
class Context implements HandlerContext {
  readonly #task: ClaimedTask;
  readonly #handler: StreamHandler;
  readonly #options: RunOptions;
  #controller: AbortController | undefined;
  #aborted: PawlError | undefined;
  #transaction: TaskTransaction | undefined;
  /** Of its steps, the one that is open. */
  #step: TaskTransaction | undefined;
  #isOver = false;

  constructor(task: ClaimedTask, handler: StreamHandler, options: RunOptions) {
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
  /** Bound: handlers take the context apart. */
  get payloadText(): () => Promise<string> {
    return () => payloadText(this.#options.transactions.store, this.#task.id);
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

  get mayGoOn(): () => boolean {
    return () => this.#options.mayGoOn(this.#task);
  }

  get quietMs(): (takesMs: number) => number {
    return (takesMs) => this.#options.quietMs(this.#task, takesMs);
  }

  get leftMs(): () => number {
    return this.#options.leftMs;
  }

  get fence(): Fence {
    const { id, seq, claim } = this.#task;
    return { worker: this.#options.transactions.workerId, id, seq, claim };
  }

  async inTransaction<T>(
    work: (tx: Transaction) => Promise<T>,
    seal: (made: T) => Seal,
  ): Promise<T> {
    const transaction = new TaskTransaction(this.#task, this.#options.transactions);
    this.#step = transaction;
    if (this.#isOver) transaction.abandon();
    try {
      await transaction.begin();
      const made = await work(transaction.tx);
      await transaction.commit(seal(made));
      return made;
    } catch (error) {
      // of what took too long, a statement may still run
      if (isTimeout(error)) transaction.abandon();
      else await transaction.rollback().catch(() => undefined); // what was thrown says more
      throw error;
    }
  }

  /** Bound: handlers take the context apart. */
  get progress(): (value: unknown) => void {
    return (value) => this.#options.progressed(this.#task, progressJson(this, value));
  }

  get isTransactional(): boolean {
    return this.#transaction?.isUsed === true;
  }
  get isCancelled(): boolean {
    return this.#aborted?.code === "task_cancelled";
  }
  async commit(result: string | null): Promise<void> {
    await this.#transaction?.commit(
      settling(this.#options.transactions.workerId, this.#task, result),
    );
  }
  async rollback(): Promise<void> {
    this.#isOver = true;
    await this.#transaction?.rollback();
  }
  /** From now on no transaction can begin, and an open one is rolled back. */
  close(): void {
    this.#isOver = true;
    this.#transaction?.abandon();
    this.#step?.abandon();
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
