/** Enqueueing jobs: everything is checked before anything is written, then one call of the SQL function. */

import { type Duration, durationMs } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import type { TaskId } from "../kernel/task.ts";
import { type AnyJob, validateInput } from "./job.ts";

const ATTEMPTS_MAX = 32_000;
const PRIORITY_MAX = 3;
const LANE_CHARS_MAX = 200;
const KEY_CHARS_MAX = 500;
const OPTIONS = [
  "priority",
  "runAt",
  "delay",
  "expiresAt",
  "expiresIn",
  "key",
  "lane",
  "maxAttempts",
  "meta",
  "tx",
];

export interface EnqueueOptions {
  /** 0 (first) to 3 (last); default 1. Within its queue. */
  priority?: number;
  /** Not before this time. */
  runAt?: Date;
  /** Not before this much from now (the database's clock). Not together with `runAt`. */
  delay?: Duration;
  /** Not started after this time: it ends as `expired` instead. */
  expiresAt?: Date;
  /** The same, so much from now; instead of the job's. */
  expiresIn?: Duration;
  /** Instead of what the job's `key` gives. */
  key?: string;
  /** Instead of what the job's `lane` gives. */
  lane?: string;
  /** Tries in all, instead of the policy's number. */
  maxAttempts?: number;
  /** Kept beside the payload and given to the handler: trace, correlation, tenant … */
  meta?: Record<string, unknown>;
}

export interface Enqueued {
  id: TaskId;
  /** `duplicate`: a live task has the key; `id` is that task's. */
  outcome: "created" | "duplicate";
}

/** What the tasks of one call share, as JSON text. */
export function sharedJson(job: AnyJob, options: EnqueueOptions, bytesMax: number): string {
  const fields = [
    `"kind":${JSON.stringify(job.name)}`,
    `"queue":${JSON.stringify(job.queue)}`,
    ...optionFields(job, options, bytesMax),
  ];
  return `{${fields.join(",")}}`;
}

/** The inputs, checked, each as JSON. */
export async function payloadTexts(
  job: AnyJob,
  inputs: readonly unknown[],
  bytesMax: number,
): Promise<string[]> {
  const what = `payload of job "${job.name}"`;
  const payloads: string[] = [];
  for (const input of inputs) {
    const checking = validateInput(job, input);
    if (checking !== undefined) await checking;
    payloads.push(toJson(input, { what, bytesMax }));
  }
  return payloads;
}

/** True when each task may have a key or a lane of its own: then they are written one by one. */
export function isKeyed(job: AnyJob, { key, lane }: EnqueueOptions): boolean {
  return job.key !== null || job.lane !== null || key !== undefined || lane !== undefined;
}

/** The same as whole tasks, each with its key and lane, as a JSON array. `payloads` are the JSON of `inputs`. */
export function tasksJson(
  job: AnyJob,
  inputs: readonly unknown[],
  payloads: readonly string[],
  { shared, options }: { shared: string; options: EnqueueOptions },
): string {
  const tasks = inputs.map((input, i) => {
    const key = options.key ?? job.key?.(input as never);
    const lane = options.lane ?? job.lane?.(input as never);
    const fields = [
      shared.slice(1, -1),
      `"payload":${payloads[i]}`,
      ...(key === undefined ? [] : [`"key":${nameJson(job, "key", key, KEY_CHARS_MAX)}`]),
      ...(lane === undefined ? [] : [`"lane":${nameJson(job, "lane", lane, LANE_CHARS_MAX)}`]),
    ];
    return `{${fields.join(",")}}`;
  });
  return `[${tasks.join(",")}]`;
}

function nameJson(job: AnyJob, name: string, value: unknown, charsMax: number): string {
  if (typeof value === "string" && value !== "" && value.length <= charsMax)
    return JSON.stringify(value);
  throw new PawlError(
    "invalid_option",
    `job "${job.name}": expected \`${name}\` to be a text of 1 to ${charsMax} characters, got ${shown(value)}`,
  );
}

function optionFields(job: AnyJob, options: EnqueueOptions, bytesMax: number): string[] {
  refuseUnknownOptions(`enqueue "${job.name}"`, options, OPTIONS);
  const { priority, maxAttempts, meta } = options;
  const fields: string[] = [];
  if (priority !== undefined) {
    fields.push(`"priority":${whole(job, "priority", priority, 0, PRIORITY_MAX)}`);
  }
  if (maxAttempts !== undefined) {
    fields.push(`"max_attempts":${whole(job, "maxAttempts", maxAttempts, 1, ATTEMPTS_MAX)}`);
  }
  if (meta !== undefined) {
    fields.push(`"meta":${toJson(meta, { what: `meta of job "${job.name}"`, bytesMax })}`);
  }
  return [...fields, ...timeFields(job, options)];
}

function timeFields(job: AnyJob, { runAt, delay, expiresAt, expiresIn }: EnqueueOptions): string[] {
  refuseBoth(job, { runAt, delay });
  refuseBoth(job, { expiresAt, expiresIn });
  const fields: string[] = [];
  if (runAt !== undefined) fields.push(`"run_at":"${timestamp(job, "runAt", runAt)}"`);
  if (delay !== undefined) fields.push(`"delay_ms":${durationMs(delay, "delay")}`);
  if (expiresAt !== undefined) {
    fields.push(`"expires_at":"${timestamp(job, "expiresAt", expiresAt)}"`);
    return fields;
  }
  const ttlMs = expiresIn === undefined ? job.expiresInMs : durationMs(expiresIn, "expiresIn");
  if (ttlMs !== null) fields.push(`"ttl_ms":${ttlMs}`);
  return fields;
}

function refuseBoth(job: AnyJob, options: Record<string, unknown>): void {
  const given = Object.keys(options).filter((name) => options[name] !== undefined);
  if (given.length < 2) return;
  throw new PawlError(
    "invalid_option",
    `job "${job.name}": both \`${given[0]}\` and \`${given[1]}\` are given; give one`,
  );
}

function timestamp(job: AnyJob, name: string, value: unknown): string {
  if (value instanceof Date && Number.isFinite(value.getTime())) return value.toISOString();
  throw new PawlError(
    "invalid_option",
    `job "${job.name}": expected \`${name}\` to be a valid Date, got ${shown(value)}`,
  );
}

function whole(job: AnyJob, name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new PawlError(
    "invalid_option",
    `job "${job.name}": expected \`${name}\` to be an integer from ${min} to ${max}, got ${shown(value)}`,
  );
}
