/** Enqueueing jobs: everything is checked before anything is written, then one call of the SQL function. */

import { type Duration, durationMs } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import type { TaskId } from "../kernel/task.ts";
import { type AnyJob, validateInput } from "./job.ts";

const ATTEMPTS_MAX = 32_000;
const PRIORITY_MAX = 3;
const OPTIONS = ["priority", "runAt", "delay", "maxAttempts", "meta", "tx"];

export interface EnqueueOptions {
  /** 0 (first) to 3 (last); default 1. Within its queue. */
  priority?: number;
  /** Not before this time. */
  runAt?: Date;
  /** Not before this much from now (the database's clock). Not together with `runAt`. */
  delay?: Duration;
  /** Tries in all, instead of the policy's number. */
  maxAttempts?: number;
  /** Kept beside the payload and given to the handler: trace, correlation, tenant … */
  meta?: Record<string, unknown>;
}

export interface Enqueued {
  id: TaskId;
  outcome: "created";
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

/** The inputs, checked, as a JSON array. */
export async function payloadsJson(
  job: AnyJob,
  inputs: readonly unknown[],
  bytesMax: number,
): Promise<string> {
  const what = `payload of job "${job.name}"`;
  const payloads: string[] = [];
  for (const input of inputs) {
    const checking = validateInput(job, input);
    if (checking !== undefined) await checking;
    payloads.push(toJson(input, { what, bytesMax }));
  }
  return `[${payloads.join(",")}]`;
}

function optionFields(job: AnyJob, options: EnqueueOptions, bytesMax: number): string[] {
  refuseUnknownOptions(`enqueue "${job.name}"`, options, OPTIONS);
  const { priority, runAt, delay, maxAttempts, meta } = options;
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
  if (runAt !== undefined && delay !== undefined) {
    throw new PawlError(
      "invalid_option",
      `job "${job.name}": both \`runAt\` and \`delay\` are given; give one`,
    );
  }
  if (runAt !== undefined) fields.push(`"run_at":"${timestamp(job, runAt)}"`);
  if (delay !== undefined) fields.push(`"delay_ms":${durationMs(delay, "delay")}`);
  return fields;
}

function timestamp(job: AnyJob, runAt: unknown): string {
  if (runAt instanceof Date && Number.isFinite(runAt.getTime())) return runAt.toISOString();
  throw new PawlError(
    "invalid_option",
    `job "${job.name}": expected \`runAt\` to be a valid Date, got ${shown(runAt)}`,
  );
}

function whole(job: AnyJob, name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new PawlError(
    "invalid_option",
    `job "${job.name}": expected \`${name}\` to be an integer from ${min} to ${max}, got ${shown(value)}`,
  );
}
