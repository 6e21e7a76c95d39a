/**
 * Reports failures: a log line for each failed attempt and each dead task, one for what a worker serves, and the same to an
 * observer in code. Errors of an observer are ignored.
 */

import type { Logger } from "../base/log.ts";
import { unheard } from "../base/unheard.ts";
import type { Fate } from "./outcome.ts";

export interface Attempt {
  readonly taskId: string;
  readonly queue: string;
  readonly kind: string;
  /** The number of the attempt, from 1. */
  readonly attempt: number;
}

export interface EndedAttempt extends Attempt {
  /**
   * `done`, or how it failed: `retry`, `timeout`, `unrecoverable` … `given_back`: the worker stopped or lost its lease, so
   * the attempt does not count.
   */
  readonly outcome: string;
  readonly durationMs: number;
}

export interface FailedAttempt extends Attempt {
  /** Maximum number of attempts of the task. */
  readonly attempts: number;
  /** How it failed; `lost`: the worker died. */
  readonly outcome: string;
  /** The error's message, at most 500 characters. */
  readonly error: string | null;
  /** When it runs again; null: never. */
  readonly runAt: Date | null;
}

export interface DeadTask extends FailedAttempt {
  /** The reason, as in `pawl dead list`. */
  readonly reason: string;
}

export interface Serving {
  readonly application: string;
  readonly queues: readonly string[];
  readonly jobs: readonly string[];
  readonly destinations: readonly string[];
  /** Sources that the worker loads. */
  readonly sources: readonly string[];
  /** Sources whose events the worker stores. */
  readonly stores: readonly string[];
  readonly concurrency: number;
}

export interface DeliveredEvent extends Attempt {
  readonly eventId: string;
  readonly eventName: string;
  /** The name of the destination. */
  readonly destination: string;
}

export interface RecordedEvent {
  readonly eventId: string;
  readonly eventName: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
}

/** Functions that are called in the worker's process. A promise that they return is not awaited. */
export interface WorkObserver {
  started?: (serving: Serving & { readonly workerId: string }) => void;
  /** A handler is about to run. */
  attemptStarted?: (attempt: Attempt) => void;
  /**
   * The handler has returned, thrown or timed out; this may not be recorded in the database yet. Called once for each attempt
   * that started.
   */
  attemptEnded?: (attempt: EndedAttempt) => void;
  /** An attempt failed, and this is recorded. Also called for the last attempt of a task. */
  failed?: (attempt: FailedAttempt) => void;
  /** A task went to the dead letters. */
  dead?: (task: DeadTask) => void;
  /** A destination has taken an event; this may not be recorded in the database yet, so the same event may come again. */
  delivered?: (delivery: DeliveredEvent) => void;
  /**
   * An event that this client has recorded has committed: it is told once, within about a second of the commit. One that was rolled back, also to
   * a savepoint, is never told; nor is one whose commit had no answer, or whose transaction is still open when the worker stops.
   */
  recorded?: (event: RecordedEvent) => void;
  /** The database cannot be reached. */
  databaseLost?: (lost: { readonly since: Date; readonly error: string }) => void;
  databaseBack?: (back: { readonly since: Date; readonly forMs: number }) => void;
}

export const OBSERVED = [
  "started",
  "attemptStarted",
  "attemptEnded",
  "failed",
  "dead",
  "delivered",
  "recorded",
  "databaseLost",
  "databaseBack",
] as const;

/** Calls one function of an observer, which may throw or reject. */
export function tell<Event extends keyof WorkObserver>(
  observer: WorkObserver | undefined,
  event: Event,
  what: Parameters<NonNullable<WorkObserver[Event]>>[0],
): void {
  unheard(() => (observer?.[event] as ((what: unknown) => unknown) | undefined)?.(what));
}

const NO_FAILURE: ReadonlySet<string> = new Set(["snooze", "advance"]);

export function hearFates(
  fates: readonly Fate[],
  { log, observer }: { log: Logger; observer?: WorkObserver | undefined },
): void {
  for (const fate of fates) {
    const { id: task, queue, kind, attempt, attempts, outcome, error, run_at: runAt } = fate;
    const about = { task, kind, queue, attempt, attempts };
    const data = { ...about, outcome, err: error };
    if (NO_FAILURE.has(outcome)) continue;
    if (fate.next === "cancelled" || outcome === "expired")
      log.info(
        { ...data, next: fate.next },
        fate.next === "cancelled" ? "a task was cancelled" : "a task expired",
      );
    else log.warn({ ...data, runAt }, "an attempt failed");
    const failed = {
      taskId: task,
      queue,
      kind,
      attempt,
      attempts,
      outcome,
      error,
      runAt: runAt === null ? null : new Date(runAt),
    };
    if (fate.next !== "cancelled" && outcome !== "expired") tell(observer, "failed", failed);
    if (fate.next !== "dead") continue;
    const reason = fate.reason ?? "";
    log.error({ ...about, reason, err: error }, "a task is dead");
    tell(observer, "dead", { ...failed, reason });
  }
}
