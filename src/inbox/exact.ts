/**
 * The JSON text of an event's payload and meta, carried beside their values: the inbox keeps exactly what the source sent, with
 * all digits, and nothing is parsed before somebody reads it.
 */

import { RawJson } from "../base/json-text.ts";
import type { SourceEvent } from "./source.ts";

const EXACT = Symbol("exact");

interface ExactParts {
  readonly payload?: RawJson;
  readonly meta?: RawJson;
}

/** Values that are `RawJson` become their texts, parsed each time that they are read. */
export function exactEvent({ payload, meta, ...head }: SourceEvent): SourceEvent {
  if (!(payload instanceof RawJson) && !(meta instanceof RawJson)) {
    return { ...head, payload, ...(meta !== undefined && { meta }) };
  }
  const exact: ExactParts = {
    ...(payload instanceof RawJson && { payload }),
    ...(meta instanceof RawJson && { meta }),
  };
  const read = (value: unknown) => (value instanceof RawJson ? value.toJSON() : value);
  const event = Object.defineProperty(head, "payload", {
    get: () => read(payload),
    enumerable: true,
  });
  if (meta !== undefined) {
    Object.defineProperty(event, "meta", { get: () => read(meta), enumerable: true });
  }
  return Object.defineProperty(event as SourceEvent, EXACT, { value: exact });
}

/** Returns payload and meta as they are kept: their texts, if the source gave them. */
export function partsOf(event: SourceEvent): { payload: unknown; meta: unknown } {
  const exact = (event as { [EXACT]?: ExactParts })[EXACT];
  return {
    payload: exact?.payload ?? event.payload,
    meta: exact?.meta ?? event.meta,
  };
}
