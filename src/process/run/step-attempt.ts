/** One attempt of one step: what it reads, its time limit, and how what became of it is recorded. */

import type { RetrySeries } from "../../kernel/retry.ts";
import type { HandlerContext } from "../../kernel/task.ts";
import { Snooze } from "../../kernel/thrown.ts";
import type { RequestSpec } from "../../requests/dispatch/spec.ts";
import type { CheckRequest } from "../../requests/dispatch/write.ts";
import type { Transaction } from "../../store/transaction.ts";
import type { StepContext } from "../context.ts";
import type { AnyProcess } from "../define-process.ts";
import type { StepRecord } from "../sql.ts";
import { isWaiting, type Step } from "../step.ts";
import { type Ending, endingOf } from "./ending.ts";
import { Notes } from "./notes.ts";
import type { Past } from "./past.ts";
import type { Recorder, Records } from "./recorder.ts";
import { stepContext } from "./step-context.ts";
import { inStepTime } from "./step-time.ts";
import { unrecorded } from "./unrecorded.ts";

export interface RunTools {
  recorder: Recorder;
  checkRequest: CheckRequest;
  bytesMax: number;
  /** Hears of each step whose code begins, and of each row that is recorded. */
  began?: (step: string, attempt: number) => void;
  recorded?: (record: StepRecord) => void;
}

export interface RunOf {
  process: AnyProcess;
  input: unknown;
  task: HandlerContext;
  tools: RunTools;
  past: Past;
}

/** Its worker stops, or does not last so long; it was turned off; or quiet hours hold it: the step has not begun, and its attempts stay as they are counted. */
export class NotNow extends Snooze {
  constructor(delayMs = 0) {
    super(delayMs);
  }
}

export class StepAttempt {
  readonly step: Step;
  readonly past: Past;
  readonly task: HandlerContext;
  readonly #run: RunOf;
  readonly #notes: Notes;
  readonly #startedAt = performance.now();

  constructor(run: RunOf, step: Step) {
    this.#run = run;
    this.step = step;
    this.past = run.past;
    this.task = run.task;
    this.#notes = new Notes(run.tools.bytesMax, run.process.redact);
  }

  /** A request as it is recorded. @throws PawlError as `pawl.request` does */
  checkRequest(spec: RequestSpec): Promise<string> {
    return this.#run.tools.checkRequest(spec);
  }

  get recorder(): Recorder {
    return this.#run.tools.recorder;
  }

  get retry(): RetrySeries {
    return this.step.retry ?? this.#run.process.retry;
  }

  get bytesMax(): number {
    return this.#run.tools.bytesMax;
  }

  /** The name of the step after it; null: it is the last one. */
  get after(): string | null {
    const { steps } = this.#run.process;
    return steps[steps.indexOf(this.step) + 1]?.name ?? null;
  }

  /** @param tx only of a step in a transaction */
  context(signal: AbortSignal, tx?: Transaction): StepContext {
    const { process, input } = this.#run;
    const { step, past, task } = this;
    return stepContext(
      { process, step: step.name, input, past, task, notes: this.#notes },
      signal,
      tx,
    );
  }

  /** How long one attempt may take. */
  get limitMs(): number {
    const { kind, timeoutMs } = this.step; // of one that waits, how long it waits
    return (isWaiting(kind) ? null : timeoutMs) ?? this.#run.process.timeoutMs;
  }

  /** For how long quiet hours hold it; 0: it may begin. What only waits begins at any time. */
  get quietMs(): number {
    const { kind, duringQuietHours } = this.step;
    return duringQuietHours || isWaiting(kind) ? 0 : this.task.quietMs(this.limitMs);
  }

  /** It could last longer than this worker does. What only waits does not, nor does what nobody has given a time limit. */
  get isTooLong(): boolean {
    const { kind, timeoutMs } = this.step;
    const isLimited = timeoutMs !== null || this.#run.process.hasTimeout;
    return isLimited && !isWaiting(kind) && this.limitMs > this.task.leftMs();
  }

  /** Within the time limit of one attempt. */
  inTime<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return inStepTime(this.limitMs, this.task.signal, work);
  }

  /** Runs the code of the step. @throws NotNow when the run was turned off after it was asked whether it may go on */
  perform(tx?: Transaction): Promise<unknown> {
    return this.performing(async (context) => this.step.run?.(context), tx);
  }

  /** The same with other code of it. */
  performing<T>(code: (context: StepContext) => Promise<T>, tx?: Transaction): Promise<T> {
    return this.inTime(async (signal) => {
      if (!this.task.mayGoOn()) throw new NotNow();
      const context = this.context(signal, tx);
      this.#run.tools.began?.(this.step.name, context.attempt);
      const { beforeStep } = this.#run.process;
      if (this.step.kind !== "hook" && beforeStep !== null) {
        await beforeStep(context);
        if (!this.task.mayGoOn()) throw new NotNow();
      }
      return code(context); // nothing is awaited between a look and this
    });
  }

  endingOf(made: unknown): Ending {
    return endingOf(made, {
      step: this.step.name,
      next: this.after,
      steps: this.#run.process.steps,
      bytesMax: this.bytesMax,
    });
  }

  async end(ending: Ending): Promise<void> {
    await this.record(this.recordsOf(ending));
  }

  /** With the hold that it may have asked for: both are recorded, or none. */
  recordsOf(ending: Ending): Records {
    const { hold, next } = ending;
    const done = this.told(ending);
    if (hold === undefined || next === null) return [done];
    const { fence, no } = done;
    const held = { fence, no: no + 1, step: next, outcome: "held", next, attempt: 1 } as const;
    return [done, { ...held, message: hold }];
  }

  /** A row with what the step has said beside its output, and how long it took. */
  told(ending: Ending): StepRecord {
    const { text, dataJson, sentJson, linesJson } = this.#notes;
    const plain = this.plain(ending);
    return {
      ...plain,
      message: plain.message ?? text,
      data: MERGES.has(ending.outcome) ? dataJson : null,
      sent: sentJson,
      notes: linesJson,
      tookMs: performance.now() - this.#startedAt,
    };
  }

  plain({ outcome, next, output = null, message = null, took }: Ending): StepRecord {
    return {
      fence: this.task.fence,
      no: this.past.nextNo,
      step: this.step.name,
      outcome,
      next,
      attempt: this.past.attempt(this.step.name),
      output,
      message,
      ...(took !== undefined && { took }),
    };
  }

  /** @throws PawlError `lease_lost`; Unrecoverable if the step is done and its end cannot be recorded */
  async record(records: Records): Promise<void> {
    const { signal } = this.task;
    const isHeld = await this.#run.tools.recorder
      .record(records, signal)
      .catch((thrown: unknown) => {
        if (signal.aborted) throw thrown;
        throw unrecorded(thrown, `step "${this.step.name}"`, records[0].outcome);
      });
    this.recorded(records, isHeld);
  }

  /** @param isHeld an operator holds the run behind them */
  recorded(records: Records, isHeld: boolean): void {
    for (const record of records) {
      this.past.add(record);
      this.#run.tools.recorded?.(record);
    }
    if (isHeld) this.past.hold();
  }
}

/** A step that did not end well merges nothing. */
const MERGES: ReadonlySet<string> = new Set(["done", "skipped", "ended"]);
