/** Jobs: a kind of task whose handler is the app's code, its input typed by any Standard Schema. */

import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type Duration, durationMs } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { type RetryPolicy, type RetrySeries, retrySeries } from "../kernel/retry.ts";
import { InvalidPayload, type TaskContext, type TaskHandler } from "../kernel/task.ts";

const JOB_NAME = /^[A-Za-z][A-Za-z0-9_.:-]{0,199}$/;
const TIMEOUT_DEFAULT: Duration = "5m";
const ISSUES_SHOWN_MAX = 3;
const OPTIONS = ["name", "input", "queue", "retry", "timeout", "key", "lane", "expiresIn", "run"];

export interface JobOptions<Schema extends StandardSchemaV1> {
  /** The kind of its tasks: unique in the app, and stable, since waiting tasks carry it. */
  name: string;
  /** zod, valibot, arktype … (https://standardschema.dev). Checked when enqueued and again before each run. */
  input: Schema;
  /** Default `normal`. */
  queue?: string;
  /** Instead of the queue's. */
  retry?: RetryPolicy;
  /** Instead of the queue's; 5 minutes if neither says. */
  timeout?: Duration;
  /** Unique in its queue and kind while the task lives: enqueueing another answers `duplicate` with the first one's id. */
  key?: (input: StandardSchemaV1.InferInput<Schema>) => string | undefined;
  /** Tasks of one queue with the same lane run one at a time, in the order in which they were enqueued. */
  lane?: (input: StandardSchemaV1.InferInput<Schema>) => string | undefined;
  /** Not started later than this after it was enqueued; it ends as `expired` instead. */
  expiresIn?: Duration;
  /**
   * May run more than once for one task (a worker may die after the work and before its record), so make the effect
   * idempotent by `context.idempotencyKey`. What it returns is kept with the task as its result.
   * Throw `Unrecoverable`, `RetryAfter` or `Recoverable` to say how a failed attempt goes on.
   */
  run: (input: StandardSchemaV1.InferOutput<Schema>, context: TaskContext) => unknown;
}

export interface Job<Schema extends StandardSchemaV1 = StandardSchemaV1> {
  readonly name: string;
  readonly queue: string;
  readonly input: Schema;
  readonly retry: RetrySeries | null;
  readonly timeoutMs: number | null;
  readonly key: ((input: StandardSchemaV1.InferInput<Schema>) => string | undefined) | null;
  readonly lane: ((input: StandardSchemaV1.InferInput<Schema>) => string | undefined) | null;
  readonly expiresInMs: number | null;
  readonly run: (input: StandardSchemaV1.InferOutput<Schema>, context: TaskContext) => unknown;
}

/** What `enqueue` takes for a job: the schema's input side. */
export type JobInput<J extends AnyJob> = StandardSchemaV1.InferInput<J["input"]>;

/** Any job: `run` is only ever called with what its own schema gave out. */
export interface AnyJob extends Omit<Job, "run" | "key" | "lane"> {
  readonly key: ((input: never) => string | undefined) | null;
  readonly lane: ((input: never) => string | undefined) | null;
  readonly run: (input: never, context: TaskContext) => unknown;
}

/** @throws PawlError `invalid_option` */
export function defineJob<Schema extends StandardSchemaV1>(
  options: JobOptions<Schema>,
): Job<Schema> {
  refuseUnknownOptions("defineJob", options, OPTIONS);
  const { name, input, queue = "normal", retry, timeout, key, lane, expiresIn, run } = options;
  if (!JOB_NAME.test(name)) {
    throw new PawlError(
      "invalid_option",
      `expected a job's name to be 1 to 200 letters, digits, "_", ".", ":" and "-", starting with a letter, got ${shown(name)}`,
    );
  }
  if (typeof run !== "function") {
    throw new PawlError(
      "invalid_option",
      `job "${name}": expected \`run\` to be a function, got ${shown(run)}`,
    );
  }
  if (typeof input?.["~standard"]?.validate !== "function") {
    throw new PawlError(
      "invalid_option",
      `job "${name}": expected \`input\` to be a Standard Schema (zod, valibot, arktype …), got ${shown(input)}`,
    );
  }
  return Object.freeze({
    name,
    queue,
    input,
    retry: retry === undefined ? null : retrySeries(retry, `job "${name}".retry`),
    timeoutMs: timeout === undefined ? null : durationMs(timeout, `job "${name}".timeout`),
    key: optionalFunction(name, "key", key),
    lane: optionalFunction(name, "lane", lane),
    expiresInMs: expiresIn === undefined ? null : durationMs(expiresIn, `job "${name}".expiresIn`),
    run,
  });
}

function optionalFunction<F>(job: string, name: string, value: F | undefined): F | null {
  if (value === undefined) return null;
  if (typeof value === "function") return value;
  throw new PawlError(
    "invalid_option",
    `job "${job}": expected \`${name}\` to be a function of the input, got ${shown(value)}`,
  );
}

/**
 * Answers a promise only for a schema that is asynchronous: thousands of inputs are not worth thousands of turns.
 * @throws PawlError `invalid_payload` with the schema's issues
 */
export function validateInput(job: AnyJob, input: unknown): Promise<void> | undefined {
  const result = job.input["~standard"].validate(input);
  if (result instanceof Promise) return result.then((one) => refuseIssues(job, input, one.issues));
  refuseIssues(job, input, result.issues);
  return undefined;
}

function refuseIssues(
  job: AnyJob,
  input: unknown,
  issues: readonly StandardSchemaV1.Issue[] | undefined,
): void {
  if (issues === undefined) return;
  throw new PawlError(
    "invalid_payload",
    `job "${job.name}": the input does not fit its schema: ${text(issues)}`,
    { data: { kind: job.name, input: shown(input) } },
  );
}

export function jobHandler(job: AnyJob, queueTimeoutMs: number | null): TaskHandler {
  return {
    queue: job.queue,
    kind: job.name,
    version: 1,
    inAnyQueue: true,
    timeoutMs: job.timeoutMs ?? queueTimeoutMs ?? durationMs(TIMEOUT_DEFAULT, "timeout"),
    run: (payload, context) => runJob(job, payload, context),
  };
}

/** Without a turn of its own for a schema that answers at once. */
function runJob(job: AnyJob, payload: unknown, context: TaskContext): unknown {
  const result = job.input["~standard"].validate(payload);
  if (result instanceof Promise) return result.then((one) => runValid(job, one, context));
  return runValid(job, result, context);
}

function runValid(
  job: AnyJob,
  result: StandardSchemaV1.Result<unknown>,
  context: TaskContext,
): unknown {
  if (result.issues !== undefined) {
    throw new InvalidPayload(
      `job "${job.name}": the payload does not fit its schema: ${text(result.issues)}`,
    );
  }
  return job.run(result.value as never, context);
}

function text(issues: readonly StandardSchemaV1.Issue[]): string {
  const shownIssues = issues.slice(0, ISSUES_SHOWN_MAX).map(({ message, path }) => {
    const where = (path ?? [])
      .map((part) => String(typeof part === "object" ? part.key : part))
      .join(".");
    return where === "" ? message : `${where}: ${message}`;
  });
  const more = issues.length - shownIssues.length;
  return shownIssues.join("; ") + (more > 0 ? ` (and ${more} more)` : "");
}
