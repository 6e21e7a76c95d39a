/** `__task` in the envelope of a signed request: which attempt this is. */

import { WebhookRejected } from "./rejected.ts";

export interface RequestTask {
  /** When the request was made, in unix seconds. */
  readonly createdAt: number;
  readonly attempt: {
    /** The number of the attempt, from 1. */
    readonly number: number;
    readonly limit: number;
    /** Seconds between two attempts. */
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
