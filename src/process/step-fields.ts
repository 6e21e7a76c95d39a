/** Reads the options of the kinds of steps. Each reader returns what the step takes from them, and refuses what it does not know. */

import type { StandardSchemaV1 } from "@standard-schema/spec";
import { DURATION_MS_MAX, type Duration } from "../base/duration.ts";
import { isRecord } from "../base/options.ts";
import { retry } from "../kernel/retry.ts";
import {
  type Field,
  type FieldsOf,
  field,
  mapped,
  readOptions,
  required,
  withDefault,
  wrong,
} from "../options/field.ts";
import { choice, duration, flag, func, identifier, integer, name } from "../options/kinds.ts";
import { schema } from "../options/schema.ts";
import { timer } from "../queue/queue-options.ts";
import type { RequestSpec } from "../requests/dispatch/spec.ts";
import type { StepContext } from "./context.ts";
import {
  type CallOptions,
  type ChildOptions,
  type EachOptions,
  type Interrupted,
  type ItemContext,
  isProcess,
  type RunOptions,
  type SendEventOptions,
  type SendOptions,
  type SentEvent,
  type Startable,
  type Step,
  type StepOptions,
  type WaitOptions,
} from "./step.ts";

const NAME_CHARS_MAX = 100;
const CONCURRENCY_MAX = 1_000;
/** Of the signals that tell of the end of tasks. */
const OWN_SIGNALS = "pawl:";

export const STEP_NAME: Field<string> = notOwn(identifier(NAME_CHARS_MAX));
export const SLEEP_TIME: Field<Duration, number> = duration({
  help: "how long it sleeps",
  minMs: 1,
  maxMs: DURATION_MS_MAX,
});

/** A step's name is that of its signal too. */
function notOwn(one: Field<string>): Field<string> {
  return mapped(one, (given, place) => {
    if (!given.startsWith(OWN_SIGNALS)) return given;
    throw wrong(place, `a name that does not start with "${OWN_SIGNALS}"`, given);
  });
}

const ofContext = <T>(): Field<(context: StepContext) => T> => func("of the step's context");
const when = ofContext<boolean>();
const waitTimeout = duration({
  help: "how long it waits at most",
  minMs: 1,
  maxMs: DURATION_MS_MAX,
});

const RUN_FIELDS = {
  when,
  retry,
  timeout: timer("the longest run of one attempt"),
  duringQuietHours: flag("quiet hours do not hold it back"),
} satisfies FieldsOf<RunOptions<StepContext>>;

const ifInterrupted: Field<Interrupted | ((context: StepContext) => unknown)> = field({
  kind: "choice",
  help: "what to do when nobody knows what an attempt did outside",
  shape: "what",
  expected: '"retry", "hold", or a function that finds out',
  read: (given) =>
    given === "retry" || given === "hold" || typeof given === "function"
      ? (given as Interrupted | ((context: StepContext) => unknown))
      : undefined,
});
const CALL_FIELDS = {
  ...RUN_FIELDS,
  ifInterrupted: withDefault("retry", ifInterrupted),
} satisfies FieldsOf<CallOptions<StepContext>>;

const WAIT_FIELDS = {
  when,
  schema: schema("what the signal's payload has to fit"),
  signal: notOwn(name("the signal's name")),
  timeout: waitTimeout,
} satisfies FieldsOf<WaitOptions<StandardSchemaV1, StepContext>>;

const SLEEP_FIELDS = { when } satisfies FieldsOf<StepOptions<StepContext>>;

const process: Field<Startable> = field({
  kind: "process",
  help: "the process of the run",
  shape: "process",
  expected: "a process, made by defineProcess(...)",
  read: (given) => (isProcess(given) ? given : undefined),
});
const CHILD_FIELDS = {
  when,
  process: required(process),
  input: required(ofContext<unknown>()),
  key: ofContext<string | undefined>(),
  lane: ofContext<string | undefined>(),
  retry,
  timeout: waitTimeout,
} satisfies FieldsOf<ChildOptions<Startable, StepContext>>;

const SENT_FIELDS = {
  when,
  onDead: withDefault("wait", choice(["wait", "continue"], "what a dead letter does to the step")),
  retry,
  timeout: waitTimeout,
};
const SEND_FIELDS = {
  ...SENT_FIELDS,
  request: required(ofContext<RequestSpec>()),
} satisfies FieldsOf<SendOptions<StepContext>>;
const SEND_EVENT_FIELDS = {
  ...SENT_FIELDS,
  event: required(ofContext<SentEvent>()),
} satisfies FieldsOf<SendEventOptions<StepContext>>;

const EACH_FIELDS = {
  ...RUN_FIELDS,
  items: required(ofContext<readonly unknown[]>()),
  run: required(
    func<(item: unknown, context: ItemContext) => unknown>("of an item and its context"),
  ),
  key: func<(item: unknown) => string>("of an item"),
  concurrency: withDefault(
    10,
    integer({ help: "how many items run at once", max: CONCURRENCY_MAX }),
  ),
  onFailed: withDefault("error", choice(["error", "continue"], "what failed items do to the step")),
} satisfies FieldsOf<EachOptions<unknown, unknown, StepContext>>;

type Read = Partial<Step>;

export function readTx(where: string, given: unknown): Read {
  const { timeout, ...read } = readOptions(where, RUN_FIELDS, given);
  return { ...read, timeoutMs: timeout ?? null };
}

export function readCall(where: string, given: unknown): Read {
  const { timeout, ...read } = readOptions(where, CALL_FIELDS, given);
  return { ...read, timeoutMs: timeout ?? null };
}

export function readWait(where: string, given: unknown): Read {
  const { timeout, ...read } = readOptions(where, WAIT_FIELDS, given);
  return { ...read, timeoutMs: timeout ?? null };
}

export function readSleep(where: string, given: unknown): Read {
  return readOptions(where, SLEEP_FIELDS, given);
}

/** `input` is the code that the step runs. */
export function readChild(where: string, given: unknown): Read {
  const { process, input, key, lane, timeout, ...read } = readOptions(where, CHILD_FIELDS, given);
  return {
    ...read,
    run: input,
    timeoutMs: timeout ?? null,
    child: { process, key: key ?? null, lane: lane ?? null },
  };
}

/** `items` is the code that the step runs. */
export function readEach(where: string, given: unknown): Read {
  const { items, run, key, concurrency, onFailed, timeout, ...read } = readOptions(
    where,
    EACH_FIELDS,
    given,
  );
  return {
    ...read,
    run: items,
    timeoutMs: timeout ?? null,
    each: { run, key: key ?? null, concurrency, onFailed },
  };
}

/** `request`, or `event`, is the code that the step runs. */
export function readSend(where: string, given: unknown): Read & Pick<Step, "kind"> {
  if (isRecord(given) && given.event !== undefined) {
    const { event, timeout, ...read } = readOptions(where, SEND_EVENT_FIELDS, given);
    return { ...read, kind: "send event", run: event, timeoutMs: timeout ?? null };
  }
  const { request, timeout, ...read } = readOptions(where, SEND_FIELDS, given);
  return { ...read, kind: "send", run: request, timeoutMs: timeout ?? null };
}
