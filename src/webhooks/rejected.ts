/**
 * Why an incoming call was refused, for the log, and the status for the sender. It says nothing about keys, and quotes
 * nothing of the call.
 */

import { PawlError } from "../base/errors.ts";

export type RejectedReason =
  | "missing_header"
  | "bad_timestamp"
  | "malformed"
  | "too_old"
  | "too_new"
  | "bad_signature"
  | "wrong_claim"
  | "too_large";

/** 400: no such call is ever sent rightly. 401: not proved to come from the sender. */
const STATUS: Record<RejectedReason, 400 | 401 | 413> = {
  missing_header: 400,
  bad_timestamp: 400,
  malformed: 400,
  too_old: 401,
  too_new: 401,
  bad_signature: 401,
  wrong_claim: 401,
  too_large: 413,
};

/** An incoming webhook or signed request was refused. Code `webhook_rejected`. */
export class WebhookRejected extends PawlError {
  override name = "WebhookRejected";
  readonly reason: RejectedReason;
  /** The status to answer: 400, 401 or 413. */
  readonly status: 400 | 401 | 413;

  constructor(reason: RejectedReason, message: string, cause?: unknown) {
    super("webhook_rejected", message, { data: { reason, status: STATUS[reason] }, cause });
    this.reason = reason;
    this.status = STATUS[reason];
  }
}

/** The body of the answer to a call that was refused. */
export function rejectedBody(error: WebhookRejected): string {
  const { code, reason, message } = error;
  return JSON.stringify({ error: { code, reason, message } });
}
