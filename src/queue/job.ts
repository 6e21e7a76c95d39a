/** A job is a kind of task whose handler is the app's code; any Standard Schema types its input. */

import { existsSync } from "node:fs";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { DURATION_MS_MAX, type Duration, durationMs } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { badOption } from "../base/options.ts";
import { didYouMean } from "../base/suggest.ts";
import { read } from "../base/thrown.ts";
import { type RetryPolicy, type RetrySeries, retry } from "../kernel/retry.ts";
import { InvalidPayload, type TaskContext, type TaskHandler } from "../kernel/task.ts";
import {
  type FieldsOf,
  field,
  named,
  readOptions,
  required,
  withDefault,
} from "../options/field.ts";
import { duration, func, identifier } from "../options/kinds.ts";
import { anything } from "../options/parts.ts";
import { checkInput, issuesOf, schema } from "../options/schema.ts";
import { type BatchContext, Batches, type BatchOptions, type BatchTask, batch } from "./batch.ts";
import { timer } from "./queue-options.ts";
import { Threads } from "./thread/threads.ts";
import { type Unique, type UniqueRow, unique, uniqueWithoutKey } from "./unique.ts";

const NAME_CHARS_MAX = 200;
const threadUrl = field<URL>({
  kind: "url",
  help: "the module of a handler that runs in a worker thread",
  shape: "url",
  expected: "the URL of a file, such as new URL(file, import.meta.url)",
  read: (given) => (given instanceof URL && given.protocol === "file:" ? given : undefined),
});
const TIMEOUT_DEFAULT: Duration = "5m";

interface JobSettings<Schema extends StandardSchemaV1> {
  /** The kind of its tasks. Must be unique in the app, and must not change: waiting tasks carry it. */
  name: string;
  /** zod, valibot, arktype … (https://standardschema.dev). Checked when a task is enqueued and again before each run. */
  input: Schema;
  /** Its queue; default `normal`. */
  queue?: string;
  /** The retry policy, instead of the queue's. */
  retry?: RetryPolicy;
  /** Time limit of one attempt, instead of the queue's; 5 minutes if neither is given. */
  timeout?: Duration;
  /**
   * A key, unique in its queue and kind while the task is live: enqueueing another task returns `duplicate` with the first
   * one's id.
   */
  key?: (input: StandardSchemaV1.InferInput<Schema>) => string | undefined;
  /**
   * What `key` means beside that: `{ for: "10m" }`, `{ replace: true }` or `{ debounce: "5s", max: "1m" }`. Not of a task whose
   * `key` is undefined.
   */
  unique?: Unique;
  /** Tasks of one queue with the same lane run one at a time, in the order in which they were enqueued. */
  lane?: (input: StandardSchemaV1.InferInput<Schema>) => string | undefined;
  /**
   * Whose limit it counts against: a tenant, a customer, an account. Tasks of one queue with the same limit key share what the
   * queue's `keyConcurrency` and `keyRate` say.
   */
  limitKey?: (input: StandardSchemaV1.InferInput<Schema>) => string | undefined;
  /** The latest start, as a time after it was enqueued; later it ends as `expired`. */
  expiresIn?: Duration;
}

export interface JobOptions<Schema extends StandardSchemaV1> extends JobSettings<Schema> {
  batch?: undefined;
  thread?: undefined;
  /**
   * Runs one task. It may run more than once for a task (a worker may die after the work and before it is recorded), so use
   * `context.idempotencyKey` to make the effect idempotent. The return value is stored as the task's result. Throw
   * `Unrecoverable`, `RetryAfter`, `Recoverable` or `Snooze` to say what comes next.
   */
  run: (input: StandardSchemaV1.InferOutput<Schema>, context: TaskContext) => unknown;
}

/** A job whose handler takes many tasks at once. */
export interface BatchJobOptions<Schema extends StandardSchemaV1> extends JobSettings<Schema> {
  batch: BatchOptions;
  thread?: undefined;
  /**
   * Runs the tasks that were claimed together. Say of each how it ended: `task.done(result)`, or `task.fail(error)` with what a handler of it
   * alone would throw. What is left when it returns is done; if it throws, that is the failure of all that is left. Like any handler, it
   * may get a task again.
   */
  run: (
    tasks: readonly BatchTask<StandardSchemaV1.InferOutput<Schema>>[],
    context: BatchContext,
  ) => unknown;
}

/** A job whose handler runs in a worker thread. */
export interface ThreadJobOptions<Schema extends StandardSchemaV1> extends JobSettings<Schema> {
  batch?: undefined;
  run?: undefined;
  /**
   * A module whose default export is the handler, `(input, context: ThreadContext) => result`, by its URL relative to `import.meta.url`. A
   * long computation then holds up neither other tasks nor the lease. Cancel, timeout and the stop of the worker end the thread. Input and
   * result are cloned; there is no `tx` and no `signal`.
   */
  thread: URL;
}

const FIELDS = {
  name: required(identifier(NAME_CHARS_MAX)),
  input: required(schema("the schema of its input")),
  queue: withDefault("normal", anything<string>("checked by the app, which has the queues")),
  retry,
  timeout: timer("the longest run of one attempt"),
  key: func<NonNullable<AnyOptions["key"]>>("of the input"),
  unique,
  lane: func<NonNullable<AnyOptions["lane"]>>("of the input"),
  limitKey: func<NonNullable<AnyOptions["limitKey"]>>("of the input"),
  expiresIn: duration({ help: "not started later than this", maxMs: DURATION_MS_MAX }),
  batch,
  run: func<NonNullable<AnyOptions["run"]>>("of the input and the task's context"),
  thread: threadUrl,
} satisfies FieldsOf<AnyOptions>;

type AnyOptions = JobSettings<StandardSchemaV1> & {
  batch?: BatchOptions;
  run?: (...given: never[]) => unknown;
  thread?: URL;
};

export interface Job<
  Schema extends StandardSchemaV1 = StandardSchemaV1,
  Run = JobOptions<Schema>["run"],
> {
  readonly name: string;
  readonly queue: string;
  readonly input: Schema;
  readonly retry: RetrySeries | null;
  readonly timeoutMs: number | null;
  readonly key: ((input: StandardSchemaV1.InferInput<Schema>) => string | undefined) | null;
  readonly unique: UniqueRow | null;
  readonly lane: ((input: StandardSchemaV1.InferInput<Schema>) => string | undefined) | null;
  readonly limitKey: ((input: StandardSchemaV1.InferInput<Schema>) => string | undefined) | null;
  readonly expiresInMs: number | null;
  readonly batch: BatchOptions | null;
  readonly thread: URL | null;
  readonly run: Run;
}

/** What `enqueue` takes for a job: the schema's input type. */
export type JobInput<J extends AnyJob> = StandardSchemaV1.InferInput<J["input"]>;

/** Any job. `run` is called only with output of its own schema. */
export interface AnyJob extends Omit<Job, "run" | "key" | "lane" | "limitKey"> {
  readonly key: ((input: never) => string | undefined) | null;
  readonly lane: ((input: never) => string | undefined) | null;
  readonly limitKey: ((input: never) => string | undefined) | null;
  readonly run: (input: never, context: never) => unknown;
}

/**
 * Defines a job.
 *
 * @throws PawlError `invalid_option`
 */
export function defineJob<Schema extends StandardSchemaV1>(
  options: JobOptions<Schema>,
): Job<Schema>;
export function defineJob<Schema extends StandardSchemaV1>(
  options: BatchJobOptions<Schema>,
): Job<Schema, BatchJobOptions<Schema>["run"]>;
export function defineJob<Schema extends StandardSchemaV1>(
  options: ThreadJobOptions<Schema>,
): Job<Schema>;
export function defineJob<Schema extends StandardSchemaV1>(
  options: JobOptions<Schema> | BatchJobOptions<Schema> | ThreadJobOptions<Schema>,
): AnyJob {
  const where = named("defineJob", "job", options);
  const { timeout, expiresIn, thread, ...job } = readOptions(where, FIELDS, options);
  if (job.unique !== undefined && job.key === undefined)
    throw uniqueWithoutKey(`job "${job.name}"`);
  return Object.freeze({
    ...job,
    run: runOrThread(where, { ...job, thread }),
    retry: job.retry ?? null,
    timeoutMs: timeout ?? null,
    key: job.key ?? null,
    unique: job.unique ?? null,
    lane: job.lane ?? null,
    limitKey: job.limitKey ?? null,
    expiresInMs: expiresIn ?? null,
    batch: job.batch ?? null,
    thread: thread ?? null,
  }) as AnyJob;
}

/** @throws PawlError `invalid_payload` with the schema's issues */
export function validateInput(
  job: AnyJob,
  input: unknown,
  isAsGiven: boolean,
): Promise<void> | undefined {
  const { name: kind, input: schemaOf } = job;
  return checkInput({ what: `job "${kind}"`, kind, schema: schemaOf }, input, isAsGiven);
}

/** A client that only enqueues may not have the file. @throws PawlError `invalid_option` */
export function requireThread({ name: job, thread }: AnyJob): void {
  if (thread === null || existsSync(thread)) return;
  const expected = "the URL of a file that is there";
  throw badOption(`job "${job}"`, "thread", expected, thread.href);
}

export function jobHandler(job: AnyJob, queueTimeoutMs: number | null): TaskHandler {
  const run = runOf(job);
  return {
    kind: job.name,
    version: 1,
    timeoutMs: job.timeoutMs ?? queueTimeoutMs ?? durationMs(TIMEOUT_DEFAULT, "timeout"),
    ...(job.batch !== null && { atOnce: job.batch.max }),
    run: (payload, context) => runJob(job, run, payload, context),
  };
}

interface Given {
  run?: AnyOptions["run"] | undefined;
  batch?: BatchOptions | undefined;
  thread: URL | undefined;
}

function runOrThread(
  where: string,
  { run, thread, batch: batched }: Given,
): (...given: never[]) => unknown {
  if (thread === undefined) {
    if (run !== undefined) return run;
    throw new PawlError(
      "invalid_option",
      `${where}: expected \`run\` (a function of the input and the task's context) or \`thread\` to be given, got neither`,
      { data: { option: "run" } },
    );
  }
  const other = run === undefined ? batched && "batch" : "run";
  if (other !== undefined) {
    throw new PawlError(
      "invalid_option",
      `${where}: expected \`thread\` or \`${other}\`, got both; leave one of them out`,
      { data: { option: "thread" } },
    );
  }
  const threads = new Threads(thread);
  return (input, context) => threads.run(input, context);
}

type RunOne = (input: unknown, context: TaskContext) => unknown;

function runOf(job: AnyJob): RunOne {
  const run = job.run as (...given: unknown[]) => unknown;
  if (job.batch === null) return (input, context) => run(input, context);
  const batches = new Batches(job.batch, run);
  return (input, context) => batches.join(input, context);
}

/** Without a turn of its own for a schema that answers at once. */
function runJob(job: AnyJob, run: RunOne, payload: unknown, context: TaskContext): unknown {
  const result = job.input["~standard"].validate(payload);
  if (result instanceof Promise) {
    return result.then((one) => {
      const input = valid(job, one);
      context.signal.throwIfAborted(); // its time may be over
      return run(input, context);
    });
  }
  return run(valid(job, result), context);
}

function valid(job: AnyJob, result: unknown): unknown {
  const issues = issuesOf(`job "${job.name}"`, result);
  if (issues !== undefined) {
    throw new InvalidPayload(`job "${job.name}": the payload does not fit its schema: ${issues}`);
  }
  return read(result, "value");
}

/** @throws PawlError `unknown_queue` */
export function refuseUnknownQueue(job: AnyJob, queues: readonly string[]): void {
  if (queues.includes(job.queue)) return;
  throw new PawlError(
    "unknown_queue",
    `job "${job.name}": no queue ${shown(job.queue)}; ${didYouMean(String(job.queue), queues)}`,
  );
}

export function isJob(given: unknown): boolean {
  const { run, name: own } = (given ?? {}) as Partial<Record<keyof AnyJob, unknown>>;
  return typeof run === "function" && typeof own === "string";
}
