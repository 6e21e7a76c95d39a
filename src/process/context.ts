/** What the functions of a process get. */

import type { Logger } from "../base/log.ts";
import type { Transaction } from "../store/transaction.ts";

/** How a run goes on after a step, instead of with the next one. Return it from the step. */
export class Directive {
  /** @internal */
  readonly does: DirectiveSpec;

  /** @internal */
  constructor(does: DirectiveSpec) {
    this.does = does;
  }
}

export type DirectiveSpec =
  | { readonly what: "end"; readonly status: EndStatus; readonly message: string | null }
  | { readonly what: "goto"; readonly step: string }
  | { readonly what: "hold"; readonly message: string };

/** `skipped`: there was nothing to do. */
export type EndStatus = "done" | "skipped";

/** What every step and hook gets. */
export interface StepContext<Input = unknown, Outputs = Readonly<Record<string, unknown>>> {
  /** The run's id, which is also that of its task. */
  readonly runId: string;
  readonly process: string;
  readonly version: number;
  readonly step: string;
  /** The number of this attempt of the step, from 1. */
  readonly attempt: number;
  /** As the schema of the process makes it. */
  readonly input: Input;
  /** What the steps before have returned, as JSON gives it back. */
  readonly outputs: Outputs;
  /** What the steps before have merged. */
  readonly data: Readonly<Record<string, unknown>>;
  /**
   * The same in every attempt of this step. Pass it to systems that must not do the work twice. A step that runs again after it was done,
   * because of `goto` or a restart, has another one.
   */
  readonly idempotencyKey: string;
  /** Aborts at the step's time limit, when the run is abandoned, when the worker stops, and when it loses its lease. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** A line for operators, kept with the step. */
  readonly message: (text: string) => void;
  /** Keeps what operators may want to know of this step, beside its message: `show` lists it. 100 lines a step; one more says how many were dropped. */
  readonly info: (text: string) => void;
  /** The same of what they should look at, though the step goes on: lists count the warnings of each run. */
  readonly warn: (text: string) => void;
  /** Fields that are added to `data`; kept with the step if it ends well. */
  readonly merge: (fields: Record<string, unknown>) => void;
  /** What this step sends to a system outside, kept with the step for operators even if the step fails: `sent("create order", body)`. */
  readonly sent: (action: string, payload?: unknown) => void;
  /** `return context.end()`: the run ends here, well. */
  readonly end: (status?: EndStatus, message?: string) => Directive;
  /** `return context.goto("step")`: the run goes on with that step. A step may run 1,000 times in one run. */
  readonly goto: (step: string) => Directive;
  /** `return context.hold("why")`: the run stops before the next step, until an operator releases it. */
  readonly hold: (message: string) => Directive;
}

/** A step in a transaction gets it too. */
export interface TxContext<Input = unknown, Outputs = Readonly<Record<string, unknown>>>
  extends StepContext<Input, Outputs> {
  /** What is written through it commits together with the step, exactly once. READ COMMITTED. */
  readonly tx: Transaction;
}
