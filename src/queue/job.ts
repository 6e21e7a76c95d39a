/** A job is a kind of task whose handler is the app's code; any Standard Schema types its input. */

import type { StandardSchemaV1 } from "@standard-schema/spec";
import { DURATION_MS_MAX, type Duration, durationMs } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { didYouMean } from "../base/suggest.ts";
import { read } from "../base/thrown.ts";
import { type RetryPolicy, type RetrySeries, retry } from "../kernel/retry.ts";
import { InvalidPayload, type TaskContext, type TaskHandler } from "../kernel/task.ts";
import { type FieldsOf, named, readOptions, required, withDefault } from "../options/field.ts";
import { duration, func, identifier } from "../options/kinds.ts";
import { anything } from "../options/parts.ts";
import { checkInput, issuesOf, schema } from "../options/schema.ts";
import { timer } from "./queue-options.ts";

const NAME_CHARS_MAX = 200;
const TIMEOUT_DEFAULT: Duration = "5m";

export interface JobOptions<Schema extends StandardSchemaV1> {
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
  /** Tasks of one queue with the same lane run one at a time, in the order in which they were enqueued. */
  lane?: (input: StandardSchemaV1.InferInput<Schema>) => string | undefined;
  /** The latest start, as a time after it was enqueued; later it ends as `expired`. */
  expiresIn?: Duration;
  /**
   * Runs one task. It may run more than once for a task (a worker may die after the work and before it is recorded), so use
   * `context.idempotencyKey` to make the effect idempotent. The return value is stored as the task's result. Throw
   * `Unrecoverable`, `RetryAfter`, `Recoverable` or `Snooze` to say what comes next.
   */
  run: (input: StandardSchemaV1.InferOutput<Schema>, context: TaskContext) => unknown;
}

const FIELDS = {
  name: required(identifier(NAME_CHARS_MAX)),
  input: required(schema("the schema of its input")),
  queue: withDefault("normal", anything<string>("checked by the app, which has the queues")),
  retry,
  timeout: timer("the longest run of one attempt"),
  key: func<NonNullable<AnyOptions["key"]>>("of the input"),
  lane: func<NonNullable<AnyOptions["lane"]>>("of the input"),
  expiresIn: duration({ help: "not started later than this", maxMs: DURATION_MS_MAX }),
  run: required(func<AnyOptions["run"]>("of the input and the task's context")),
} satisfies FieldsOf<AnyOptions>;

type AnyOptions = JobOptions<StandardSchemaV1>;

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

/** What `enqueue` takes for a job: the schema's input type. */
export type JobInput<J extends AnyJob> = StandardSchemaV1.InferInput<J["input"]>;

/** Any job. `run` is called only with output of its own schema. */
export interface AnyJob extends Omit<Job, "run" | "key" | "lane"> {
  readonly key: ((input: never) => string | undefined) | null;
  readonly lane: ((input: never) => string | undefined) | null;
  readonly run: (input: never, context: TaskContext) => unknown;
}

/**
 * Defines a job.
 *
 * @throws PawlError `invalid_option`
 */
export function defineJob<Schema extends StandardSchemaV1>(
  options: JobOptions<Schema>,
): Job<Schema> {
  const { timeout, expiresIn, ...job } = readOptions(
    named("defineJob", "job", options),
    FIELDS,
    options,
  );
  return Object.freeze({
    ...job,
    retry: job.retry ?? null,
    timeoutMs: timeout ?? null,
    key: job.key ?? null,
    lane: job.lane ?? null,
    expiresInMs: expiresIn ?? null,
  }) as Job<Schema>;
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

export function jobHandler(job: AnyJob, queueTimeoutMs: number | null): TaskHandler {
  return {
    kind: job.name,
    version: 1,
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

function runValid(job: AnyJob, result: unknown, context: TaskContext): unknown {
  const issues = issuesOf(`job "${job.name}"`, result);
  if (issues !== undefined) {
    throw new InvalidPayload(`job "${job.name}": the payload does not fit its schema: ${issues}`);
  }
  return job.run(read(result, "value") as never, context);
}

/** Checks the jobs of an app. @throws PawlError `invalid_option`, `duplicate_name`, `unknown_queue` */
export function checkJobs(jobs: readonly AnyJob[], queues: readonly string[]): void {
  const seen = new Set<string>();
  for (const job of jobs) {
    if (typeof job?.run !== "function" || typeof job.name !== "string") {
      throw new PawlError(
        "invalid_option",
        `jobs: expected values made by defineJob(...), got ${shown(job)}`,
      );
    }
    if (seen.has(job.name)) {
      throw new PawlError(
        "duplicate_name",
        `jobs: two are named "${job.name}"; give each a name of its own`,
      );
    }
    seen.add(job.name);
    if (queues.includes(job.queue)) continue;
    throw new PawlError(
      "unknown_queue",
      `job "${job.name}": no queue ${shown(job.queue)}; ${didYouMean(String(job.queue), queues)}`,
    );
  }
}
