/** What a handler throws to say how its attempt ended. Any other error is retried by the policy. */

import { type Duration, durationMs } from "../base/duration.ts";
import { refuseUnknownOptions } from "../base/options.ts";

/** Thrown by a handler: try again after this time, instead of the policy's delay. The attempt counts. */
export class RetryAfter extends Error {
  override name = "RetryAfter";
  readonly delayMs: number;

  constructor(delay: Duration, message = "retry later", options: ErrorOptions = {}) {
    super(message, options);
    refuseUnknownOptions("RetryAfter", options, ["cause"]);
    this.delayMs = durationMs(delay, "RetryAfter.delay");
  }
}

/** Thrown by a handler: no other attempt can help. The task becomes a dead letter at once. */
export class Unrecoverable extends Error {
  override name = "Unrecoverable";
}

/**
 * Thrown by a handler: our own side is not ready (a limiter, a lock). The task is always tried again, and the attempt does
 * not count.
 */
export class Recoverable extends Error {
  override name = "Recoverable";
  readonly delayMs: number | undefined;

  constructor(message: string, options: ErrorOptions & { delay?: Duration } = {}) {
    super(message, options);
    refuseUnknownOptions("Recoverable", options, ["cause", "delay"]);
    this.delayMs =
      options.delay === undefined ? undefined : durationMs(options.delay, "Recoverable.delay");
  }
}

/** Thrown by a handler: not now, run again after this time. This is not a failure, and the attempt does not count. */
export class Snooze extends Error {
  override name = "Snooze";
  readonly delayMs: number;

  constructor(delay: Duration, message = "snoozed") {
    super(message);
    this.delayMs = durationMs(delay, "Snooze.delay");
  }
}

/**
 * Thrown by a part's handler: the task got on, and its attempts are counted anew. It runs again after `delayMs`; without it, when
 * something wakes it.
 */
export class Advance {
  readonly delayMs: number | undefined;

  constructor(delayMs?: number) {
    this.delayMs = delayMs;
  }
}

export interface OwnPolicy {
  readonly attempts: number;
  /** There is no further attempt, whatever was counted. */
  readonly isSpent: boolean;
  readonly delayMs: number;
  readonly untilMs: number | null;
}

/** Thrown by a part's handler: what its own code threw, with the policy that counts instead of the queue's. */
export class UnderPolicy {
  readonly cause: unknown;
  readonly policy: OwnPolicy;

  constructor(cause: unknown, policy: OwnPolicy) {
    this.cause = cause;
    this.policy = policy;
  }
}
