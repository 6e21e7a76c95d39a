/**
 * Delivers an event by enqueueing a job in the delivery's own transaction: the job is there exactly when the delivery
 * is recorded as done, however often the delivery is tried.
 */

import { PawlError } from "../../base/errors.ts";
import { toJson } from "../../base/json.ts";
import { badOption, refuseUnknownOptions } from "../../base/options.ts";
import type { EnqueueRow } from "../../kernel/sql.ts";
import { InvalidPayload } from "../../kernel/task.ts";
import { payloadTexts, sharedJson, tasksJson } from "../../queue/enqueue.ts";
import type { AnyJob, JobInput } from "../../queue/job.ts";
import { inForeignTransaction } from "../../store/transaction.ts";
import { COMMON_OPTIONS, type CommonOptions, commonDefinition } from "./common-options.ts";
import { deliveryMeta, envelope } from "./envelope.ts";
import { enqueueKnown } from "./sql.ts";
import type { Delivery, DeliveryContext, DestinationDefinition, OutboxEvent } from "./types.ts";

const WHERE = "job destination";
const TIMEOUT_DEFAULT = "30s";
/** The largest that an app may permit; the database holds the app's own limit. */
const BYTES_MAX = 64 * 1_048_576;
const NAME_CHARS_MAX = 200;
/** The event makes them: no further try can help. */
const ABOUT_THE_INPUT: ReadonlySet<string> = new Set([
  "invalid_payload",
  "payload_not_json",
  "payload_too_large",
]);

export interface ToJobOptions<J extends AnyJob = AnyJob> extends CommonOptions {
  /** The job's input; default the same object that a webhook sends. */
  input?: (event: OutboxEvent) => JobInput<J> | Promise<JobInput<J>>;
  /** Of the jobs: 0 (first) to 3; default 1. */
  priority?: number;
}

/**
 * A destination that enqueues `job`, which must be one of the app's `jobs`. The job's `meta` holds eventId, eventName,
 * deliveryId, destinationId and destinationKey beside the event's own. An input that does not fit the job's schema
 * makes the delivery dead at once.
 *
 * @throws PawlError `invalid_option`
 */
export function toJob<J extends AnyJob>(
  job: J,
  options: ToJobOptions<J> = {},
): DestinationDefinition {
  if (typeof job?.run !== "function" || typeof job.input?.["~standard"]?.validate !== "function") {
    throw badOption(WHERE, "job", "a job made by defineJob(...)", job);
  }
  refuseUnknownOptions("toJob", options, ["input", "priority", ...COMMON_OPTIONS]);
  const { input = envelope, priority } = options;
  if (typeof input !== "function")
    throw badOption(WHERE, "input", "a function of the event", input);
  const settings = priority === undefined ? {} : { priority };
  sharedJson(job, settings, BYTES_MAX); // refuses a priority that cannot be
  return {
    ...commonDefinition(WHERE, options, { timeout: TIMEOUT_DEFAULT }),
    type: "job",
    config: { job: job.name, queue: job.queue },
    deliver: async (delivery, context) => {
      const given = await input(delivery.event);
      const tasks = await deadIfUnfit(async () => {
        const shared = sharedJson(job, { ...settings, meta: deliveryMeta(delivery) }, BYTES_MAX);
        const payloads = await payloadTexts(job, [given], BYTES_MAX);
        return tasksJson(job, [given], payloads, { shared, options: {} });
      });
      return enqueued(job.name, tasks, context);
    },
  };
}

export interface JobKindOptions extends CommonOptions {
  /** The name of a job that some worker's code defines. */
  job: string;
  /** Where it waits; default the queue of the newest definition. */
  queue?: string;
}

/**
 * The same by the job's name, its input the object that a webhook sends: for operators, who have no code.
 *
 * @throws PawlError `invalid_option`
 */
export function toJobNamed(options: JobKindOptions): DestinationDefinition {
  refuseUnknownOptions(WHERE, options, ["job", "queue", ...COMMON_OPTIONS]);
  const { job, queue } = options;
  const kind = name("job", job);
  const target = { kind, ...(queue !== undefined && { queue: name("queue", queue) }) };
  return {
    ...commonDefinition(WHERE, options, { timeout: TIMEOUT_DEFAULT }),
    type: "job",
    config: { job, ...(queue !== undefined && { queue }) },
    deliver: (delivery, context) => enqueued(kind, taskOf(target, delivery), context),
  };
}

function taskOf(target: { kind: string; queue?: string }, delivery: Delivery): string {
  const task = { ...target, payload: envelope(delivery.event), meta: deliveryMeta(delivery) };
  return `[${toJson(task, { what: `payload of job "${target.kind}"`, bytesMax: BYTES_MAX })}]`;
}

async function enqueued(
  kind: string,
  tasks: string,
  { tx }: DeliveryContext,
): Promise<{ summary: string }> {
  const write = (): Promise<EnqueueRow[]> =>
    inForeignTransaction(tx, sameText, (executor) => enqueueKnown(executor, kind, tasks));
  const [row] = await deadIfUnfit(write);
  if (row !== undefined) return { summary: summaryOf(kind, row) };
  throw new PawlError(
    "unknown_kind",
    `${WHERE}: no job "${kind}" is defined; add it to the app's \`jobs\` and start a worker, or correct the destination`,
    { data: { kind } },
  );
}

function summaryOf(kind: string, { id, outcome }: EnqueueRow): string {
  return outcome === "created"
    ? `enqueued as job ${id} (${kind})`
    : `job ${id} (${kind}) waits already under the same key`;
}

/** The transaction of a task puts the schema's name in by itself. */
function sameText(text: string): string {
  return text;
}

async function deadIfUnfit<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PawlError && ABOUT_THE_INPUT.has(error.code)) {
      throw new InvalidPayload(error.message, { cause: error });
    }
    throw error;
  }
}

function name(option: string, value: unknown): string {
  if (typeof value === "string" && value !== "" && value.length <= NAME_CHARS_MAX) return value;
  throw badOption(WHERE, option, `a text of 1 to ${NAME_CHARS_MAX} characters`, value);
}
