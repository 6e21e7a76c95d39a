/** A process is a versioned list of named steps; any Standard Schema types its input, and each step's output types the next ones. */

import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Duration } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { type RetryPolicy, type RetrySeries, retry } from "../kernel/retry.ts";
import { type FieldsOf, named, readOptions, required, withDefault } from "../options/field.ts";
import { func, identifier, integer, text } from "../options/kinds.ts";
import { listOf } from "../options/parts.ts";
import { schema } from "../options/schema.ts";
import { timer } from "../queue/queue-options.ts";
import type { StepContext } from "./context.ts";
import type { Step } from "./step.ts";
import { Steps, stepsOf } from "./steps.ts";

const NAME_CHARS_MAX = 200;
const VERSION_MAX = 999_999_999;
const TITLE_CHARS_MAX = 200;

export interface ProcessOptions<Schema extends StandardSchemaV1, Outputs> {
  /** Must be unique in the app, and must not change: runs carry it. */
  name: string;
  /** For operators; default: the name. */
  title?: string;
  /**
   * Raise it when the names, the kinds or the order of the steps change: runs end on the version that they began with. A worker
   * refuses to start with other steps under the same number while there are runs of it.
   */
  version: number;
  /** What a run is about. Checked when a run is started, and again before its steps run. */
  input: Schema;
  /** The steps, in order: `steps: (s) => s.tx("reserve", …).call("pay", …)`. */
  steps: (
    steps: Steps<StandardSchemaV1.InferOutput<Schema>, object>,
  ) => Steps<StandardSchemaV1.InferOutput<Schema>, Outputs>;
  /** While a run with this key lives, starting another one returns `duplicate` with the first one's id. */
  key?: (input: StandardSchemaV1.InferInput<Schema>) => string | undefined;
  /** Runs of all processes with the same lane run one at a time, in the order in which they were started. */
  lane?: (input: StandardSchemaV1.InferInput<Schema>) => string | undefined;
  /** How failures of steps are retried; default: 4 attempts, after 1 s, 2 s and 4 s. */
  retry?: RetryPolicy;
  /** Time limit of one attempt of a step; default 5 minutes. */
  timeout?: Duration;
  /** Called before each attempt of a step. What it throws fails the attempt. */
  beforeStep?: (context: StepContext<StandardSchemaV1.InferOutput<Schema>>) => unknown;
  /** Called when an attempt of a step has failed, with what was thrown. It changes nothing about the run. */
  onError?: (error: unknown, context: StepContext<StandardSchemaV1.InferOutput<Schema>>) => unknown;
  /** Earlier versions whose runs this app still finishes. */
  older?: readonly AnyProcess[];
}

export interface Process<Schema extends StandardSchemaV1 = StandardSchemaV1> {
  readonly name: string;
  readonly title: string;
  readonly version: number;
  readonly input: Schema;
  readonly steps: readonly Step[];
  readonly key: ((input: StandardSchemaV1.InferInput<Schema>) => string | undefined) | null;
  readonly lane: ((input: StandardSchemaV1.InferInput<Schema>) => string | undefined) | null;
  readonly retry: RetrySeries;
  readonly timeoutMs: number;
  readonly beforeStep: ((context: StepContext) => unknown) | null;
  readonly onError: ((error: unknown, context: StepContext) => unknown) | null;
  readonly older: readonly AnyProcess[];
}

/** Any process. Its functions get only what its own schema has made. */
export interface AnyProcess extends Omit<Process, "key" | "lane"> {
  readonly key: ((input: never) => string | undefined) | null;
  readonly lane: ((input: never) => string | undefined) | null;
}

/** What `start` takes for a process: the schema's input type. */
export type ProcessInput<P extends AnyProcess> = StandardSchemaV1.InferInput<P["input"]>;

type AnyOptions = ProcessOptions<StandardSchemaV1, unknown>;

const FIELDS = {
  name: required(identifier(NAME_CHARS_MAX)),
  title: text("for operators", "text", TITLE_CHARS_MAX),
  version: required(integer({ help: "rises when the steps change", max: VERSION_MAX })),
  input: required(schema("what its input has to fit")),
  steps: required(func<AnyOptions["steps"]>("of the steps to add to")),
  key: func<NonNullable<AnyOptions["key"]>>("of the input"),
  lane: func<NonNullable<AnyOptions["lane"]>>("of the input"),
  retry: withDefault({}, retry),
  timeout: withDefault("5m", timer("the longest run of one attempt of a step")),
  beforeStep: func<NonNullable<AnyOptions["beforeStep"]>>("of the step's context"),
  onError: func<NonNullable<AnyOptions["onError"]>>("of the error and the step's context"),
  older: withDefault([], listOf<AnyProcess>("each made by defineProcess")),
} satisfies FieldsOf<AnyOptions>;

/**
 * Defines a process.
 *
 * @throws PawlError `invalid_option`, `duplicate_name`
 */
export function defineProcess<Schema extends StandardSchemaV1, Outputs>(
  options: ProcessOptions<Schema, Outputs>,
): Process<Schema> {
  const where = named("defineProcess", "process", options);
  const read = readOptions(where, FIELDS, options);
  const steps = stepsOf(read.steps(new Steps(where) as never), where);
  const process = {
    name: read.name,
    title: read.title ?? read.name,
    version: read.version,
    input: read.input,
    steps,
    key: read.key ?? null,
    lane: read.lane ?? null,
    retry: read.retry,
    timeoutMs: read.timeout,
    beforeStep: read.beforeStep ?? null,
    onError: read.onError ?? null,
    older: read.older,
  };
  checkOlder(process as AnyProcess, where);
  return Object.freeze(process) as unknown as Process<Schema>;
}

function checkOlder({ name, version, older }: AnyProcess, where: string): void {
  const seen = new Set([version]);
  for (const one of older) {
    if (!isProcess(one) || one.name !== name) {
      throw new PawlError(
        "invalid_option",
        `${where}: expected \`older\` to be versions of ${shown(name)}, made by defineProcess(...), got ${shown(isProcess(one) ? one.name : one)}`,
      );
    }
    if (seen.has(one.version)) {
      throw new PawlError(
        "duplicate_name",
        `${where}: version ${one.version} is given twice; each of \`older\` has a number of its own`,
      );
    }
    seen.add(one.version);
  }
}

export function isProcess(value: unknown): value is AnyProcess {
  return typeof value === "object" && value !== null && "steps" in value && "older" in value;
}

/** What may not change under the same version. */
export interface ShapeStep {
  readonly name: string;
  readonly kind: string;
  readonly signal?: string;
}

export function shapeOf({ steps }: AnyProcess): ShapeStep[] {
  return steps.map(({ name, kind, signal }) => ({
    name,
    kind,
    ...(signal !== null && { signal }),
  }));
}
