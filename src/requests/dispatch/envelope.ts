/** What a request says about itself beside its body, at each try. */

import type { RequestPayload } from "./payload.ts";

export interface Try {
  createdAt: Date;
  /** 1-based. */
  attempt: number;
}

/** `{"request": body, "__task": {"createdAt": <unix s>, "attempt": {"number", "limit", "interval": <s>}}}` */
export function envelope(
  body: string,
  { attempts, intervalMs }: RequestPayload,
  { createdAt, attempt }: Try,
): string {
  return JSON.stringify({
    request: body,
    __task: {
      createdAt: Math.floor(createdAt.getTime() / 1_000),
      attempt: { number: attempt, limit: attempts, interval: intervalMs / 1_000 },
    },
  });
}
