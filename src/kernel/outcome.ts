/** How an attempt ended, as the turn records it. */

import { PawlError } from "../base/errors.ts";
import { type ErrorJson, errorToJson } from "../base/json.ts";
import type { ClaimedTask } from "./task.ts";
import { InvalidPayload } from "./task.ts";
import { Recoverable, RetryAfter, Snooze, Unrecoverable } from "./thrown.ts";

/** A receiver is waited for this long at most: 30 days. */
const WAIT_MS_MAX = 2_592_000_000;

export type FailureKind =
  | "retry"
  | "timeout"
  | "recoverable"
  | "snooze"
  | "unrecoverable"
  | "invalid"
  | "stop"
  | "cancelled"
  | "expired";

export interface Done {
  readonly ok: true;
  readonly task: ClaimedTask;
  /** JSON text; null when the handler returned nothing. */
  readonly result: string | null;
  /** Recorded already, by the handler's own transaction. */
  readonly isSettled?: true;
}

export interface Failure {
  readonly ok: false;
  readonly task: ClaimedTask;
  readonly kind: FailureKind;
  /** null: nothing went wrong. */
  readonly error: ErrorJson | null;
  readonly delayMs?: number;
  /** What the receiver asked for: a lower bound. */
  readonly delayMsMin?: number;
  /** It answered, and only this task was wrong: nothing for its breaker to count. */
  readonly isReceiverUp?: true;
  /** It asked for a pause of all, not of this task alone. */
  readonly pauseMs?: number;
}

export type Outcome = Done | Failure;

/** Precedence of the next time: the server's word (a lower bound) > what the handler threw > the policy. */
export function failure(task: ClaimedTask, thrown: unknown): Failure {
  const error = errorToJson(thrown);
  const base = { ok: false, task, error } as const;
  if (thrown instanceof RetryAfter) return { ...base, kind: "retry", delayMs: thrown.delayMs };
  if (thrown instanceof Unrecoverable) return { ...base, kind: "unrecoverable" };
  if (thrown instanceof InvalidPayload) return { ...base, kind: "invalid" };
  if (thrown instanceof Recoverable) {
    const { delayMs } = thrown;
    return { ...base, kind: "recoverable", ...(delayMs !== undefined && { delayMs }) };
  }
  if (thrown instanceof Snooze) {
    return { ...base, error: null, kind: "snooze", delayMs: thrown.delayMs };
  }
  if (thrown instanceof PawlError) return failureOfPawl(base, thrown);
  return { ...base, kind: "retry" };
}

function failureOfPawl(
  base: { ok: false; task: ClaimedTask; error: ErrorJson },
  thrown: PawlError,
): Failure {
  if (thrown.code === "handler_timeout") return { ...base, kind: "timeout" };
  const { isReceiverUp } = thrown.data;
  const pauseMs = waitMs(thrown.data.pauseMs);
  const delayMsMin = waitMs(thrown.data.retryAfterMs);
  const health = {
    ...(isReceiverUp === true && ({ isReceiverUp } as const)),
    ...(pauseMs !== undefined && pauseMs > 0 && { pauseMs }),
  };
  if (thrown.data.stop === true) return { ...base, kind: "stop" };
  if (thrown.data.permanent === true) return { ...base, ...health, kind: "unrecoverable" };
  return {
    ...base,
    ...health,
    kind: "retry",
    ...(delayMsMin !== undefined && { delayMsMin }),
  };
}

/** Whatever a handler wrote: whole, and not for ever; what is no wait says nothing. */
function waitMs(value: unknown): number | undefined {
  if (typeof value !== "number" || !(value >= 0)) return undefined;
  return Math.min(Math.ceil(value), WAIT_MS_MAX);
}

/** It had expired when it was claimed, and was not started. */
export function expired(task: ClaimedTask): Failure {
  return { ok: false, task, kind: "expired", error: null };
}

/** The failures of a turn as its function reads them; null when there is none. */
export function failuresJson(outcomes: readonly Outcome[]): string | null {
  const failures = outcomes.filter((outcome): outcome is Failure => !outcome.ok);
  if (failures.length === 0) return null;
  return JSON.stringify(
    failures.map(({ task, kind, error, delayMs, delayMsMin }) => ({
      id: task.id,
      seq: task.seq,
      claim: task.claim,
      outcome: kind,
      error,
      delay_ms: delayMs,
      delay_ms_min: delayMsMin,
    })),
  );
}
