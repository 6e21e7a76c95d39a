/**
 * Jobs whose handler takes many tasks at once. The kernel claims, times, cancels and settles each task by itself, as always; here its
 * attempt waits for the tasks that were claimed with it, and for what the handler says of it.
 */

import { AsyncResource } from "node:async_hooks";
import type { Logger } from "../base/log.ts";
import { unheard } from "../base/unheard.ts";
import type { AttemptContext } from "../kernel/middleware.ts";
import type { TaskContext, TaskId } from "../kernel/task.ts";
import { type Field, type FieldsOf, required } from "../options/field.ts";
import { integer } from "../options/kinds.ts";
import { group } from "../options/parts.ts";

const BATCH_MAX = 1_000;
/** Of no task: a handler of many must not find in an AsyncLocalStorage what is of one of them. */
const OF_NO_TASK = new AsyncResource("pawl:batch");

export interface BatchOptions {
  /**
   * Maximum number of tasks in one call, up to 1,000. A call takes what a worker has claimed at once, which is at most its `concurrency`; it
   * never waits for more.
   */
  max: number;
}

export const batch: Field<BatchOptions> = group("its handler takes many tasks at once", {
  max: required(integer({ help: "maximum number of tasks in one call", max: BATCH_MAX })),
} satisfies FieldsOf<BatchOptions>);

/** One task of a batch. */
export interface BatchTask<Input = unknown>
  extends Omit<AttemptContext, "kind" | "queue">,
    Pick<TaskContext, "payloadText" | "progress"> {
  readonly input: Input;
  /** Ends it as done, with this result, at once. Only the first word on a task counts. */
  done(result?: unknown): void;
  /**
   * Ends its attempt as if a handler of it alone had thrown this: `RetryAfter`, `Recoverable`, `Snooze`, `Unrecoverable`, or any error, after
   * which it is tried again by the policy.
   */
  fail(error: unknown): void;
}

export interface BatchContext {
  readonly kind: string;
  readonly queue: string;
  /** Aborts when all of its tasks that have not ended have been aborted: at the deadline, or when the worker stops or loses its lease. */
  readonly signal: AbortSignal;
}

type Run = (tasks: readonly BatchTask[], context: BatchContext) => unknown;

/** The batches of one job in one worker. */
export class Batches {
  readonly #max: number;
  readonly #run: Run;
  readonly #waiting = new Map<string, Member[]>();

  constructor({ max }: BatchOptions, run: Run) {
    this.#max = max;
    this.#run = run;
  }

  /** What a task's own attempt waits for. Those that are claimed together join in one turn of the event loop. */
  join(input: unknown, context: TaskContext): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const member = new Member(input, context, { resolve, reject });
      const { queue } = context;
      const others = this.#waiting.get(queue);
      if (others !== undefined) others.push(member);
      else {
        this.#waiting.set(queue, [member]);
        OF_NO_TASK.runInAsyncScope(() => setImmediate(() => this.#begin(queue)));
      }
    });
  }

  #begin(queue: string): void {
    const joined = this.#waiting.get(queue) ?? [];
    this.#waiting.delete(queue);
    for (let start = 0; start < joined.length; start += this.#max)
      this.#perform(joined.slice(start, start + this.#max)).catch(() => undefined);
  }

  async #perform(members: readonly Member[]): Promise<void> {
    for (const one of members) if (one.isGone) one.fail(one.signal.reason); // aborted before it began
    const left = members.filter((one) => !one.isGone);
    const [first] = left;
    if (first === undefined) return;
    try {
      await this.#run(left, contextOf(first, left));
      for (const one of left) one.done();
    } catch (error) {
      for (const one of left) one.fail(error);
    }
  }
}

interface End {
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
}

/** Everything but its end is what the kernel gives, made only when asked for. */
class Member implements BatchTask {
  readonly input: unknown;
  readonly context: TaskContext;
  readonly #end: End;
  #hasEnded = false;
  #whenOver: (() => void) | undefined;

  constructor(input: unknown, context: TaskContext, end: End) {
    this.input = input;
    this.context = context;
    this.#end = end;
    context.signal.addEventListener("abort", () => this.#whenOver?.());
  }

  /** Ended, or aborted. */
  get isGone(): boolean {
    return this.#hasEnded || this.context.signal.aborted;
  }

  whenGone(gone: () => void): void {
    this.#whenOver = gone;
  }

  get done(): (result?: unknown) => void {
    return (result) => this.#over(() => this.#end.resolve(result));
  }
  get fail(): (error: unknown) => void {
    return (error) => this.#over(() => this.#end.reject(error));
  }
  #over(tell: () => void): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    tell();
    this.#whenOver?.();
  }

  get taskId(): TaskId {
    return this.context.taskId;
  }
  get attempt(): number {
    return this.context.attempt;
  }
  get idempotencyKey(): string {
    return this.context.idempotencyKey;
  }
  get createdAt(): Date {
    return this.context.createdAt;
  }
  get meta(): Record<string, unknown> {
    return this.context.meta;
  }
  get payloadText(): () => Promise<string> {
    return this.context.payloadText;
  }
  get ref(): string | null {
    return this.context.ref;
  }
  get signal(): AbortSignal {
    return this.context.signal;
  }
  get progress(): (value: unknown) => void {
    return this.context.progress;
  }
  get log(): Logger {
    return this.context.log;
  }
}

function contextOf({ context }: Member, members: readonly Member[]): BatchContext {
  const { kind, queue } = context;
  const controller = new AbortController();
  let left = members.length;
  for (const one of members) {
    let isCounted = false;
    one.whenGone(() => {
      if (isCounted) return;
      isCounted = true;
      left -= 1;
      if (left > 0 || !members.some(({ signal }) => signal.aborted)) return;
      const aborted = members.find(({ signal }) => signal.aborted);
      unheard(() => controller.abort(aborted?.signal.reason));
    });
  }
  return { kind, queue, signal: controller.signal };
}
