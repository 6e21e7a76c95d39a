/**
 * Delivers an event by enqueueing a job in the delivery's own transaction: the job exists exactly if the delivery is
 * recorded as done, however often it is tried.
 */

import { PawlError } from "../../base/errors.ts";
import { withFields } from "../../base/json-text.ts";
import { badOption } from "../../base/options.ts";
import type { EnqueueRow } from "../../kernel/sql.ts";
import { type FieldsOf, readOptions, required } from "../../options/field.ts";
import { func, name } from "../../options/kinds.ts";
import { payloadTexts, priority, sharedJson, tasksJson } from "../../queue/enqueue.ts";
import { type AnyJob, type JobInput, validateInput } from "../../queue/job.ts";
import { COMMON, type CommonOptions, commonDefinition } from "./common-options.ts";
import { deliveryMetaText, envelope, envelopeText } from "./envelope.ts";
import { deadIfUnfit, exactText, INPUT_BYTES_MAX, writeTask } from "./into-task.ts";
import { enqueueKnown, type KnownTask } from "./sql.ts";
import type { Delivery, DeliveryContext, DestinationDefinition, OutboxEvent } from "./types.ts";

const WHERE = "job destination";
const DEFAULTS = { timeoutMs: 30_000 };
const NAME_CHARS_MAX = 200;
export interface ToJobOptions<J extends AnyJob = AnyJob> extends CommonOptions {
  /** Makes the job's input. Default: the same object that a webhook sends. */
  input?: (event: OutboxEvent) => JobInput<J> | Promise<JobInput<J>>;
  /** Priority of the jobs, 0 (first) to 3; default 1. */
  priority?: number;
}

const FIELDS = {
  ...COMMON,
  input: func<NonNullable<ToJobOptions["input"]>>("of the event"),
  priority,
} satisfies FieldsOf<ToJobOptions>;

/**
 * Returns a destination that enqueues `job`, which must be one of the app's `jobs`. The job's `meta` has eventId, eventName,
 * deliveryId, destinationId and destinationKey, and the event's own meta. If the input does not fit the job's schema, the
 * delivery is dead at once.
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
  const read = readOptions("toJob", FIELDS, options);
  const { input } = options;
  const settings = read.priority === undefined ? {} : { priority: read.priority };
  return {
    ...commonDefinition(read, DEFAULTS),
    type: "job",
    config: { job: job.name, queue: job.queue },
    deliver: async (delivery, context) => {
      const { event } = delivery;
      const given = input === undefined ? envelope(event) : await input(event);
      const tasks = await deadIfUnfit(async () => {
        const settled = sharedJson(job, settings, INPUT_BYTES_MAX);
        const shared = `${settled.slice(0, -1)},"meta":${deliveryMetaText(delivery)}}`;
        const payloads = [
          await inputText(job, given, exactText(event, given, input === undefined)),
        ];
        return tasksJson(job, [given], payloads, { shared, options: {} });
      });
      return enqueued({ kind: job.name, tasks, isEvent: input === undefined }, context);
    },
  };
}

async function inputText(job: AnyJob, given: unknown, exact: string | undefined): Promise<string> {
  if (exact === undefined)
    return (await payloadTexts(job, [given], { bytesMax: INPUT_BYTES_MAX }))[0] ?? "null";
  await validateInput(job, given, true);
  return exact;
}

export interface JobKindOptions extends CommonOptions {
  /** The name of a job that some worker's code defines. */
  job: string;
  /** Where it waits; default the queue of the newest definition. */
  queue?: string;
}

const NAMED = {
  ...COMMON,
  job: required(name("of a job", "name", NAME_CHARS_MAX)),
  queue: name("where it waits", "name", NAME_CHARS_MAX),
} satisfies FieldsOf<JobKindOptions>;

/**
 * The same by the job's name, its input the object that a webhook sends: for operators, who have no code.
 *
 * @throws PawlError `invalid_option`
 */
export function toJobNamed(options: JobKindOptions): DestinationDefinition {
  const { job: kind, queue, ...common } = readOptions(WHERE, NAMED, options);
  const target = { kind, ...(queue !== undefined && { queue }) };
  return {
    ...commonDefinition(common, DEFAULTS),
    type: "job",
    config: { job: kind, ...(queue !== undefined && { queue }) },
    deliver: (delivery, context) =>
      enqueued({ kind, tasks: taskOf(target, delivery), isEvent: true }, context),
  };
}

function taskOf(target: { kind: string; queue?: string }, delivery: Delivery): string {
  const payload = envelopeText(delivery.event);
  return `[{"payload":${payload},"meta":${withFields(deliveryMetaText(delivery), {})},${JSON.stringify(target).slice(1)}]`;
}

async function enqueued(task: KnownTask, { tx }: DeliveryContext): Promise<{ summary: string }> {
  const { kind } = task;
  const [row] = await writeTask(tx, (executor) => enqueueKnown(executor, task));
  if (row !== undefined) return { summary: summaryOf(kind, row) };
  throw new PawlError(
    "unknown_kind",
    `${WHERE}: no job "${kind}" is defined; add it to the app's \`jobs\` and start a worker, or correct the destination`,
    { data: { kind } },
  );
}

function summaryOf(kind: string, { id, outcome }: EnqueueRow): string {
  const named = `job ${id} (${kind})`;
  if (outcome === "created") return `enqueued as ${named}`;
  if (outcome === "duplicate") return `${named} has the same key already`;
  return `${outcome} under the same key: ${named}`;
}
