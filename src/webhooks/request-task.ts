/** `__task` of the envelope of a signed request: which try this is. */

import { WebhookRejected } from "./rejected.ts";

export interface RequestTask {
  /** Unix seconds at which the request was made. */
  readonly createdAt: number;
  readonly attempt: {
    /** From 1. */
    readonly number: number;
    readonly limit: number;
    /** Seconds between two tries. */
    readonly interval: number;
  };
}

/** @throws WebhookRejected `malformed` */
export function readTask(value: unknown): RequestTask | undefined {
  if (value === undefined) return undefined;
  const { createdAt, attempt } = fieldsOf(value);
  const { number, limit, interval } = fieldsOf(attempt);
  if ([createdAt, number, limit, interval].every((one) => typeof one === "number")) {
    return { createdAt, attempt: { number, limit, interval } } as RequestTask;
  }
  throw malformed();
}

function fieldsOf(value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  throw malformed();
}

function malformed(): WebhookRejected {
  return new WebhookRejected(
    "malformed",
    "request: `__task` is not { createdAt, attempt: { number, limit, interval } }",
  );
}
