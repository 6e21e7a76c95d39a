/** How your own destination says that an attempt failed, and what comes next. */

import { DURATION_MS_MAX, type Duration } from "../../base/duration.ts";
import { PawlError } from "../../base/errors.ts";
import { badOption } from "../../base/options.ts";
import { type FieldsOf, readOptions, withDefault } from "../../options/field.ts";
import { choice, duration, flag } from "../../options/kinds.ts";
import { anything, object } from "../../options/parts.ts";

const NEXT = ["retry", "dead", "off"] as const;

export interface DeliveryFailedOptions {
  cause?: unknown;
  /** Stored with the attempt, for operators and programs. Never secrets. */
  data?: Record<string, unknown>;
  /**
   * `retry` (default): try again by the destination's policy. `dead`: no attempt can help, so it becomes a dead letter now.
   * `off`: dead, and the receiver wants no more deliveries: the destination is turned off.
   */
  next?: (typeof NEXT)[number];
  /** The earliest next attempt, as a time from now. Only with `retry`. */
  retryAfter?: Duration;
  /** True if the receiver works and only this event is at fault: the breaker does not count it. Default: true for `off`. */
  isReceiverUp?: boolean;
}

const FIELDS = {
  cause: anything("what failed"),
  data: withDefault({}, object<Record<string, unknown>>("kept with the attempt")),
  next: withDefault("retry", choice(NEXT)),
  retryAfter: duration({ help: "no attempt before this", maxMs: DURATION_MS_MAX }),
  isReceiverUp: flag("the receiver works"),
} satisfies FieldsOf<DeliveryFailedOptions>;

/** Thrown by `deliver` for a failed attempt. Any other error counts as a failure of the receiver, and is retried. */
export class DeliveryFailed extends PawlError {
  override name = "DeliveryFailed";

  /** @throws PawlError `invalid_option` */
  constructor(message: string, options: DeliveryFailedOptions = {}) {
    const read = readOptions("DeliveryFailed", FIELDS, options);
    const { cause, data, next, retryAfter: retryAfterMs, isReceiverUp = next === "off" } = read;
    if (retryAfterMs !== undefined && next !== "retry") {
      const expected = `left out with \`next: "${next}"\``;
      throw badOption("DeliveryFailed", "retryAfter", expected, options.retryAfter);
    }
    super("delivery_failed", message, {
      cause,
      data: {
        ...data,
        ...(next !== "retry" && { permanent: true }),
        ...(next === "off" && { disable: message }),
        ...(isReceiverUp && { isReceiverUp: true }),
        ...(retryAfterMs !== undefined && { retryAfterMs }),
      },
    });
  }
}
