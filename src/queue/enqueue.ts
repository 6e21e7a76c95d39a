/** Enqueues jobs: checks everything before anything is written, then calls the SQL function once. */

import { DURATION_MS_MAX, type Duration } from "../base/duration.ts";
import { ofIt, PawlError } from "../base/errors.ts";
import { jsonForm, toJson } from "../base/json.ts";
import { badOption } from "../base/options.ts";
import { unheard } from "../base/unheard.ts";
import type { TaskId } from "../kernel/task.ts";
import { type Field, type FieldsOf, nullIsNone, readOptions, readValue } from "../options/field.ts";
import { choice, duration, integer, name, numberId, time } from "../options/kinds.ts";
import { anything, object, several } from "../options/parts.ts";
import { type AnyJob, validateInput } from "./job.ts";
import { type Unique, type UniqueRow, unique, uniqueWithoutKey } from "./unique.ts";

const ATTEMPTS_MAX = 32_000;
export const LANE_CHARS_MAX = 200;

export interface EnqueueOptions {
  /** 0 (first) to 3 (last) within its queue; default 1. */
  priority?: number;
  /** The earliest start. */
  runAt?: Date;
  /** The earliest start, as a time from now by the database's clock. Not together with `runAt`. */
  delay?: Duration;
  /** The latest start; after this time it ends as `expired`. */
  expiresAt?: Date;
  /** The latest start, as a time from now, instead of the job's. */
  expiresIn?: Duration;
  /** The key, instead of the job's `key`. */
  key?: string;
  /** What the key means, instead of the job's `unique`. */
  unique?: Unique;
  /** The lane, instead of the job's `lane`. */
  lane?: string;
  /** The limit key, instead of the job's `limitKey`. */
  limitKey?: string;
  /**
   * Tasks that must have ended before: one id, or up to 1,000. They are there already, in this transaction or committed. Until then it is parked.
   * An empty list waits for nothing.
   */
  after?: TaskId | readonly TaskId[];
  /**
   * What one of `after` means that is not done: `wait` (default): a dead letter is waited for until it is retried; one that was cancelled,
   * expired or removed cancels this task. `cancel`: a dead one does so at once. `run`: any end counts.
   */
  onDead?: "wait" | "cancel" | "run";
  /** Maximum number of attempts, instead of the policy's. */
  maxAttempts?: number;
  /** Stored with the payload and passed to the handler: trace, correlation, tenant … */
  meta?: Record<string, unknown>;
}

export interface Enqueued {
  id: TaskId;
  /**
   * `duplicate`: a task has the key, and `id` is that task's. With `unique`: `replaced`: it takes the place of the one that waited, or
   * could not be stopped; `debounced`: it takes its place, and waits on.
   */
  outcome: "created" | "duplicate" | "replaced" | "debounced";
}

/** 0 (first) to 3 (last), within a queue. */
export const priority: Field<number> = integer({ help: "0 (first) to 3 (last)", min: 0, max: 3 });
const span = (help: string) => duration({ help, maxMs: DURATION_MS_MAX });
const TASKS = several(numberId("a task"), "tasks that must have ended before") as Field<
  TaskId | readonly TaskId[],
  string[]
>;
const FIELDS = {
  priority,
  runAt: time("start at this time or later"),
  delay: span("start after this duration or later"),
  expiresAt: time("not started after this time"),
  expiresIn: span("the same, so much from now"),
  key: nullIsNone(name("instead of what the job's `key` gives")),
  unique: nullIsNone(unique),
  lane: nullIsNone(name("instead of what the job's `lane` gives", "name", LANE_CHARS_MAX)),
  limitKey: nullIsNone(name("instead of what the job's `limitKey` gives", "name", LANE_CHARS_MAX)),
  after: nullIsNone(TASKS),
  onDead: choice(["wait", "cancel", "run"]),
  maxAttempts: integer({ help: "maximum number of attempts", max: ATTEMPTS_MAX }),
  meta: nullIsNone(object<Record<string, unknown>>("kept beside the payload")),
} satisfies FieldsOf<EnqueueOptions>;
const CALL = { ...FIELDS, tx: anything("the transaction, which `chosenTransaction` checks") };

/** The options of `enqueue`, read. */
export type EnqueueRead = Omit<EnqueueOptions, "after" | "delay" | "expiresIn" | "unique"> & {
  after?: string[];
  delay?: number;
  expiresIn?: number;
  unique?: UniqueRow;
};

/** @throws PawlError `invalid_option` naming the job and the option */
export function readEnqueue(job: AnyJob, given: unknown): EnqueueRead {
  const where = `enqueue "${job.name}"`;
  const read = readOptions(where, CALL, given);
  const { key, delay, runAt } = read;
  if (read.unique !== undefined && key === undefined && job.key === null)
    throw uniqueWithoutKey(where);
  const mode = read.unique ?? job.unique;
  const isLast = mode !== null && !("for_ms" in mode);
  const { after, onDead } = read;
  if (mode !== null && "debounce_ms" in mode) refuseTime(where, "debounce", { delay, runAt });
  if (after !== undefined) refuseTime(where, "after", { delay, runAt });
  if (after !== undefined && isLast)
    throw badOption(where, "after", "left out, as `unique` replaces what waits", after);
  if (onDead !== undefined && after === undefined)
    throw badOption(where, "onDead", "left out without `after`", onDead);
  return read;
}

function refuseTime(where: string, by: string, times: { delay: unknown; runAt: unknown }): void {
  for (const [option, given] of Object.entries(times))
    if (given !== undefined)
      throw badOption(where, option, `left out, as \`${by}\` says when it starts`, given);
}

/** What the tasks of one call share, as JSON text. */
export function sharedJson(job: AnyJob, options: EnqueueRead, bytesMax: number): string {
  const fields = [
    `"kind":${JSON.stringify(job.name)}`,
    `"queue":${JSON.stringify(job.queue)}`,
    ...optionFields(job, options, bytesMax),
  ];
  return `{${fields.join(",")}}`;
}

/**
 * The inputs, each as JSON; what the schema checks is what JSON makes of them, since that is what the handler will get.
 * @param first the place of the first one in the call; undefined: it is the only one
 * @throws PawlError `invalid_payload`, `payload_not_json`, `payload_too_large`, with the place of the input, as in SQL
 */
export async function payloadTexts(
  job: AnyJob,
  inputs: readonly unknown[],
  { bytesMax, first }: { bytesMax: number; first?: number },
): Promise<string[]> {
  const what = `payload of job "${job.name}"`;
  const payloads: string[] = [];
  try {
    for (const input of inputs) {
      const { text, isSame } = jsonForm(input, { what, bytesMax });
      const checking = validateInput(job, isSame ? input : JSON.parse(text), isSame);
      if (checking !== undefined) await checking;
      payloads.push(text);
    }
  } catch (error) {
    throw first === undefined
      ? error
      : ofIt(`task no. ${first + payloads.length} of the call`, error);
  }
  return payloads;
}

/** True when each task may have a key, a lane or a limit key of its own: then they are written one by one. */
export function isKeyed(job: AnyJob, { key, lane, limitKey, after }: EnqueueRead): boolean {
  const given = [key, lane, limitKey, after].some((one) => one !== undefined);
  return given || job.key !== null || job.lane !== null || job.limitKey !== null;
}

export interface KeyedTask {
  key: string | undefined;
  lane: string | undefined;
  json: string;
}

/** The same as whole tasks, as a JSON array. */
export function tasksJson(...given: Parameters<typeof keyedTasks>): string {
  return `[${keyedTasks(...given)
    .map(({ json }) => json)
    .join(",")}]`;
}

/** The same, each with its key, lane and limit key. `payloads` are the JSON of `inputs`. */
export function keyedTasks(
  job: AnyJob,
  inputs: readonly unknown[],
  payloads: readonly string[],
  { shared, options }: { shared: string; options: EnqueueRead },
): KeyedTask[] {
  const where = `job "${job.name}"`;
  const mode = options.unique ?? job.unique;
  return inputs.map((input, i) => {
    const key = options.key ?? job.key?.(input as never);
    const lane = options.lane ?? job.lane?.(input as never);
    const limitKey = options.limitKey ?? job.limitKey?.(input as never);
    const fields = [
      shared.slice(1, -1),
      `"payload":${payloads[i]}`,
      ...(key === undefined ? [] : [`"key":${nameJson(where, "key", key)}`]),
      ...(key === undefined || mode === null ? [] : [`"unique":${JSON.stringify(mode)}`]),
      ...(lane === undefined ? [] : [`"lane":${nameJson(where, "lane", lane)}`]),
      ...(limitKey === undefined ? [] : [`"limit_key":${nameJson(where, "limitKey", limitKey)}`]),
    ];
    return { key, lane, json: `{${fields.join(",")}}` };
  });
}

/** A key, a lane or a limit key that a function of the app has answered, as JSON. @throws PawlError `invalid_option` */
export function nameJson(
  where: string,
  option: "key" | "lane" | "limitKey",
  value: unknown,
): string {
  if (typeof value !== "string") unheard(() => value); // a promise is none, and may reject
  return JSON.stringify(readValue(where, option, FIELDS[option], value));
}

function optionFields(job: AnyJob, options: EnqueueRead, bytesMax: number): string[] {
  const { priority: place, maxAttempts, meta, runAt, delay, expiresAt } = options;
  refuseBoth(job, { runAt, delay });
  refuseBoth(job, { expiresAt, expiresIn: options.expiresIn });
  const ttlMs = expiresAt === undefined ? (options.expiresIn ?? job.expiresInMs) : null;
  const fields: string[] = [];
  if (place !== undefined) fields.push(`"priority":${place}`);
  if (maxAttempts !== undefined) fields.push(`"max_attempts":${maxAttempts}`);
  if (meta !== undefined)
    fields.push(`"meta":${toJson(meta, { what: `meta of job "${job.name}"`, bytesMax })}`);
  if (runAt !== undefined) fields.push(`"run_at":"${runAt.toISOString()}"`);
  if (options.after !== undefined) fields.push(`"after":${JSON.stringify(options.after)}`);
  if (options.onDead !== undefined) fields.push(`"on_dead":"${options.onDead}"`);
  if (delay !== undefined) fields.push(`"delay_ms":${delay}`);
  if (expiresAt !== undefined) fields.push(`"expires_at":"${expiresAt.toISOString()}"`);
  if (ttlMs !== null) fields.push(`"ttl_ms":${ttlMs}`);
  return fields;
}

function refuseBoth(job: AnyJob, options: Record<string, unknown>): void {
  const given = Object.keys(options).filter((one) => options[one] !== undefined);
  if (given.length < 2) return;
  throw new PawlError(
    "invalid_option",
    `job "${job.name}": both \`${given[0]}\` and \`${given[1]}\` are given; give one`,
  );
}
