/** Accepts everything and does nothing: to try routes, and for events that are wanted only in history. */

import { refuseOptions } from "../../base/options.ts";
import type { DestinationDefinition, DestinationType } from "./types.ts";

const TIMEOUT_MS = 1_000;

export function nullDestination(...more: unknown[]): DestinationDefinition {
  refuseOptions("nullDestination", more);
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
