/**
 * Delivers an event by enqueueing a job in the delivery's own transaction: the job exists exactly if the delivery is
 * recorded as done, however often it is tried.
 */

import { PawlError } from "../../base/errors.ts";
import { textIfSame, withFields } from "../../base/json-text.ts";
import { badOption } from "../../base/options.ts";
import { isA } from "../../base/thrown.ts";
import type { EnqueueRow } from "../../kernel/sql.ts";
import { InvalidPayload } from "../../kernel/task.ts";
import { type FieldsOf, readOptions, required } from "../../options/field.ts";
import { func, name } from "../../options/kinds.ts";
import { payloadTexts, priority, sharedJson, tasksJson } from "../../queue/enqueue.ts";
import { type AnyJob, type JobInput, validateInput } from "../../queue/job.ts";
import { inForeignTransaction } from "../../store/transaction.ts";
import { COMMON, type CommonOptions, commonDefinition } from "./common-options.ts";
import { deliveryMetaText, envelope, envelopeText } from "./envelope.ts";
import { enqueueKnown, type KnownTask } from "./sql.ts";
import type { Delivery, DeliveryContext, DestinationDefinition, OutboxEvent } from "./types.ts";

const WHERE = "job destination";
const DEFAULTS = { timeoutMs: 30_000 };
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
        const settled = sharedJson(job, settings, BYTES_MAX);
        const shared = `${settled.slice(0, -1)},"meta":${deliveryMetaText(delivery)}}`;
        const payloads = [await inputText(job, given, exactText(event, given, input))];
        return tasksJson(job, [given], payloads, { shared, options: {} });
      });
      return enqueued({ kind: job.name, tasks, isEvent: input === undefined }, context);
    },
  };
}

/** The stored text, if the input is the event's own. */
function exactText(event: OutboxEvent, given: unknown, input: unknown): string | undefined {
  if (input === undefined) return envelopeText(event);
  const isPayload = typeof given === "object" && given !== null && given === event.payload;
  return isPayload ? textIfSame(given, event.payloadText) : undefined;
}

async function inputText(job: AnyJob, given: unknown, exact: string | undefined): Promise<string> {
  if (exact === undefined) return (await payloadTexts(job, [given], BYTES_MAX))[0] ?? "null";
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
  const write = (): Promise<EnqueueRow[]> =>
    inForeignTransaction(tx, sameText, (executor) => enqueueKnown(executor, task));
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

/** The transaction of a task inserts the schema's name itself. */
function sameText(text: string): string {
  return text;
}

async function deadIfUnfit<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isA(error, PawlError) && ABOUT_THE_INPUT.has(error.code)) {
      throw new InvalidPayload(error.message, { cause: error });
    }
    throw error;
  }
}
