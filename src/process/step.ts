/** A step of a process as it is defined: its kind, what it runs, and the options of each kind. */

import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Duration } from "../base/duration.ts";
import type { RetryPolicy, RetrySeries } from "../kernel/retry.ts";
import type { StepContext } from "./context.ts";

export type StepKind = "tx" | "call" | "wait" | "sleep";
/** What happens to a step whose worker died, or whose time was up, while it ran: nobody knows what it did outside. */
export type Interrupted = "retry" | "hold";

/** Options of every step. */
export interface StepOptions<Context> {
  /** False: the step is skipped, and its output is undefined. */
  when?: (context: Context) => boolean;
}

export interface RunOptions<Context> extends StepOptions<Context> {
  /** The retry policy, instead of the process's. */
  retry?: RetryPolicy;
  /** Time limit of one attempt, instead of the process's. */
  timeout?: Duration;
}

export interface CallOptions<Context> extends RunOptions<Context> {
  /**
   * What to do when the worker died, or the time limit was reached, while the step ran, so that nobody knows what it did outside.
   * `retry` (default) runs it again, with the same `idempotencyKey`. `hold` stops the run until an operator decides. A function
   * finds out, and answers `retry`, `hold`, or `{ output }` if the work was done.
   */
  ifInterrupted?: Interrupted | ((context: Context) => unknown);
}

export interface WaitOptions<Schema extends StandardSchemaV1, Context>
  extends StepOptions<Context> {
  /** What the signal's payload has to fit. Default: any JSON. */
  schema?: Schema;
  /** The signal's name; default: the step's. */
  signal?: string;
  /** How long it waits at most; after that its output is `null`. Default: for ever. */
  timeout?: Duration;
}

export interface Step {
  readonly name: string;
  readonly kind: StepKind;
  readonly run: ((context: StepContext) => unknown) | null;
  readonly when: ((context: StepContext) => unknown) | null;
  readonly retry: RetrySeries | null;
  /** Of one attempt; of a `wait`, how long it waits. */
  readonly timeoutMs: number | null;
  readonly ifInterrupted: Interrupted | ((context: StepContext) => unknown);
  readonly signal: string | null;
  readonly schema: StandardSchemaV1 | null;
  /** Of a `sleep`. */
  readonly forMs: number | null;
}
