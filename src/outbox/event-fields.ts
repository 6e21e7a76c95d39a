/** What an event is made of, as code gives it and as people type it. */

import {
  AGGREGATE_ID_CHARS_MAX,
  AGGREGATE_TYPE_CHARS_MAX,
  isAggregateId,
  isAggregateType,
  isEventName,
} from "../base/event-contract.ts";
import { type Field, field, nullIsNone, required, withDefault } from "../options/field.ts";
import { anything, object } from "../options/parts.ts";

type Aggregate = readonly [type: string, id: string | number];

export function eventName(help: string): Field<string> {
  return field({
    kind: "eventName",
    help,
    shape: "event's name",
    expected: '1 to 200 letters, digits, "_", ".", ":" and "-", such as "order.placed.v1"',
    read: (given) => (isEventName(given) ? given : undefined),
  });
}

/** Typed as `order:42`: the type ends at the first colon. */
export function aggregate(help: string): Field<Aggregate, [type: string, id: string]> {
  return field({
    kind: "aggregate",
    help,
    shape: "type:id",
    expected: "type:id such as order:42",
    inCode: `[type, id] such as ["order", "42"], of 1 to ${AGGREGATE_TYPE_CHARS_MAX} and 1 to ${AGGREGATE_ID_CHARS_MAX} characters that PostgreSQL can store`,
    read: (given) => {
      const [type, id] = Array.isArray(given) ? (given as unknown[]) : [];
      const idText = Number.isSafeInteger(id) ? String(id) : id;
      return isAggregateType(type) && isAggregateId(idText) ? [type, idText] : undefined;
    },
    fromText: (text) => {
      const at = text.indexOf(":");
      return at > 0 && at < text.length - 1 ? [text.slice(0, at), text.slice(at + 1)] : text;
    },
  });
}

/** Beside its name. */
export const EVENT_FIELDS: {
  readonly aggregate: Field<Aggregate, [type: string, id: string], "required">;
  readonly payload: Field<unknown>;
  readonly meta: Field<Record<string, unknown>, Record<string, unknown>, "default">;
} = {
  aggregate: required(aggregate("what it is about")),
  payload: anything("any JSON"),
  meta: nullIsNone(withDefault({}, object("goes to every destination"))),
};
