/**
 * Runs the steps of one run, one after the other, in one claim of its task. Its position is the name of a step: what was done is read, and
 * never done again. Each step's end is recorded, under the task's fence, before the next one begins.
 */

import { errorToJson } from "../../base/error-json.ts";
import { PawlError, shown } from "../../base/errors.ts";
import { isA, messageOf } from "../../base/thrown.ts";
import { unheard } from "../../base/unheard.ts";
import { type RetrySeries, retryDelayMs } from "../../kernel/retry.ts";
import { isTimeout } from "../../kernel/run.ts";
import type { HandlerContext } from "../../kernel/task.ts";
import { Advance, Recoverable, Snooze, UnderPolicy, Unrecoverable } from "../../kernel/thrown.ts";
import { issuesOf } from "../../options/schema.ts";
import type { AnyProcess } from "../define-process.ts";
import { type StepRecord, sealOf } from "../sql.ts";
import type { Step, StepKind } from "../step.ts";
import { call, holdUnknown, Unanswered } from "./call.ts";
import { each } from "./each.ts";
import { Past } from "./past.ts";
import { sleep, wait } from "./pauses.ts";
import { NotNow, type RunOf, type RunTools, StepAttempt } from "./step-attempt.ts";
import { child, send, sendEvent } from "./tasks.ts";

const TIMES_MAX = 1_000;
/** An operator may let work start before quiet hours end. */
const QUIET_MS_MAX = 60_000;
/** For so long what would outlast this worker is left to others, before it is asked again. */
const PASS_ON_MS = 10_000;

/** How a step of each kind is done. Each records its end, or throws what the kernel is to make of it. */
const PERFORM: Readonly<Record<StepKind, (attempt: StepAttempt) => Promise<void>>> = {
  tx: inTransaction,
  call,
  wait,
  sleep,
  each,
  hook: call,
  child,
  send,
  "send event": sendEvent,
};

/** The handler of a process's tasks. Its result is the output of the last step that was done. */
export async function runSteps(
  process: AnyProcess,
  payload: unknown,
  task: HandlerContext,
  tools: RunTools,
): Promise<unknown> {
  const input = await inputOf(process, payload, task);
  const loaded = await tools.recorder
    .load(task.taskId)
    .catch(soon(task, "its steps cannot be read"));
  const past = new Past(process, loaded);
  past.capFailures(task.attempt - 1);
  if (loaded.isToHold && !past.isHeld && past.at !== null) {
    const held = tools.recorder.hold(task.fence, { no: past.nextNo, step: past.at });
    if (await held.catch(soon(task, "it cannot be held"))) throw new Advance();
  }
  return goOn({ process, input, task, tools, past });
}

/** A fault of the database before any step has begun: no attempt of the run. */
function soon({ taskId }: HandlerContext, what: string): (error: unknown) => never {
  return (error) => {
    if (isOver(error)) throw error;
    const why = `run ${taskId}: ${what}: ${messageOf(error)}`;
    throw new Recoverable(why, { cause: error, delay: "1s" });
  };
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

async function goOn(run: RunOf): Promise<unknown> {
  const { past, task } = run;
  for (let isFirst = true; ; isFirst = false) {
    if (past.isHeld) throw new Advance();
    if (past.at === null) return past.result;
    if (task.signal.aborted) throw task.signal.reason;
    const attempt = new StepAttempt(run, stepOf(run.process, past.at));
    const later = (ms: number) => (isFirst ? new NotNow(ms) : new Advance(ms));
    if (!task.mayGoOn()) throw later(0); // another worker goes on, or this one when it is on again
    await oneStep(run, attempt, later);
  }
}

/** For how long a step that has something to do may not begin here: quiet hours hold it, or it could outlast this worker. Undefined: it may begin. */
function heldFor({ quietMs, isTooLong }: StepAttempt): number | undefined {
  if (quietMs > 0) return Math.min(quietMs, QUIET_MS_MAX);
  return isTooLong ? PASS_ON_MS : undefined;
}

function stepOf({ name: process, version, steps }: AnyProcess, name: string): Step {
  const step = steps.find((one) => one.name === name);
  if (step !== undefined) return step;
  throw new Unrecoverable(
    `process "${process}" version ${version}: it has no step ${shown(name)}, where this run stands`,
  );
}

/** @param later what is thrown where the step has to wait for so long */
async function oneStep(
  run: RunOf,
  attempt: StepAttempt,
  later: (ms: number) => unknown,
): Promise<void> {
  const { step } = attempt;
  let leftMs: number | undefined;
  try {
    if (run.past.rounds(step.name) >= TIMES_MAX) {
      throw new Unrecoverable(
        `step "${step.name}" was done ${TIMES_MAX} times in this run, more than \`goto\` may repeat it`,
      );
    }
    const isSkipped = !(await isWanted(attempt)); // first: what is left out needs no time
    if (!isSkipped) leftMs = heldFor(attempt);
    if (isSkipped) await attempt.end({ outcome: "skipped", next: attempt.after });
    else if (leftMs === undefined) await PERFORM[step.kind](attempt);
  } catch (thrown) {
    await failed(run, attempt, thrown);
  }
  if (leftMs !== undefined) throw later(leftMs); // nothing is recorded: it may have been begun by a worker that died
}

async function isWanted(attempt: StepAttempt): Promise<boolean> {
  const { when, name } = attempt.step;
  const { past } = attempt;
  if (when === null || past.underWay(name) !== undefined || past.list(name) !== undefined)
    return true;
  const answer: unknown = await attempt.inTime(async (signal) => when(attempt.context(signal)));
  if (typeof answer === "boolean") return answer;
  throw new Unrecoverable(
    `step "${name}": \`when\` returned ${shown(answer)}, neither true nor false`,
  );
}

async function inTransaction(attempt: StepAttempt): Promise<void> {
  let isHeld = false;
  const held = () => {
    isHeld = true;
  };
  const records = await attempt.task.inTransaction(
    async (tx) => attempt.recordsOf(attempt.endingOf(await attempt.perform(tx))),
    (made) => sealOf(made, held),
  );
  attempt.recorded(records, isHeld);
}

/** @throws what the kernel is to make of it */
async function failed({ process }: RunOf, attempt: StepAttempt, thrown: unknown): Promise<never> {
  const { step, task } = attempt;
  if (isA(thrown, Advance) || isOver(thrown) || task.signal.aborted) throw thrown;
  if (isA(thrown, NotNow)) await notBegun(attempt, thrown);
  const isUnanswered = isA(thrown, Unanswered);
  const error = isUnanswered ? thrown.cause : thrown;
  const no = attempt.past.attempt(step.name);
  unheard(() => process.onError?.(error, attempt.context(task.signal)));
  const isUnknown = isTimeout(error) && step.kind === "call" && step.ifInterrupted !== "retry";
  if (isUnknown && step.ifInterrupted === "hold") await holdUnknown(attempt);
  const isLater = isA(error, Recoverable) || isA(error, Snooze);
  const outcome = isUnanswered || isUnknown ? "began" : isLater ? "again" : "failed";
  const row = attempt.told({ outcome, next: step.name });
  const told: StepRecord = { ...row, error: JSON.stringify(errorToJson(error)) };
  await attempt.record([told]).catch((refused: unknown) => {
    if (isOver(refused)) throw refused;
    task.log.warn({ err: messageOf(refused) }, "a failed step could not be recorded");
  });
  throw underPolicy(error, step.retry ?? process.retry, no);
}

/** That it was about to begin may have been recorded: whoever goes on must not take it for interrupted. @throws always */
async function notBegun(attempt: StepAttempt, thrown: NotNow): Promise<never> {
  const { step, past } = attempt;
  if (past.underWay(step.name)?.outcome === "began") {
    const message = "not begun: it was turned off, or its worker stopped";
    await attempt.record([attempt.plain({ outcome: "again", next: step.name, message })]);
  }
  throw thrown;
}

/** The run is no longer this worker's, or the worker stops: nothing of it is the step's fault. */
function isOver(thrown: unknown): boolean {
  return (
    isA(thrown, PawlError) && (thrown.code === "lease_lost" || thrown.code === "worker_stopping")
  );
}
