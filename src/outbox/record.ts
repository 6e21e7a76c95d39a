/** Records an event: checks it, then runs exactly one INSERT in the caller's transaction. */

import { PawlError, shown } from "../base/errors.ts";
import { isEventName, OWN_EVENTS_PREFIX } from "../base/event-contract.ts";
import { toJson } from "../base/json.ts";
import { type FieldsOf, readOptions, type ValueOf } from "../options/field.ts";
import { name } from "../options/kinds.ts";
import { EVENT_FIELDS, eventName } from "./event-fields.ts";
import type { EventInsert } from "./sql.ts";

export interface RecordOptions {
  /** What the event is about, as type and id, such as `["order", orderId]`. */
  aggregate: readonly [type: string, id: string | number];
  payload: unknown;
  /** Correlation, trace, tenant …; sent to every destination. */
  meta?: Record<string, unknown>;
}

export interface RecordEvent extends RecordOptions {
  /** Name of the only destination that gets it, whatever the routes say. */
  to?: string;
}

const RECORD_FIELDS = {
  ...EVENT_FIELDS,
  to: name("the only destination that it goes to"),
} satisfies FieldsOf<RecordEvent>;
export const EVENT_OPTIONS: readonly string[] = Object.keys(EVENT_FIELDS);
const NAME = eventName("the name of an event");

/**
 * Includes its target, if the event names one. `sendTo` names it beside the event.
 *
 * @throws PawlError `invalid_option`, `payload_not_json`, `payload_too_large`
 */
export function eventInsert(
  call: "record" | "sendTo",
  name: string,
  given: RecordEvent,
  bytesMax: number,
): EventInsert {
  if (isEventName(name) && name.startsWith(OWN_EVENTS_PREFIX)) {
    throw new PawlError(
      "invalid_option",
      `event name "${name}" begins with "${OWN_EVENTS_PREFIX}", as only Pawl's own do; choose another name`,
    );
  }
  const where = `${call} ${shown(name)}`;
  if (call === "sendTo") return insertOf(name, readOptions(where, EVENT_FIELDS, given), bytesMax);
  const { to, ...event } = readOptions(where, RECORD_FIELDS, given);
  const insert = insertOf(name, event, bytesMax);
  return to === undefined ? insert : { ...insert, target: { name: to } };
}

/**
 * For events that no app records, also those of Pawl itself.
 *
 * @throws PawlError `invalid_option`, `payload_not_json`, `payload_too_large`
 */
export function checkedEvent(name: string, options: RecordOptions, bytesMax: number): EventInsert {
  return insertOf(name, readOptions(`event ${shown(name)}`, EVENT_FIELDS, options), bytesMax);
}

function insertOf(
  name: string,
  { aggregate, payload, meta }: ValueOf<typeof EVENT_FIELDS>,
  bytesMax: number,
): EventInsert {
  return {
    name: NAME.read(name, { label: "an event's name", option: "name" }),
    aggregateType: aggregate[0],
    aggregateId: aggregate[1],
    payload: toJson(payload, { what: `payload of event "${name}"`, bytesMax }),
    meta: toJson(meta, { what: `meta of event "${name}"`, bytesMax }),
  };
}
