/** How an attempt ended, as the turn records it. */

import { boundedWaitMs, DURATION_MS_MAX, waitMs } from "../base/duration.ts";
import { type ErrorJson, errorToJson } from "../base/error-json.ts";
import { PawlError, shown } from "../base/errors.ts";
import { isA, isErrorLike, read } from "../base/thrown.ts";
import type { ClaimedTask } from "./task.ts";
import { InvalidPayload } from "./task.ts";
import {
  Advance,
  type OwnPolicy,
  Recoverable,
  RetryAfter,
  Snooze,
  UnderPolicy,
  Unrecoverable,
} from "./thrown.ts";

export type FailureKind =
  | "retry"
  | "timeout"
  | "recoverable"
  | "snooze"
  | "advance"
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
  /** Instead of what the policy of the queue says. */
  readonly own?: OwnPolicy;
  /** The delay that the receiver requested: a lower bound. */
  readonly delayMsMin?: number;
  /** The receiver answered, and only this task was at fault: its breaker does not count it. */
  readonly isReceiverUp?: true;
  /** It requested a pause for all tasks, not only for this one. */
  readonly pauseMs?: number;
}

export type Outcome = Done | Failure;

/** What became of a task whose attempt did not end well. */
export interface Fate {
  id: string;
  seq: string;
  kind: string;
  queue: string;
  outcome: FailureKind | "lost";
  /** 1-based: the one that failed. */
  attempt: number;
  /** Maximum number of attempts. */
  attempts: number;
  next: "scheduled" | "dead" | "expired" | "cancelled";
  /** Why it is dead. */
  reason: string | null;
  /** The time of the next attempt, as PostgreSQL writes it in JSON. */
  run_at: string | null;
  error: string | null;
}

/** Precedence of the next time: the server's word (a lower bound) > what the handler threw > the policy. Never throws. */
export function failure(task: ClaimedTask, thrown: unknown): Failure {
  if (isA(thrown, Advance))
    return { ok: false, task, kind: "advance", error: null, ...definedOf(thrown) };
  if (isA(thrown, UnderPolicy)) return underPolicy(failure(task, thrown.cause), thrown);
  const base = { ok: false, task, error: errorToJson(thrown) } as const;
  if (isOwn(thrown, RetryAfter, "RetryAfter")) return delayed({ ...base, kind: "retry" }, thrown);
  if (isOwn(thrown, Unrecoverable, "Unrecoverable")) return { ...base, kind: "unrecoverable" };
  if (isOwn(thrown, InvalidPayload, "InvalidPayload")) return { ...base, kind: "invalid" };
  if (isOwn(thrown, Recoverable, "Recoverable"))
    return delayed({ ...base, kind: "recoverable" }, thrown);
  if (isOwn(thrown, Snooze, "Snooze")) return snoozed({ ...base, kind: "snooze" }, thrown);
  if (isOwn(thrown, PawlError, "PawlError")) return failureOfPawl(base, thrown);
  return { ...base, kind: "retry" };
}

function definedOf({ delayMs }: Advance): { delayMs?: number } {
  return delayMs === undefined ? {} : { delayMs };
}

/** What the policy says gives way to what was thrown. */
function underPolicy(failed: Failure, { policy: own }: UnderPolicy): Failure {
  return failed.kind === "retry" || failed.kind === "timeout"
    ? { ...failed, own, delayMs: failed.delayMs ?? own.delayMs }
    : failed;
}

/** Recognized by its name too: the app may have loaded another copy of the package, or run in another realm. */
function isOwn(thrown: unknown, type: abstract new (...args: never[]) => Error, name: string) {
  return isA(thrown, type) || (read(thrown, "name") === name && isErrorLike(thrown));
}

/** If a delay is invalid or too long, the policy decides instead; the error says so. */
function delayed(failed: Failure & { error: ErrorJson }, thrown: unknown): Failure {
  const delayMs = read(thrown, "delayMs");
  if (delayMs === undefined && failed.kind === "recoverable") return failed;
  const readable = waitMs(delayMs);
  if (readable !== undefined && readable <= DURATION_MS_MAX)
    return { ...failed, delayMs: readable };
  const note = `the delay ${shown(delayMs)} is not a number of ms up to ${DURATION_MS_MAX} (10 years), so the retry policy's delay was used`;
  return { ...failed, error: { ...failed.error, message: `${failed.error.message} (${note})` } };
}

function snoozed(failed: Failure & { error: ErrorJson }, thrown: unknown): Failure {
  const outcome = delayed(failed, thrown);
  return outcome.delayMs === undefined ? outcome : { ...outcome, error: null };
}

function failureOfPawl(
  base: { ok: false; task: ClaimedTask; error: ErrorJson },
  thrown: unknown,
): Failure {
  if (read(thrown, "code") === "handler_timeout") return { ...base, kind: "timeout" };
  const data = read(thrown, "data");
  const pauseMs = boundedWaitMs(read(data, "pauseMs"));
  const delayMsMin = boundedWaitMs(read(data, "retryAfterMs"));
  const health = {
    ...(read(data, "isReceiverUp") === true && ({ isReceiverUp: true } as const)),
    ...(pauseMs !== undefined && pauseMs > 0 && { pauseMs }),
  };
  if (read(data, "stop") === true) return { ...base, kind: "stop" };
  if (read(data, "permanent") === true) return { ...base, ...health, kind: "unrecoverable" };
  return {
    ...base,
    ...health,
    kind: "retry",
    ...(delayMsMin !== undefined && { delayMsMin }),
  };
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
    failures.map(({ task, kind, error, delayMs, delayMsMin, own }) => ({
      id: task.id,
      seq: task.seq,
      claim: task.claim,
      outcome: kind,
      error,
      delay_ms: delayMs,
      delay_ms_min: delayMsMin,
      attempts: own?.attempts,
      is_spent: own?.isSpent,
      until_ms: own?.untilMs ?? undefined,
    })),
  );
}
