/** The list of a process's steps while it is made: each step knows the outputs of those before it. */

import type { StandardSchemaV1 } from "@standard-schema/spec";
import { DURATION_MS_MAX, type Duration } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { retry } from "../kernel/retry.ts";
import {
  type Field,
  type FieldsOf,
  field,
  readOptions,
  readValue,
  withDefault,
} from "../options/field.ts";
import { duration, func, identifier, name } from "../options/kinds.ts";
import { schema } from "../options/schema.ts";
import { timer } from "../queue/queue-options.ts";
import type { Directive, StepContext, TxContext } from "./context.ts";
import type {
  CallOptions,
  Interrupted,
  RunOptions,
  Step,
  StepOptions,
  WaitOptions,
} from "./step.ts";

const NAME_CHARS_MAX = 100;
const STEPS_MAX = 1_000;

/** What a later step reads of an output: what JSON makes of it. */
export type Stored<T> = T extends { toJSON(): infer J }
  ? J
  : T extends (...args: never[]) => unknown
    ? never
    : T extends readonly unknown[]
      ? { readonly [I in keyof T]: Stored<T[I]> }
      : T extends object
        ? { readonly [K in keyof T]: Stored<T[K]> }
        : T;

type Output<R> = Stored<Exclude<Awaited<R>, Directive>>;
/** A name that no step before has. */
type New<Name extends string, Outputs> = Name extends keyof Outputs ? never : Name;
type With<Outputs, Name extends string, R> = Outputs & { readonly [N in Name]: R };

const when = func<(context: StepContext) => boolean>("of the step's context");
const RUN_FIELDS = {
  when,
  retry,
  timeout: timer("the longest run of one attempt"),
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
  signal: name("the signal's name"),
  timeout: duration({ help: "how long it waits at most", minMs: 1, maxMs: DURATION_MS_MAX }),
} satisfies FieldsOf<WaitOptions<StandardSchemaV1, StepContext>>;

const SLEEP_FIELDS = { when } satisfies FieldsOf<StepOptions<StepContext>>;

const RUN = func<(context: never) => unknown>("of the step's context");
const NAME_FIELD = identifier(NAME_CHARS_MAX);
const SPAN = duration({ help: "how long it sleeps", minMs: 1, maxMs: DURATION_MS_MAX });
const NOTHING = {
  run: null,
  when: null,
  retry: null,
  timeoutMs: null,
  ifInterrupted: "retry",
  signal: null,
  schema: null,
  forMs: null,
} as const;

export class Steps<Input, Outputs> {
  readonly #where: string;
  readonly #list: readonly Step[];

  /** @internal */
  constructor(where: string, list: readonly Step[] = []) {
    this.#where = where;
    this.#list = list;
  }

  /** @internal */
  get list(): readonly Step[] {
    return this.#list;
  }

  /**
   * A step in the database: what `run` writes through `context.tx` commits together with the step, exactly once.
   */
  tx<Name extends string, R>(
    name: New<Name, Outputs>,
    run: (context: TxContext<Input, Outputs>) => R,
    options: RunOptions<StepContext<Input, Outputs>> = {},
  ): Steps<Input, With<Outputs, Name, Output<R>>> {
    return this.#ran("tx", name, run, this.#read(name, RUN_FIELDS, options));
  }

  /**
   * A step outside: it may run more than once (a worker may die after the work and before it is recorded), so pass
   * `context.idempotencyKey` on, or say what `ifInterrupted` means.
   */
  call<Name extends string, R>(
    name: New<Name, Outputs>,
    run: (context: StepContext<Input, Outputs>) => R,
    options: CallOptions<StepContext<Input, Outputs>> = {},
  ): Steps<Input, With<Outputs, Name, Output<R>>> {
    return this.#ran("call", name, run, this.#read(name, CALL_FIELDS, options));
  }

  /** Waits for a signal (`pawl.signal`), which may come before the run gets here. Its payload is the output. */
  wait<Name extends string, Schema extends StandardSchemaV1<unknown, unknown>>(
    name: New<Name, Outputs>,
    options: WaitOptions<Schema, StepContext<Input, Outputs>> & { timeout: Duration },
  ): Steps<Input, With<Outputs, Name, StandardSchemaV1.InferOutput<Schema> | null>>;
  wait<Name extends string, Schema extends StandardSchemaV1<unknown, unknown>>(
    name: New<Name, Outputs>,
    options?: WaitOptions<Schema, StepContext<Input, Outputs>>,
  ): Steps<Input, With<Outputs, Name, StandardSchemaV1.InferOutput<Schema>>>;
  wait<Name extends string>(
    name: New<Name, Outputs>,
    options: WaitOptions<StandardSchemaV1, StepContext<Input, Outputs>> = {},
  ): Steps<Input, With<Outputs, Name, unknown>> {
    const { timeout, signal, schema: fits, when } = this.#read(name, WAIT_FIELDS, options);
    return this.#with(name, {
      kind: "wait",
      when: when ?? null,
      timeoutMs: timeout ?? null,
      signal: signal ?? String(name),
      schema: fits ?? null,
    });
  }

  /** Sleeps; the run costs nothing meanwhile. */
  sleep<Name extends string>(
    name: New<Name, Outputs>,
    time: Duration,
    options: StepOptions<StepContext<Input, Outputs>> = {},
  ): Steps<Input, With<Outputs, Name, undefined>> {
    const { when } = this.#read(name, SLEEP_FIELDS, options);
    const forMs = readValue(this.#at(name), "time", SPAN, time);
    return this.#with(name, { kind: "sleep", when: when ?? null, forMs });
  }

  #at(name: unknown): string {
    return `${this.#where} step ${shown(name)}`;
  }

  #read<F extends Parameters<typeof readOptions>[1]>(name: unknown, fields: F, given: unknown) {
    return readOptions(this.#at(name), fields, given);
  }

  #ran<Out>(
    kind: "tx" | "call",
    name: string,
    run: (context: never) => unknown,
    read: { when?: unknown; retry?: unknown; timeout?: unknown; ifInterrupted?: unknown },
  ): Steps<Input, Out> {
    readValue(this.#at(name), "run", RUN, run);
    const { when, retry, timeout, ifInterrupted } = read;
    return this.#with(name, {
      kind,
      run: run as Step["run"],
      when: (when ?? null) as Step["when"],
      retry: (retry ?? null) as Step["retry"],
      timeoutMs: (timeout ?? null) as number | null,
      ifInterrupted: (ifInterrupted ?? "retry") as Step["ifInterrupted"],
    });
  }

  #with<Out>(name: unknown, step: Partial<Step> & Pick<Step, "kind">): Steps<Input, Out> {
    const own = readValue(this.#where, "name of a step", NAME_FIELD, name);
    if (this.#list.some((one) => one.name === own)) {
      throw new PawlError(
        "duplicate_name",
        `${this.#where}: two steps are named "${own}"; give each a name of its own`,
      );
    }
    if (this.#list.length >= STEPS_MAX) {
      throw new PawlError("invalid_option", `${this.#where}: more than ${STEPS_MAX} steps`);
    }
    return new Steps(this.#where, [...this.#list, { ...NOTHING, ...step, name: own }]);
  }
}

/** @throws PawlError `invalid_option` where the definition returned something else, or no step */
export function stepsOf(made: unknown, where: string): readonly Step[] {
  if (!(made instanceof Steps) || made.list.length === 0) {
    throw new PawlError(
      "invalid_option",
      `${where}: expected \`steps\` to return its steps, at least one, such as \`(s) => s.call("pay", …)\`, got ${made instanceof Steps ? "none" : shown(made)}`,
    );
  }
  return made.list;
}
