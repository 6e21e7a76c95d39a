/**
 * Runs one claimed task: decode, deadline, handler, classify. Never throws and answers exactly once:
 * whatever a handler does after its end (a late rejection, a second answer) changes nothing.
 */

import { TIMER_MS_MAX } from "../base/duration.ts";
import { PawlError } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import type { Logger } from "../base/log.ts";
import { parseTime } from "../store/store.ts";
import { failure, type Outcome } from "./outcome.ts";
import type { ClaimedTask, TaskContext, TaskHandler } from "./task.ts";

export interface Running {
  readonly task: ClaimedTask;
  /** Aborts the handler's signal; the outcome still comes. */
  abort(reason: PawlError): void;
}

export interface RunOptions {
  log: Logger;
  resultBytesMax: number;
  ended: (running: Running, outcome: Outcome) => void;
}

export function runTask(task: ClaimedTask, handler: TaskHandler, options: RunOptions): Running {
  const context = new Context(task, handler, options.log);
  let timer: NodeJS.Timeout | undefined;
  let hasEnded = false;
  const end = (outcome: Outcome) => {
    if (hasEnded) return;
    hasEnded = true;
    clearTimeout(timer);
    options.ended(running, outcome);
  };
  const running: Running = { task, abort: (reason) => context.abort(reason) };
  timer = setTimeout(
    () => {
      const error = timeoutError(task, handler);
      context.abort(error);
      end(failure(task, error));
    },
    Math.min(handler.timeoutMs, TIMER_MS_MAX),
  );
  void handle(task, handler, context, options).then(end);
  return running;
}

async function handle(
  task: ClaimedTask,
  handler: TaskHandler,
  context: Context,
  options: RunOptions,
): Promise<Outcome> {
  try {
    const result = await handler.run(task.payload, context);
    return { ok: true, task, result: resultJson(result, task, handler, options) };
  } catch (thrown) {
    return failure(task, thrown);
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

/** Made for every attempt, so the signal and the logger are made only when a handler asks for them. */
class Context implements TaskContext {
  readonly #task: ClaimedTask;
  readonly #handler: TaskHandler;
  readonly #log: Logger;
  #controller: AbortController | undefined;
  #aborted: PawlError | undefined;

  constructor(task: ClaimedTask, handler: TaskHandler, log: Logger) {
    this.#task = task;
    this.#handler = handler;
    this.#log = log;
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
      this.#log[level]({ ...bound, ...data }, message);
    return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  }

  abort(reason: PawlError): void {
    this.#aborted ??= reason;
    this.#controller?.abort(reason);
  }
}
