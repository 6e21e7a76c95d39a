/**
 * Why no connection came about. The one error that the connector hands to undici: undici reads the codes of
 * foreign errors, and at some of them tries for ever or blocks the connection's place.
 */

import type { Refusal } from "../guard/refusal.ts";
import { explainTls, faultReason, type HttpFaultReason } from "../http-fault.ts";

export class ConnectError extends Error {
  readonly reason: HttpFaultReason;
  /** What happened, when the reason alone does not say it. */
  readonly detail: string | undefined;
  readonly refusal: Refusal | undefined;

  constructor(
    reason: HttpFaultReason,
    more: { detail?: string | undefined; cause?: unknown; refusal?: Refusal } = {},
  ) {
    super(more.detail ?? reason, { cause: more.cause });
    this.reason = reason;
    this.detail = more.detail;
    this.refusal = more.refusal;
  }
}

export function connectRefused(refusal: Refusal): ConnectError {
  return new ConnectError("forbidden", { refusal });
}

export function proxyFailed(detail: string, cause?: unknown): ConnectError {
  return new ConnectError("proxy", { detail, cause });
}

export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  return new ConnectError(faultReason(error), { detail: explainTls(error), cause: error });
}
