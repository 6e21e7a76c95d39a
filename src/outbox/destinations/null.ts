/** Accepts every event and does nothing with it: for tests, and for events that are wanted in history only. */

import type { DestinationDefinition } from "./types.ts";

const TIMEOUT_MS = 1_000;

export function nullDestination(): DestinationDefinition {
  return {
    type: "null",
    config: {},
    timeoutMs: TIMEOUT_MS,
    deliver: async () => ({ summary: "accepted and discarded" }),
  };
}
