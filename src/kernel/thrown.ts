/** What a handler throws to say how its attempt ended. Anything else that it throws is retried by the policy. */

import { type Duration, durationMs } from "../base/duration.ts";

/** Try again after this time, instead of the policy's delay. The attempt counts. */
export class RetryAfter extends Error {
  override name = "RetryAfter";
  readonly delayMs: number;

  constructor(delay: Duration, message = "retry later", options?: ErrorOptions) {
    super(message, options);
    this.delayMs = durationMs(delay, "RetryAfter.delay");
  }
}

/** No further try can help: the task goes to the dead letters at once. */
export class Unrecoverable extends Error {
  override name = "Unrecoverable";
}

/** Our own side is not ready (a limiter, a lock): tried again always, and the attempt does not count. */
export class Recoverable extends Error {
  override name = "Recoverable";
  readonly delayMs: number | undefined;

  constructor(message: string, options: ErrorOptions & { delay?: Duration } = {}) {
    super(message, options);
    this.delayMs =
      options.delay === undefined ? undefined : durationMs(options.delay, "Recoverable.delay");
  }
}

/** Not now: run again after this time. No failure, and the attempt does not count. */
export class Snooze extends Error {
  override name = "Snooze";
  readonly delayMs: number;

  constructor(delay: Duration, message = "snoozed") {
    super(message);
    this.delayMs = durationMs(delay, "Snooze.delay");
  }
}
