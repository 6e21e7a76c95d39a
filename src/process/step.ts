/** A step of a process as it is defined: its kind, what it runs, and the options of each kind. */

import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Duration } from "../base/duration.ts";
import type { RetryPolicy, RetrySeries } from "../kernel/retry.ts";
import type { RecordEvent } from "../outbox/record.ts";
import type { RequestSuccess } from "../requests/dispatch/judge.ts";
import type { RequestSpec } from "../requests/dispatch/spec.ts";
import type { StepContext } from "./context.ts";

/** `hook`: of the process, not one of its own steps. */
export type StepKind =
  | "tx"
  | "call"
  | "wait"
  | "sleep"
  | "child"
  | "send"
  | "send event"
  | "each"
  | "hook";
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
  /** True: a run that is under way does not stop before this step because of quiet hours. */
  duringQuietHours?: boolean;
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

/** A step that has more than a function: an object of a module, or of a class. `run` is called as its method. */
export interface StepTask<Context = StepContext, R = unknown, Options = CallOptions<StepContext>> {
  run(context: Context): R;
  /** Those that the list of steps gives stand above them. */
  readonly options?: Options;
}

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

/** What a step that starts a run reads of its process. */
export interface Startable {
  readonly name: string;
  readonly version: number;
  readonly input: StandardSchemaV1;
  readonly key: ((input: never) => string | undefined) | null;
  readonly lane: ((input: never) => string | undefined) | null;
  readonly steps: readonly unknown[];
  readonly older: readonly unknown[];
  readonly "~output"?: unknown;
}

/** What the last step of a process returns. */
export type ProcessOutput<P extends Startable> = P extends { readonly "~output"?: infer Output }
  ? Output
  : unknown;

export interface ChildOptions<P extends Startable, Context> extends StepOptions<Context> {
  /** One of the app's processes. */
  process: P;
  /** Makes the input of the run. */
  input: (
    context: Context,
  ) => StandardSchemaV1.InferInput<P["input"]> | Promise<StandardSchemaV1.InferInput<P["input"]>>;
  /** If a run with this key lives, the step waits for that one. Default: what the process's `key` returns. */
  key?: (context: Context) => string | undefined;
  /** Default: what the process's `lane` returns. */
  lane?: (context: Context) => string | undefined;
  /** The retry policy for `input`, instead of the process's. */
  retry?: RetryPolicy;
  /** How long it waits for the end of the run at most. The run goes on after that. Default: for ever. */
  timeout?: Duration;
}

/** How the run of a `child` step has ended. */
export interface ChildEnd<Output> {
  /** The run's id. */
  readonly id: string;
  /** `timeout`: it has not ended yet. */
  readonly status:
    | "done"
    | "skipped"
    | "abandoned"
    | "cancelled"
    | "expired"
    | "removed"
    | "timeout";
  /** What its last step returned; null if it ended without it. */
  readonly output: Output | null;
}

/** What the code of an item gets. `attempt` and `idempotencyKey` are those of the item. */
export type ItemContext<Context = StepContext> = Omit<
  Context,
  "message" | "info" | "warn" | "merge" | "sent" | "end" | "goto" | "hold"
> & {
  /** Its place in the list, from 0. */
  readonly index: number;
  /** What `key` has made of it; else its place. */
  readonly key: string;
};

/** `retry` and `timeout` are those of each item; `retry` is that of `items` too. */
export interface EachOptions<Item, R, Context> extends RunOptions<Context> {
  /** Returns the list, at most 10,000 items. It is stored when the step begins, and not asked for again. */
  items: (context: Context) => readonly Item[] | Promise<readonly Item[]>;
  /** Does the work of one item, as JSON gives it back. Its `idempotencyKey` is the same in each attempt of the item. */
  run: (item: Stored<Item>, context: ItemContext<Context>) => R;
  /** The part of the idempotency key that stands for the item; no two may have the same. Default: its place in the list. */
  key?: (item: Stored<Item>) => string;
  /** How many items run at once, in one worker. Default 10, at most 1,000. */
  concurrency?: number;
  /** What an item that has failed for good does to the step when all others have ended. `error` (default): the step fails. */
  onFailed?: "error" | "continue";
}

/** What an `each` step came to. */
export interface EachEnd<Output> {
  readonly total: number;
  readonly done: number;
  readonly failed: number;
  /** In the order of the list. Left out if it is larger than an output may be. */
  readonly items?: readonly EachItem<Output>[];
}

export interface EachItem<Output> {
  readonly key: string;
  readonly status: "done" | "failed";
  /** Null if it failed. */
  readonly output: Output | null;
  readonly error: string | null;
}

export interface Each {
  readonly run: (item: unknown, context: ItemContext) => unknown;
  readonly key: ((item: never) => unknown) | null;
  readonly concurrency: number;
  readonly onFailed: "error" | "continue";
}

export interface SendOptions<Context> extends StepOptions<Context> {
  /** Returns the request, as `pawl.request` takes it. */
  request: (context: Context) => RequestSpec | Promise<RequestSpec>;
  /** What the step does when the request is dead. `wait` (default): until an operator retries it, or removes it. */
  onDead?: "wait" | "continue";
  /** The retry policy for the function `request`, instead of the process's. */
  retry?: RetryPolicy;
  /** How long it waits for the end of the request at most. The run goes on after that. Default: for ever. */
  timeout?: Duration;
}

/** How the request of a `send` step has ended. */
export interface SendEnd {
  /** The request's id. */
  readonly id: string;
  /** `dead`: only with `onDead: "continue"`. `timeout`: it has not ended yet. */
  readonly status: "done" | "dead" | "cancelled" | "expired" | "removed" | "timeout";
  /** What is kept of the answer, if it was a success. */
  readonly result: RequestSuccess | null;
  readonly error: string | null;
}

/** What a `send` records. */
export interface SentEvent extends RecordEvent {
  /** Such as `order.placed`. */
  name: string;
}

export interface SendEventOptions<Context> extends StepOptions<Context> {
  /** Returns the event: its name, and what `pawl.record` takes. */
  event: (context: Context) => SentEvent | Promise<SentEvent>;
  /** What the step does when deliveries are dead and no other is under way. `wait` (default): until an operator retries them, or removes them. */
  onDead?: "wait" | "continue";
  /** The retry policy for the function `event`, instead of the process's. */
  retry?: RetryPolicy;
  /** How long it waits for the deliveries at most. The run goes on after that. Default: for ever. */
  timeout?: Duration;
}

/** How the deliveries of the event of a `send` step have ended. */
export interface SendEventEnd {
  /** The event's id. */
  readonly id: string;
  /**
   * `published`: all have ended, and at least one was delivered. `dead`: only with `onDead: "continue"`. `cancelled`: all were. `unrouted`: no
   * route took the event. `timeout`: they have not all ended yet. `forgotten`: retention has removed what they came to.
   */
  readonly status: "published" | "dead" | "cancelled" | "unrouted" | "timeout" | "forgotten";
  readonly deliveries: readonly {
    readonly id: string;
    readonly destination: string;
    /** After a `timeout` also that of one that has not ended. */
    readonly status: "published" | "dead" | "cancelled" | "pending" | "processing" | "failed";
    readonly error: string | null;
  }[];
}

export interface Child {
  readonly process: Startable;
  readonly key: ((context: StepContext) => unknown) | null;
  readonly lane: ((context: StepContext) => unknown) | null;
}

export interface Step {
  readonly name: string;
  readonly kind: StepKind;
  readonly run: ((context: StepContext) => unknown) | null;
  readonly when: ((context: StepContext) => unknown) | null;
  readonly retry: RetrySeries | null;
  /** Of one attempt; of a step that waits, how long it waits. */
  readonly timeoutMs: number | null;
  readonly ifInterrupted: Interrupted | ((context: StepContext) => unknown);
  readonly signal: string | null;
  readonly schema: StandardSchemaV1 | null;
  readonly duringQuietHours: boolean;
  /** Of a `sleep`. */
  readonly forMs: number | null;
  readonly child: Child | null;
  readonly each: Each | null;
  /** Of a `send`, of either kind. */
  readonly onDead: "wait" | "continue";
}

const WAITING: ReadonlySet<StepKind> = new Set(["wait", "sleep", "child", "send", "send event"]);

/** A step of this kind only waits, for something outside of it. */
export function isWaiting(kind: StepKind): boolean {
  return WAITING.has(kind);
}

/** Made by defineProcess. */
export function isProcess(value: unknown): value is Startable {
  return typeof value === "object" && value !== null && "steps" in value && "older" in value;
}

/** What a kind of step leaves out. */
export const NO_STEP: Omit<Step, "name" | "kind"> = {
  run: null,
  when: null,
  retry: null,
  timeoutMs: null,
  ifInterrupted: "retry",
  signal: null,
  schema: null,
  duringQuietHours: false,
  forMs: null,
  child: null,
  each: null,
  onDead: "wait",
};
