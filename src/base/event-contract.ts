/**
 * What an event is: the same in TypeScript, in SQL (`pawl.record` and the table `event`) and in the receivers' verifier.
 * test/outbox/event-contract.test.ts runs one table of cases through all three.
 */

import { isName } from "./text.ts";

const NAME = /^[A-Za-z0-9_.:-]{1,200}$/;
export const AGGREGATE_TYPE_CHARS_MAX = 200;
export const AGGREGATE_ID_CHARS_MAX = 500;
/** Names of events that Pawl itself records; nobody else does. */
export const OWN_EVENTS_PREFIX = "pawl.";

export function isEventName(value: unknown): value is string {
  return typeof value === "string" && NAME.test(value);
}

export function isAggregateType(value: unknown): value is string {
  return isName(value, AGGREGATE_TYPE_CHARS_MAX);
}

export function isAggregateId(value: unknown): value is string {
  return isName(value, AGGREGATE_ID_CHARS_MAX);
}

/** Any object that is no array. */
export function isMeta(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
