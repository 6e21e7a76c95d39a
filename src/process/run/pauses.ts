/** Steps that wait, in no claim: for a time, or for a signal. */

import { Advance } from "../../kernel/thrown.ts";
import type { SignalRow } from "../sql.ts";
import { endOfTake } from "./ending.ts";
import type { StepAttempt } from "./step-attempt.ts";

export async function sleep(attempt: StepAttempt): Promise<void> {
  const { step, past, after } = attempt;
  const sleeping = past.underWay(step.name);
  if (sleeping?.is_over === true) return attempt.end({ outcome: "done", next: after });
  if (sleeping !== undefined) throw new Advance(Math.max(sleeping.left_ms ?? 0, 1));
  const untilMs = step.forMs ?? 0;
  await attempt.record([{ ...attempt.plain({ outcome: "sleeping", next: step.name }), untilMs }]);
  throw new Advance(untilMs);
}

export async function wait(attempt: StepAttempt): Promise<void> {
  const { step, past, after } = attempt;
  const signal = past.signal(step.signal);
  if (signal !== undefined) return take(attempt, signal);
  const waiting = past.underWay(step.name);
  if (waiting?.is_over === true) {
    const message = `no signal "${step.signal}" came in time`;
    return attempt.end({ outcome: "done", next: after, output: "null", message });
  }
  if (waiting !== undefined) {
    const { left_ms: leftMs } = waiting;
    throw new Advance(leftMs === undefined ? undefined : Math.max(leftMs, 1));
  }
  const untilMs = step.timeoutMs ?? undefined;
  const waits = attempt.plain({ outcome: "waiting", next: step.name });
  await attempt.record([
    { ...waits, ...signalOf(attempt), ...(untilMs !== undefined && { untilMs }) },
  ]);
  throw new Advance(untilMs);
}

function signalOf({ step: { signal, name } }: StepAttempt): { signal: string } {
  return { signal: signal ?? name };
}

async function take(attempt: StepAttempt, { id, payload }: SignalRow): Promise<void> {
  const { step } = attempt;
  const taken = await attempt.inTime(async () => endOfTake(step, payload));
  if ("refused" in taken) {
    const message = `a signal was not taken, its payload does not fit: ${taken.refused}`;
    const refused = attempt.plain({ outcome: "failed", next: step.name, message, took: id });
    return attempt.record([{ ...refused, ...signalOf(attempt) }]);
  }
  await attempt.end({ ...attempt.endingOf(taken.value), took: id });
}
