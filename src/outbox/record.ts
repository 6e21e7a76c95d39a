/** Recording an event: checked, then exactly one INSERT in the caller's transaction. */

import { PawlError, shown } from "../base/errors.ts";
import { toJson } from "../base/json.ts";
import type { EventInsert } from "./sql.ts";

const EVENT_NAME = /^[A-Za-z0-9_.:-]{1,200}$/;

export interface RecordOptions {
  /** What the event is about: type and id, such as `["order", orderId]`. */
  aggregate: readonly [type: string, id: string | number];
  payload: unknown;
  /** Correlation, trace, tenant …; goes to every destination. */
  meta?: Record<string, unknown>;
}

/** @throws PawlError `invalid_option`, `payload_not_json`, `payload_too_large` */
export function eventInsert(name: string, options: RecordOptions, bytesMax: number): EventInsert {
  if (typeof name !== "string" || !EVENT_NAME.test(name)) {
    throw new PawlError(
      "invalid_option",
      `expected an event's name to be 1 to 200 letters, digits, "_", ".", ":" and "-", such as "order.placed.v1", got ${shown(name)}`,
    );
  }
  const [type, id] = aggregate(name, options?.aggregate);
  return {
    name,
    aggregateType: type,
    aggregateId: id,
    payload: toJson(options.payload, { what: `payload of event "${name}"`, bytesMax }),
    meta: toJson(options.meta ?? {}, { what: `meta of event "${name}"`, bytesMax }),
  };
}

function aggregate(name: string, value: unknown): [string, string] {
  const [type, id] = Array.isArray(value) ? (value as unknown[]) : [];
  const isId = typeof id === "string" || typeof id === "number";
  if (typeof type === "string" && type !== "" && isId && String(id) !== "")
    return [type, String(id)];
  throw new PawlError(
    "invalid_option",
    `event "${name}": expected \`aggregate\` to be [type, id] such as ["order", "42"], got ${shown(value)}`,
  );
}
