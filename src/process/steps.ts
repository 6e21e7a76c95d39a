/** The list of a process's steps while it is made: each step knows the outputs of those before it. */

import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Duration } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import { badOption, isRecord } from "../base/options.ts";
import { read } from "../base/thrown.ts";
import { readValue } from "../options/field.ts";
import type { Directive, StepContext, TxContext } from "./context.ts";
import {
  type CallOptions,
  type ChildEnd,
  type ChildOptions,
  type EachEnd,
  type EachOptions,
  NO_STEP,
  type ProcessOutput,
  type RunOptions,
  type SendEnd,
  type SendEventEnd,
  type SendEventOptions,
  type SendOptions,
  type Startable,
  type Step,
  type StepOptions,
  type StepTask,
  type Stored,
  type WaitOptions,
} from "./step.ts";
import {
  readCall,
  readChild,
  readEach,
  readSend,
  readSleep,
  readTx,
  readWait,
  SLEEP_TIME,
  STEP_NAME,
} from "./step-fields.ts";

const STEPS_MAX = 1_000;

type Output<R> = Stored<Exclude<Awaited<R>, Directive>>;
/** A name that no step before has. */
type New<Name extends string, Outputs> = Name extends keyof Outputs ? never : Name;
/** What a step runs: a function, or an object whose `run` is called. */
type Work<Context, R, Options> = ((context: Context) => R) | StepTask<Context, R, Options>;
type EndOf<Options> = Options extends { event: unknown } ? SendEventEnd : SendEnd;
type With<Outputs, Name extends string, R> = Outputs & { readonly [N in Name]: R };

export class Steps<Input, Outputs, Last = undefined> {
  /** Only its type is there. */
  declare readonly "~last"?: Last;
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
    work: Work<TxContext<Input, Outputs>, R, RunOptions<StepContext<Input, Outputs>>>,
    options: RunOptions<StepContext<Input, Outputs>> = {},
  ): Steps<Input, With<Outputs, Name, Output<R>>, Output<R>> {
    const { run, own } = this.#work(name, work);
    return this.#with(name, { kind: "tx", ...readTx(this.#at(name), merged(own, options)), run });
  }

  /**
   * A step outside: it may run more than once (a worker may die after the work and before it is recorded), so pass
   * `context.idempotencyKey` on, or say what `ifInterrupted` means.
   */
  call<Name extends string, R>(
    name: New<Name, Outputs>,
    work: Work<StepContext<Input, Outputs>, R, CallOptions<StepContext<Input, Outputs>>>,
    options: CallOptions<StepContext<Input, Outputs>> = {},
  ): Steps<Input, With<Outputs, Name, Output<R>>, Output<R>> {
    const { run, own } = this.#work(name, work);
    const read = readCall(this.#at(name), merged(own, options));
    return this.#with(name, { kind: "call", ...read, run });
  }

  /** Waits for a signal (`pawl.signal`), which may come before the run gets here. Its payload is the output. */
  wait<Name extends string, Schema extends StandardSchemaV1<unknown, unknown>>(
    name: New<Name, Outputs>,
    options: WaitOptions<Schema, StepContext<Input, Outputs>> & { timeout: Duration },
  ): Steps<
    Input,
    With<Outputs, Name, StandardSchemaV1.InferOutput<Schema> | null>,
    StandardSchemaV1.InferOutput<Schema> | null
  >;
  wait<Name extends string, Schema extends StandardSchemaV1<unknown, unknown>>(
    name: New<Name, Outputs>,
    options?: WaitOptions<Schema, StepContext<Input, Outputs>>,
  ): Steps<
    Input,
    With<Outputs, Name, StandardSchemaV1.InferOutput<Schema>>,
    StandardSchemaV1.InferOutput<Schema>
  >;
  wait<Name extends string>(
    name: New<Name, Outputs>,
    options: WaitOptions<StandardSchemaV1, StepContext<Input, Outputs>> = {},
  ): Steps<Input, With<Outputs, Name, unknown>, unknown> {
    const read = readWait(this.#at(name), options);
    return this.#with(name, { kind: "wait", ...read, signal: read.signal ?? String(name) });
  }

  /** Sleeps; the run costs nothing meanwhile. */
  sleep<Name extends string>(
    name: New<Name, Outputs>,
    time: Duration,
    options: StepOptions<StepContext<Input, Outputs>> = {},
  ): Steps<Input, With<Outputs, Name, undefined>> {
    const read = readSleep(this.#at(name), options);
    const forMs = readValue(this.#at(name), "time", SLEEP_TIME, time);
    return this.#with(name, { kind: "sleep", ...read, forMs });
  }

  /**
   * Starts a run of another process, in the transaction that records that this one waits for it, and waits until it has ended.
   */
  child<Name extends string, P extends Startable>(
    name: New<Name, Outputs>,
    options: ChildOptions<P, StepContext<Input, Outputs>>,
  ): Steps<Input, With<Outputs, Name, ChildEnd<ProcessOutput<P>>>, ChildEnd<ProcessOutput<P>>> {
    return this.#with(name, { kind: "child", ...readChild(this.#at(name), options) });
  }

  /**
   * Writes a request, or records an event, in the transaction that records that the run waits for it; and waits until the request has ended,
   * or all deliveries of the event.
   */
  send<
    Name extends string,
    // one signature, because a function without parameters gets its type from the first of several
    Options extends
      | SendOptions<StepContext<Input, Outputs>>
      | SendEventOptions<StepContext<Input, Outputs>>,
  >(
    name: New<Name, Outputs>,
    options: Options,
  ): Steps<Input, With<Outputs, Name, EndOf<Options>>, EndOf<Options>> {
    return this.#with(name, readSend(this.#at(name), options));
  }

  /**
   * Runs the same code for each item of a list, some at once. The end of each item is recorded when it comes, so that only those that had
   * not ended run again after a crash.
   */
  each<Name extends string, Item, R>(
    name: New<Name, Outputs>,
    options: EachOptions<Item, R, StepContext<Input, Outputs>>,
  ): Steps<Input, With<Outputs, Name, EachEnd<Stored<Awaited<R>>>>, EachEnd<Stored<Awaited<R>>>> {
    return this.#with(name, { kind: "each", ...readEach(this.#at(name), options) });
  }

  #at(name: unknown): string {
    return `${this.#where} step ${shown(name)}`;
  }

  /** @throws PawlError `invalid_option` */
  #work(name: unknown, work: unknown): { run: (context: StepContext) => unknown; own: unknown } {
    if (typeof work === "function")
      return { run: work as (context: StepContext) => unknown, own: {} };
    const run = read(work, "run");
    if (typeof run !== "function")
      throw badOption(this.#at(name), "run", "a function, or an object with a method `run`", work);
    return { run: (context) => run.call(work, context) as unknown, own: read(work, "options") };
  }

  #with<Out, Last>(
    name: unknown,
    step: Partial<Step> & Pick<Step, "kind">,
  ): Steps<Input, Out, Last> {
    const own = readValue(this.#where, "name of a step", STEP_NAME, name);
    if (this.#list.some((one) => one.name === own)) {
      throw new PawlError(
        "duplicate_name",
        `${this.#where}: two steps are named "${own}"; give each a name of its own`,
      );
    }
    if (this.#list.length >= STEPS_MAX) {
      throw new PawlError("invalid_option", `${this.#where}: more than ${STEPS_MAX} steps`);
    }
    return new Steps(this.#where, [...this.#list, { ...NO_STEP, ...step, name: own }]);
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

/** Options of a task, and above them those of the list. */
function merged(own: unknown, options: unknown): unknown {
  if (own === undefined || !isRecord(options)) return options;
  return isRecord(own) ? { ...own, ...options } : own;
}
