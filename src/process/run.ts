/**
 * Runs the steps of one run, one after the other, in one claim of its task. Its position is the name of a step: what was done is read, and
 * never done again. Each step's end is recorded, under the task's fence, before the next one begins.
 */

import { errorToJson } from "../base/error-json.ts";
import { PawlError, shown } from "../base/errors.ts";
import { isA, messageOf } from "../base/thrown.ts";
import { unheard } from "../base/unheard.ts";
import { type RetrySeries, retryDelayMs } from "../kernel/retry.ts";
import { isTimeout } from "../kernel/run.ts";
import type { HandlerContext } from "../kernel/task.ts";
import { Advance, Recoverable, Snooze, UnderPolicy, Unrecoverable } from "../kernel/thrown.ts";
import { issuesOf } from "../options/schema.ts";
import type { AnyProcess } from "./define-process.ts";
import { type Ending, endingOf, endOfTake } from "./ending.ts";
import { Notes } from "./notes.ts";
import { Past } from "./past.ts";
import type { Recorder, Records } from "./recorder.ts";
import { type SignalRow, type StepRecord, sealOf } from "./sql.ts";
import type { Step } from "./step.ts";
import { type StepTools, stepContext } from "./step-context.ts";
import { inStepTime } from "./step-time.ts";

const TIMES_MAX = 1_000;

export interface RunTools {
  recorder: Recorder;
  bytesMax: number;
}

/** The handler of a process's tasks. Its result is the output of the last step that was done. */
export async function runSteps(
  process: AnyProcess,
  payload: unknown,
  task: HandlerContext,
  tools: RunTools,
): Promise<unknown> {
  const input = await inputOf(process, payload, task);
  const loaded = await tools.recorder.load(task.taskId).catch((error: unknown) => {
    throw new Recoverable(`run ${task.taskId}: its steps cannot be read: ${messageOf(error)}`, {
      cause: error,
      delay: "1s",
    });
  });
  const past = new Past(process, loaded);
  if (task.attempt === 1) past.startAnew(); // no attempt of the task has failed since a step was done, or it was sent back
  return new Run({ process, input, task, tools, past }).go();
}

/** What a validator throws is retried as a step is. */
async function inputOf(
  process: AnyProcess,
  payload: unknown,
  task: HandlerContext,
): Promise<unknown> {
  const what = `process "${process.name}" version ${process.version}`;
  try {
    const result = await process.input["~standard"].validate(payload);
    const issues = issuesOf(what, result);
    if (issues === undefined) return (result as { value: unknown }).value;
    throw new Unrecoverable(`${what}: the input does not fit its schema: ${issues}`);
  } catch (thrown) {
    throw underPolicy(thrown, process.retry, task.attempt);
  }
}

function underPolicy(thrown: unknown, policy: RetrySeries, attempt: number): UnderPolicy {
  return new UnderPolicy(thrown, {
    attempts: policy.attempts,
    isSpent: attempt >= policy.attempts,
    delayMs: retryDelayMs(policy, attempt, Math.random()),
    untilMs: policy.until_ms,
  });
}

/** `ifInterrupted` failed, so nobody knows yet whether the step was done: it is asked again. */
class Unanswered {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

interface RunOf {
  process: AnyProcess;
  input: unknown;
  task: HandlerContext;
  tools: RunTools;
  past: Past;
}

/** How long a step took, and what it says beside its output. */
interface Attempt {
  tools: StepTools;
  took: () => number;
}

class Run {
  readonly #process: AnyProcess;
  readonly #input: unknown;
  readonly #task: HandlerContext;
  readonly #tools: RunTools;
  readonly #past: Past;

  constructor({ process, input, task, tools, past }: RunOf) {
    this.#process = process;
    this.#input = input;
    this.#task = task;
    this.#tools = tools;
    this.#past = past;
  }

  async go(): Promise<unknown> {
    for (let isFirst = true; ; isFirst = false) {
      if (this.#past.isHeld) throw new Advance();
      const { at } = this.#past;
      if (at === null) return this.#past.result;
      if (this.#task.signal.aborted) throw this.#task.signal.reason;
      if (!isFirst && !this.#task.mayGoOn()) throw new Advance(0); // this worker stops: another one goes on
      await this.#oneStep(this.#stepOf(at));
    }
  }

  #stepOf(name: string): Step {
    const step = this.#process.steps.find((one) => one.name === name);
    if (step !== undefined) return step;
    throw new Unrecoverable(
      `process "${this.#process.name}" version ${this.#process.version}: it has no step ${shown(name)}, where this run stands`,
    );
  }

  async #oneStep(step: Step): Promise<void> {
    const startedAt = performance.now();
    const attempt: Attempt = {
      took: () => performance.now() - startedAt,
      tools: {
        process: this.#process,
        step: step.name,
        input: this.#input,
        past: this.#past,
        task: this.#task,
        notes: new Notes(this.#tools.bytesMax),
      },
    };
    try {
      if (this.#past.rounds(step.name) >= TIMES_MAX) {
        throw new Unrecoverable(
          `step "${step.name}" was done ${TIMES_MAX} times in this run, more than \`goto\` may repeat it`,
        );
      }
      if (await this.#isWanted(step, attempt)) await this.#perform(step, attempt);
      else await this.#end(step, attempt, { outcome: "skipped", next: this.#after(step) });
    } catch (thrown) {
      await this.#failed(step, attempt, thrown);
    }
  }

  async #isWanted(step: Step, { tools }: Attempt): Promise<boolean> {
    const { when } = step;
    if (when === null || this.#past.underWay(step.name) !== undefined) return true;
    const answer: unknown = await this.#inTime(step, async (signal) =>
      when(stepContext(tools, signal)),
    );
    if (typeof answer === "boolean") return answer;
    throw new Unrecoverable(
      `step "${step.name}": \`when\` returned ${shown(answer)}, neither true nor false`,
    );
  }

  #perform(step: Step, attempt: Attempt): Promise<void> {
    if (step.kind === "sleep") return this.#sleep(step, attempt);
    if (step.kind === "wait") return this.#wait(step, attempt);
    if (step.kind === "tx") return this.#inTransaction(step, attempt);
    return this.#call(step, attempt);
  }

  #inTime<T>(step: Step, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ms = step.kind === "wait" ? this.#process.timeoutMs : step.timeoutMs;
    return inStepTime(ms ?? this.#process.timeoutMs, this.#task.signal, work);
  }

  async #call(step: Step, attempt: Attempt): Promise<void> {
    if (step.ifInterrupted !== "retry") {
      if (this.#past.underWay(step.name)?.outcome === "began") {
        const found = await this.#asked(step, attempt);
        if (found !== undefined) return this.#end(step, attempt, found);
      }
      await this.#record([this.#recordOf(step, { outcome: "began", next: step.name })]);
    }
    const made = await this.#inTime(step, async (signal) => {
      const context = stepContext(attempt.tools, signal);
      await this.#process.beforeStep?.(context);
      return step.run?.(context);
    });
    await this.#end(step, attempt, this.#endingOf(step, made));
  }

  /** Decides about a step whose end nobody saw: how it ended; undefined: run it again. */
  async #asked(step: Step, attempt: Attempt): Promise<Ending | undefined> {
    const decide = step.ifInterrupted;
    let answer: unknown = decide;
    if (typeof decide === "function") {
      answer = await this.#inTime(step, async (signal) =>
        decide(stepContext(attempt.tools, signal)),
      ).catch((thrown: unknown) => {
        throw new Unanswered(thrown);
      });
    }
    if (answer === "retry") return undefined;
    if (answer === "hold") return this.#hold(step, attempt);
    if (typeof answer === "object" && answer !== null && "output" in answer)
      return this.#endingOf(step, answer.output);
    const message = `step "${step.name}": \`ifInterrupted\` returned ${shown(answer)}, not "retry", "hold" or { output }`;
    throw new Unanswered(new Unrecoverable(message));
  }

  /** Waits for an operator, since nobody knows what the step did. @throws always */
  async #hold(step: Step, { tools }: Attempt): Promise<never> {
    const message = `nobody knows what step "${step.name}" did outside: its worker died, or its time was up`;
    const held = this.#recordOf(step, { outcome: "held", next: step.name, message }, tools.notes);
    await this.#record([{ ...held, message, data: null }]);
    throw new Advance();
  }

  async #inTransaction(step: Step, attempt: Attempt): Promise<void> {
    const records = await this.#task.inTransaction(
      async (tx) => {
        const answer = await this.#inTime(step, async (signal) => {
          const context = stepContext(attempt.tools, signal, tx);
          await this.#process.beforeStep?.(context);
          return step.run?.(context);
        });
        return this.#recordsOf(step, attempt, this.#endingOf(step, answer));
      },
      (made) => sealOf(made),
    );
    this.#recorded(records);
  }

  async #sleep(step: Step, attempt: Attempt): Promise<void> {
    const sleeping = this.#past.underWay(step.name);
    if (sleeping?.is_over === true)
      return this.#end(step, attempt, { outcome: "done", next: this.#after(step) });
    if (sleeping !== undefined) throw new Advance(Math.max(sleeping.left_ms ?? 0, 1));
    const untilMs = step.forMs ?? 0;
    const record = this.#recordOf(step, { outcome: "sleeping", next: step.name });
    await this.#record([{ ...record, untilMs }]);
    throw new Advance(untilMs);
  }

  async #wait(step: Step, attempt: Attempt): Promise<void> {
    const signal = this.#past.signal(step.signal);
    if (signal !== undefined) return this.#take(step, attempt, signal);
    const waiting = this.#past.underWay(step.name);
    if (waiting?.is_over === true) {
      const message = `no signal "${step.signal}" came in time`;
      const ending: Ending = { outcome: "done", next: this.#after(step), output: "null", message };
      return this.#end(step, attempt, ending);
    }
    if (waiting !== undefined) {
      const { left_ms: leftMs } = waiting;
      throw new Advance(leftMs === undefined ? undefined : Math.max(leftMs, 1));
    }
    const untilMs = step.timeoutMs ?? undefined;
    const record = this.#recordOf(step, { outcome: "waiting", next: step.name });
    await this.#record([
      { ...record, ...this.#signalOf(step), ...(untilMs !== undefined && { untilMs }) },
    ]);
    throw new Advance(untilMs);
  }

  #signalOf({ signal, name }: Step): { signal: string } {
    return { signal: signal ?? name };
  }

  async #take(step: Step, attempt: Attempt, { id, payload }: SignalRow): Promise<void> {
    const taken = await this.#inTime(step, async () => endOfTake(step, payload));
    if ("refused" in taken) {
      const message = `a signal was not taken, its payload does not fit: ${taken.refused}`;
      const refused: Ending = { outcome: "failed", next: step.name, message, took: id };
      return this.#record([{ ...this.#recordOf(step, refused), ...this.#signalOf(step) }]);
    }
    await this.#end(step, attempt, { ...this.#endingOf(step, taken.value), took: id });
  }

  #after(step: Step): string | null {
    const { steps } = this.#process;
    return steps[steps.indexOf(step) + 1]?.name ?? null;
  }

  #endingOf(step: Step, made: unknown): Ending {
    return endingOf(made, {
      step: step.name,
      next: this.#after(step),
      steps: this.#process.steps,
      bytesMax: this.#tools.bytesMax,
    });
  }

  async #end(step: Step, attempt: Attempt, ending: Ending): Promise<void> {
    await this.#record(this.#recordsOf(step, attempt, ending));
  }

  /** With the hold that it may have asked for: both are recorded, or none. */
  #recordsOf(step: Step, { tools, took }: Attempt, ending: Ending): Records {
    const { hold, next } = ending;
    const done = this.#recordOf(step, ending, tools.notes, took());
    if (hold === undefined || next === null) return [done];
    const { fence, no } = done;
    const held = { fence, no: no + 1, step: next, outcome: "held", next, attempt: 1 } as const;
    return [done, { ...held, message: hold }];
  }

  #recordOf(step: Step, ending: Ending, notes?: Notes, tookMs?: number): StepRecord {
    const { outcome, next, output = null, message, took } = ending;
    return {
      fence: this.#task.fence,
      no: this.#past.nextNo,
      step: step.name,
      outcome,
      next,
      attempt: this.#past.attempt(step.name),
      output,
      message: message ?? notes?.text ?? null,
      data: outcome === "failed" ? null : (notes?.dataJson ?? null),
      sent: notes?.sentJson ?? null,
      ...(tookMs !== undefined && { tookMs }),
      ...(took !== undefined && { took }),
    };
  }

  async #record(records: Records): Promise<void> {
    await this.#tools.recorder.record(records, this.#task.signal);
    this.#recorded(records);
  }

  #recorded(records: Records): void {
    for (const record of records) this.#past.add(record);
  }

  /** @throws what the kernel is to make of it */
  async #failed(step: Step, attempt: Attempt, thrown: unknown): Promise<never> {
    if (isA(thrown, Advance) || isOver(thrown) || this.#task.signal.aborted) throw thrown;
    const isUnanswered = isA(thrown, Unanswered);
    const error = isUnanswered ? thrown.cause : thrown;
    const no = this.#past.attempt(step.name);
    unheard(() => this.#process.onError?.(error, stepContext(attempt.tools, this.#task.signal)));
    const isUnknown = isTimeout(error) && step.kind === "call" && step.ifInterrupted !== "retry";
    if (isUnknown && step.ifInterrupted === "hold") await this.#hold(step, attempt);
    const isLater = isA(error, Recoverable) || isA(error, Snooze);
    const outcome = isUnanswered || isUnknown ? "began" : isLater ? "again" : "failed";
    const failed = this.#recordOf(
      step,
      { outcome, next: step.name },
      attempt.tools.notes,
      attempt.took(),
    );
    const told: StepRecord = { ...failed, data: null, error: JSON.stringify(errorToJson(error)) };
    await this.#record([told]).catch((refused: unknown) => {
      if (isOver(refused)) throw refused;
      this.#task.log.warn({ err: messageOf(refused) }, "a failed step could not be recorded");
    });
    throw underPolicy(error, step.retry ?? this.#process.retry, no);
  }
}

/** The run is no longer this worker's, or the worker stops: nothing of it is the step's fault. */
function isOver(thrown: unknown): boolean {
  return (
    isA(thrown, PawlError) && (thrown.code === "lease_lost" || thrown.code === "worker_stopping")
  );
}
