/** The noun `events`: look at recorded events, record one by hand, and route once more events that no route matched. */

import { PawlError } from "../../../base/errors.ts";
import { shownRow } from "../../../base/mask-json.ts";
import { dryRun, limit } from "../../../kernel/operator/fields.ts";
import { contentText } from "../../../kernel/operator/tasks/text.ts";
import { recorded } from "../../../operate/recorded.ts";
import { fields, iso, sections, table } from "../../../operate/table.ts";
import { type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { required, withDefault } from "../../../options/field.ts";
import { eventId, eventPattern, flag, integer, json, jsonObject } from "../../../options/kinds.ts";
import { knowing, object, several } from "../../../options/parts.ts";
import type { Store } from "../../../store/store.ts";
import { aggregate, eventName } from "../../event-fields.ts";
import { EVENT_OPTIONS, eventInsert, type RecordOptions } from "../../record.ts";
import { countUnrouted, routeAgain, unroutedEvents } from "../../replay/sql.ts";
import { deliveriesOf, type EventRow, events } from "../../sql.ts";
import { writeEvent } from "../../write.ts";
import type { Events, EventsDesk, ShownEvent } from "./events.ts";
import { noEvent } from "./find.ts";
import { pruneVerb } from "./prune-verb.ts";

/** In one transaction. */
const ROUTE_MAX = 100_000;
const NAME = eventPattern("only with this name; * matches any characters");

const list: Verb<Events["list"], EventsDesk> = verb({
  help: "List events, the newest first",
  examples: [
    ['pawl events list --name "order.*"', "quote the *, or the shell expands it"],
    ["pawl events list --unrouted", "events that no route matched"],
  ],
  input: { name: NAME, unrouted: flag("only unrouted events"), limit: limit() },
  run: ({ store }: EventsDesk, { unrouted, ...filter }) =>
    (unrouted === true ? unroutedEvents : events)(store, filter),
  json: (rows) => ({ events: rows.map(shownRow) }),
  text: (rows: EventRow[]) =>
    table(rows, [
      { head: "ID", value: (row) => row.id },
      { head: "NAME", value: (row) => row.name },
      { head: "ABOUT", value: (row) => `${row.aggregateType}:${row.aggregateId}` },
      { head: "STATUS", value: (row) => row.status },
      { head: "DELIVERIES", value: (row) => row.deliveries, align: "right" },
      { head: "OCCURRED", value: (row) => iso(row.occurredAt) },
    ]),
});

const show: Verb<Events["show"], EventsDesk> = verb({
  help: "Show an event with its payload and deliveries",
  examples: [["pawl events show 019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21", "and where it went"]],
  input: { id: required(eventId("the event", "event's id")) },
  args: ["id"],
  absent: "event_not_found",
  run: async ({ store }: EventsDesk, { id }) => {
    const [event] = await events(store, { id, limit: 1 });
    if (event === undefined) throw noEvent(id);
    return { event, deliveries: await deliveriesOf(store, id) };
  },
  json: ({ event, deliveries }) => ({ event: shownRow(event), deliveries }),
  text: eventText,
});

function eventText({ event, deliveries }: ShownEvent): string {
  return sections({
    "": fields({
      id: event.id,
      name: event.name,
      about: `${event.aggregateType}:${event.aggregateId}`,
      status: event.status,
      occurred: iso(event.occurredAt),
      routed: iso(event.routedAt),
    }),
    payload: contentText(event.payloadText),
    meta: event.metaText === "{}" ? undefined : contentText(event.metaText),
    deliveries: table(deliveries, [
      { head: "ID", value: (row) => row.id, align: "right" },
      { head: "DESTINATION", value: (row) => row.destination },
      { head: "STATUS", value: (row) => row.status },
      { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
      { head: "ERROR", value: (row) => row.error?.message },
    ]),
  });
}

const record: Verb<Events["record"], EventsDesk> = verb({
  help: "Record an event; prints its id",
  examples: [
    [
      `pawl events record order.placed --aggregate order:42 --payload '{"total":10}'`,
      "a test event; the audit says who recorded it",
    ],
  ],
  input: {
    name: required(eventName("its name")),
    event: required(
      knowing(EVENT_OPTIONS, object<RecordOptions>("what it is about, and its payload")),
    ),
  },
  args: ["name", "event"],
  form: {
    input: {
      name: required(eventName("its name")),
      aggregate: required(aggregate("what it is about")),
      payload: json("any JSON (default: an empty object)"),
      meta: jsonObject("a JSON object"),
    },
    args: ["name"],
    given: ({ name, payload = {}, ...event }) => ({ name, event: { payload, ...event } }),
  },
  changes: true,
  check: ({ name, event }) => {
    eventInsert("record", name, event, Number.MAX_SAFE_INTEGER);
  },
  run: async (desk: EventsDesk, { name, event }, act) => {
    eventInsert("record", name, event, desk.maxPayloadBytes); // refused before anything is registered
    await desk.registered();
    return recorded(desk.store, async (_, tx) => {
      const result = await writeEvent(desk, desk.store, name, event, { tx });
      return { result, entry: { ...act, target: `event:${result.id}` } };
    });
  },
  text: ({ id }) => id,
});

const route: Verb<Events["route"], EventsDesk> = verb({
  help: "Route unrouted events again",
  examples: [
    ['pawl events route --name "order.*"', "after a route for them was added"],
    ["pawl events route 019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21", "this one"],
    ["pawl events route --dry-run", "how many that would be"],
  ],
  input: {
    ids: several(eventId("the events", "event's id")),
    name: NAME,
    limit: withDefault(
      ROUTE_MAX,
      integer({ help: "the maximum number of events, the oldest first", max: ROUTE_MAX }),
    ),
    all: flag("all unrouted events; the same as no ids and no name"),
    dryRun,
  },
  args: ["ids"],
  changes: true,
  // in code, ids that are undefined by mistake must not mean all of them
  check: ({ ids, name, all }, { where }) => {
    if (where.startsWith("pawl ") || ids !== undefined || name !== undefined || all === true)
      return;
    throw new PawlError(
      "invalid_option",
      `${where}: expected ids, \`name\`, or \`all: true\`; got none of them`,
    );
  },
  run: async ({ store }: EventsDesk, { dryRun: isDryRun = false, ids, name, limit }, act) => {
    const selection = { ids, name, limit };
    await requireUnrouted(store, selection.ids ?? []);
    const count = isDryRun
      ? await countUnrouted(store, selection)
      : await routeAgain(store, selection, act);
    return { dryRun: isDryRun, count };
  },
  json: (routed) => ({ action: "route", ...routed }),
  text: ({ dryRun: isDryRun, count }) => {
    const what = `${count} ${count === 1 ? "event" : "events"}`;
    return isDryRun ? `would route ${what} again` : `${what} to be routed again, by any worker`;
  },
});

/** Nothing is half done: one that has a route, and none is touched. */
async function requireUnrouted(store: Store, ids: readonly string[]): Promise<void> {
  const found = await unroutedEvents(store, { ids, limit: ids.length });
  const missing = ids.find((id) => !found.some((event) => event.id === id));
  if (missing === undefined) return;
  const [event] = await events(store, { id: missing, limit: 1 });
  if (event === undefined) throw noEvent(missing);
  throw new PawlError(
    "event_not_found",
    `event ${missing}: it is ${event.status}, not unrouted; \`pawl deliveries replay\` delivers again what was delivered`,
    { data: { id: missing, status: event.status } },
  );
}

export const eventsNoun: Noun<Events, EventsDesk> = {
  name: "events",
  help: "Look at recorded events; record one, route unrouted ones, remove old ones",
  verbs: { list, show, record, route, prune: pruneVerb },
};
