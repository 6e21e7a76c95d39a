/** Accepts everything and does nothing: for trying routes out, and for events that are wanted in history only. */

import type { DestinationDefinition, DestinationType } from "./types.ts";

const TIMEOUT_MS = 1_000;

export function nullDestination(): DestinationDefinition {
  return {
    type: "null",
    config: {},
    timeoutMs: TIMEOUT_MS,
    acceptsUnread: true,
    deliver: async () => ({ summary: "accepted and discarded" }),
  };
}

export const nullType: DestinationType = {
  type: "null",
  label: "Accept and discard",
  fields: {},
  define: nullDestination,
};
