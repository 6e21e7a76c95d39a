/** A process is a versioned list of named steps; any Standard Schema types its input, and each step's output types the next ones. */

import type { StandardSchemaV1 } from "@standard-schema/spec";
import { DURATION_MS_MAX, type Duration } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { type RetryPolicy, type RetrySeries, retry } from "../kernel/retry.ts";
import { type FieldsOf, named, readOptions, required, withDefault } from "../options/field.ts";
import { duration, func, identifier, integer, text } from "../options/kinds.ts";
import { group, listOf } from "../options/parts.ts";
import { schema } from "../options/schema.ts";
import { timer } from "../queue/queue-options.ts";
import { columns, type RunColumn } from "./columns.ts";
import type { StepContext } from "./context.ts";
import { type Hooks, withHooks } from "./hooks.ts";
import { type MigrateRun, migrations } from "./migrate/option.ts";
import { type Path, redactPaths } from "./redact.ts";
import { isProcess, type Step } from "./step.ts";
import { Steps, stepsOf } from "./steps.ts";

const NAME_CHARS_MAX = 200;
const VERSION_MAX = 999_999_999;
const TITLE_CHARS_MAX = 200;

/** Before the first step. A type to which any step that reads no outputs fits. */
type NoOutputs = Record<never, never>;

export interface ProcessOptions<Schema extends StandardSchemaV1, Outputs, Output> {
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
    steps: Steps<StandardSchemaV1.InferOutput<Schema>, NoOutputs>,
  ) => Steps<StandardSchemaV1.InferOutput<Schema>, Outputs, Output>;
  /** While a run with this key lives, starting another one returns `duplicate` with the first one's id. */
  key?: (input: StandardSchemaV1.InferInput<Schema>) => string | undefined;
  /** Runs of all processes with the same lane run one at a time, in the order in which they were started. */
  lane?: (input: StandardSchemaV1.InferInput<Schema>) => string | undefined;
  /** How failures of steps are retried; default: 4 attempts, after 1 s, 2 s and 4 s. */
  retry?: RetryPolicy;
  /** Time limit of one attempt of a step; default 5 minutes. */
  timeout?: Duration;
  /**
   * Looks at a run before its first step. A text that it returns says what is wrong, and puts the run into error at once; so does what it
   * throws. Like `start` and `finish` it is a step of its own, with this name.
   */
  validate?: (context: StepContext<StandardSchemaV1.InferOutput<Schema>, NoOutputs>) => unknown;
  /** Called once before the first step. It is done, retried and recorded as a `call` is, under the name `start`. */
  start?: (context: StepContext<StandardSchemaV1.InferOutput<Schema>, NoOutputs>) => unknown;
  /** Called once after the last step, and after `end()`; under the name `finish`. If it fails, only it is tried again. */
  finish?: (
    context: StepContext<StandardSchemaV1.InferOutput<Schema>, Partial<NoInfer<Outputs>>>,
  ) => unknown;
  /** Called before each attempt of a step. What it throws fails the attempt. */
  beforeStep?: (context: StepContext<StandardSchemaV1.InferOutput<Schema>>) => unknown;
  /** Called when an attempt of a step has failed, with what was thrown. It changes nothing about the run. */
  onError?: (error: unknown, context: StepContext<StandardSchemaV1.InferOutput<Schema>>) => unknown;
  /**
   * What becomes of runs of other versions when `pawl processes migrate` moves them to this one, by their versions:
   * `migrate: { 1: (run) => ({ step: "pay" }) }`. Each only computes.
   */
  migrate?: Readonly<Record<number, MigrateRun>>;
  /**
   * Paths of what `context.sent` does not keep of its payloads: `["card.number", "*.password"]`. `*` is any name, or any place of a list.
   */
  redact?: readonly string[];
  /**
   * What lists of runs show beside what all runs have: `{ order: "input.order", total: "data.total", tenant: "meta.tenant" }`. Whoever may list
   * runs sees it.
   */
  columns?: Readonly<Record<string, string>>;
  /**
   * How long payloads of `context.sent` are kept, by default 30 days; and, after the end of a run, what its steps have returned and merged, by
   * default as long as the run is known. At most as long as that.
   */
  keep?: { sent?: Duration; results?: Duration };
  /** Earlier versions whose runs this app still finishes. */
  older?: readonly AnyProcess[];
}

export interface Process<Schema extends StandardSchemaV1 = StandardSchemaV1, Output = unknown> {
  readonly name: string;
  readonly title: string;
  readonly version: number;
  readonly input: Schema;
  readonly steps: readonly Step[];
  readonly key: ((input: StandardSchemaV1.InferInput<Schema>) => string | undefined) | null;
  readonly lane: ((input: StandardSchemaV1.InferInput<Schema>) => string | undefined) | null;
  readonly retry: RetrySeries;
  readonly timeoutMs: number;
  /** False: `timeoutMs` is the default, and nobody has said how long a step may last. */
  readonly hasTimeout: boolean;
  readonly beforeStep: ((context: StepContext) => unknown) | null;
  readonly onError: ((error: unknown, context: StepContext) => unknown) | null;
  readonly migrate: Readonly<Record<number, MigrateRun>>;
  readonly redact: readonly Path[];
  readonly columns: readonly RunColumn[];
  readonly keepMs: { readonly sent: number; readonly results?: number };
  readonly older: readonly AnyProcess[];
  /** Only its type is there: what the last step returns. */
  readonly "~output"?: Output;
}

/** Any process. Its functions get only what its own schema has made. */
export interface AnyProcess extends Omit<Process, "key" | "lane"> {
  readonly key: ((input: never) => string | undefined) | null;
  readonly lane: ((input: never) => string | undefined) | null;
}

/** What `start` takes for a process: the schema's input type. */
export type ProcessInput<P extends AnyProcess> = StandardSchemaV1.InferInput<P["input"]>;

/** How long one attempt of a step may take where nobody has said it. */
const STEP_MS_DEFAULT = 300_000;

const KEEP_SENT_MS_DEFAULT = 30 * 86_400_000;

type AnyOptions = ProcessOptions<StandardSchemaV1, unknown, unknown>;

const kept = duration({ help: "how long it is kept", maxMs: DURATION_MS_MAX });
const FIELDS = {
  name: required(identifier(NAME_CHARS_MAX)),
  title: text("for operators", "text", TITLE_CHARS_MAX),
  version: required(integer({ help: "rises when the steps change", max: VERSION_MAX })),
  input: required(schema("what its input has to fit")),
  steps: required(func<AnyOptions["steps"]>("of the steps to add to")),
  key: func<NonNullable<AnyOptions["key"]>>("of the input"),
  lane: func<NonNullable<AnyOptions["lane"]>>("of the input"),
  retry: withDefault({}, retry),
  timeout: timer("the longest run of one attempt of a step"),
  validate: func<NonNullable<AnyOptions["validate"]>>("of the context, before the first step"),
  start: func<NonNullable<AnyOptions["start"]>>("of the context, before the first step"),
  finish: func<NonNullable<AnyOptions["finish"]>>("of the context, after the last step"),
  beforeStep: func<NonNullable<AnyOptions["beforeStep"]>>("of the step's context"),
  onError: func<NonNullable<AnyOptions["onError"]>>("of the error and the step's context"),
  migrate: withDefault({}, migrations),
  redact: withDefault([], redactPaths),
  columns: withDefault({}, columns),
  keep: withDefault(
    {},
    group("of what its steps sent and returned", {
      sent: withDefault(KEEP_SENT_MS_DEFAULT, kept),
      results: kept,
    }),
  ),
  older: withDefault([], listOf<AnyProcess>("each made by defineProcess")),
} satisfies FieldsOf<AnyOptions>;

/**
 * Defines a process.
 *
 * @throws PawlError `invalid_option`, `duplicate_name`
 */
export function defineProcess<Schema extends StandardSchemaV1, Outputs, Output>(
  options: ProcessOptions<Schema, Outputs, Output>,
): Process<Schema, Output> {
  const where = named("defineProcess", "process", options);
  const read = readOptions(where, FIELDS, options);
  const own = stepsOf(read.steps(new Steps(where) as never), where);
  const steps = withHooks(own, read as Hooks, where);
  const process = {
    name: read.name,
    title: read.title ?? read.name,
    version: read.version,
    input: read.input,
    steps,
    key: read.key ?? null,
    lane: read.lane ?? null,
    retry: read.retry,
    timeoutMs: read.timeout ?? STEP_MS_DEFAULT,
    hasTimeout: read.timeout !== undefined,
    beforeStep: read.beforeStep ?? null,
    onError: read.onError ?? null,
    migrate: read.migrate,
    redact: read.redact,
    columns: read.columns,
    keepMs: read.keep,
    older: read.older,
  };
  if (process.migrate[process.version] !== undefined) {
    throw new PawlError(
      "invalid_option",
      `${where}: \`migrate\` has version ${process.version}, which is this one; runs come from other versions`,
    );
  }
  checkOlder(process as AnyProcess, where);
  return Object.freeze(process) as unknown as Process<Schema, Output>;
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
