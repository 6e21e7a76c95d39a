/**
 * Delivers an event by starting a run of a process in the delivery's own transaction: the run exists exactly if the delivery is
 * recorded as done, however often it is tried.
 */

import { PawlError } from "../../base/errors.ts";
import { withFields } from "../../base/json-text.ts";
import { badOption } from "../../base/options.ts";
import { type FieldsOf, readOptions, required } from "../../options/field.ts";
import { func, name } from "../../options/kinds.ts";
import {
  COMMON,
  type CommonOptions,
  commonDefinition,
} from "../../outbox/destinations/common-options.ts";
import { deliveryMetaText, envelope, envelopeText } from "../../outbox/destinations/envelope.ts";
import {
  deadIfUnfit,
  exactText,
  INPUT_BYTES_MAX,
  writeTask,
} from "../../outbox/destinations/into-task.ts";
import type {
  Delivery,
  DeliveryContext,
  DestinationDefinition,
  OutboxEvent,
} from "../../outbox/destinations/types.ts";
import { priority } from "../../queue/enqueue.ts";
import type { AnyProcess, ProcessInput } from "../define-process.ts";
import { runJson } from "../run-json.ts";
import { type StartedRow, startKnown } from "../sql.ts";
import { isProcess } from "../step.ts";

const WHERE = "process destination";
const DEFAULTS = { timeoutMs: 30_000 };
const NAME_CHARS_MAX = 200;

export interface ToProcessOptions<P extends AnyProcess = AnyProcess> extends CommonOptions {
  /** Makes the run's input. Default: the same object that a webhook sends. */
  input?: (event: OutboxEvent) => ProcessInput<P> | Promise<ProcessInput<P>>;
  /** The key, instead of the process's. While a run with it lives, the delivery starts no other one, and succeeds. */
  key?: (event: OutboxEvent) => string | undefined;
  /** The lane, instead of the process's. */
  lane?: (event: OutboxEvent) => string | undefined;
  /** Priority of the runs, 0 (first) to 3; default 1. */
  priority?: number;
}

const FIELDS = {
  ...COMMON,
  input: func<NonNullable<ToProcessOptions["input"]>>("of the event"),
  key: func<NonNullable<ToProcessOptions["key"]>>("of the event"),
  lane: func<NonNullable<ToProcessOptions["lane"]>>("of the event"),
  priority,
} satisfies FieldsOf<ToProcessOptions>;

/**
 * Returns a destination that starts a run of `process`, which must be one of the app's `processes`. The run's `meta` has eventId,
 * eventName, deliveryId, destinationId and destinationKey, and the event's own meta. If the input does not fit the process's
 * schema, the delivery is dead at once.
 *
 * @throws PawlError `invalid_option`
 */
export function toProcess<P extends AnyProcess>(
  process: P,
  options: ToProcessOptions<P> = {},
): DestinationDefinition {
  if (!isProcess(process))
    throw badOption(WHERE, "process", "a process made by defineProcess(...)", process);
  const read = readOptions("toProcess", FIELDS, options);
  const { input } = options;
  return {
    ...commonDefinition(read, DEFAULTS),
    type: "process",
    config: { process: process.name, version: process.version },
    deliver: async (delivery, context) => {
      const { event } = delivery;
      const given = input === undefined ? envelope(event) : await input(event);
      const { text: run } = await deadIfUnfit(() =>
        runJson(process, given, {
          bytesMax: INPUT_BYTES_MAX,
          key: read.key?.(event),
          lane: read.lane?.(event),
          priority: read.priority,
          metaText: deliveryMetaText(delivery),
          inputText: exactText(event, given, input === undefined),
        }),
      );
      const what = { process: process.name, version: process.version };
      return started({ ...what, run, isEvent: input === undefined }, context);
    },
  };
}

export interface ProcessKindOptions extends CommonOptions {
  /** The name of a process that some worker's code defines. */
  process: string;
}

const NAMED = {
  ...COMMON,
  process: required(name("of a process", "name", NAME_CHARS_MAX)),
} satisfies FieldsOf<ProcessKindOptions>;

/**
 * The same by the process's name, in its newest version, its input the object that a webhook sends: for operators, who have no code.
 *
 * @throws PawlError `invalid_option`
 */
export function toProcessNamed(options: ProcessKindOptions): DestinationDefinition {
  const { process, ...common } = readOptions(WHERE, NAMED, options);
  return {
    ...commonDefinition(common, DEFAULTS),
    type: "process",
    config: { process },
    deliver: (delivery, context) =>
      started({ process, run: namedRun(process, delivery), isEvent: true }, context),
  };
}

function namedRun(process: string, delivery: Delivery): string {
  return `{"input":${envelopeText(delivery.event)},"meta":${withFields(deliveryMetaText(delivery), {})},${JSON.stringify({ process }).slice(1)}`;
}

interface KnownRun {
  process: string;
  version?: number;
  /** JSON text. */
  run: string;
  isEvent: boolean;
}

async function started(
  { process, version, run, isEvent }: KnownRun,
  { tx }: DeliveryContext,
): Promise<{ summary: string }> {
  const [row] = await writeTask(tx, (executor) => startKnown(executor, run, isEvent));
  if (row !== undefined) return { summary: summaryOf(process, row) };
  const which = version === undefined ? "" : ` version ${version}`;
  throw new PawlError(
    "unknown_kind",
    `${WHERE}: no process "${process}"${which} is defined; add it to the app's \`processes\` and start a worker, or correct the destination`,
    { data: { process } },
  );
}

function summaryOf(process: string, { id, outcome }: StartedRow): string {
  return outcome === "created"
    ? `started run ${id} (${process})`
    : `run ${id} (${process}) lives already under the same key`;
}
