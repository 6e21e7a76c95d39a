/** `pawl events`: look at recorded events, record one by hand, and route anew those that no route took. */

import { type Command, Option } from "commander";
import { connect } from "../app/connect.ts";
import { PawlError } from "../base/errors.ts";
import { PAYLOAD_BYTES_DEFAULT } from "../kernel/payload.ts";
import type { Act } from "../kernel/people/audit/sql.ts";
import { eventInsert } from "../outbox/record.ts";
import { countUnrouted, routeAgain, unroutedEvents } from "../outbox/replay/sql.ts";
import {
  type DeliveryRow,
  deliveriesOf,
  type EventRow,
  events,
  insertEvent,
} from "../outbox/sql.ts";
import type { Store } from "../store/store.ts";
import { actOf, withAct } from "./act.ts";
import { type Call, command, does, withStore } from "./command.ts";
import { pruneEventsCommand } from "./events-prune.ts";
import { fields, iso, sections, table } from "./table.ts";
import { pretty } from "./task-text.ts";
import { aggregate, eventId, jsonObject, jsonValue, likePattern, wholeNumber } from "./values.ts";

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 10_000;
/** In one transaction. */
const ROUTE_MAX = 100_000;

export function eventsCommand(): Command {
  return command(
    "events",
    "Look at recorded events, record one, route what had no route, remove old ones",
  )
    .addCommand(list())
    .addCommand(show())
    .addCommand(record())
    .addCommand(route())
    .addCommand(pruneEventsCommand());
}

function list(): Command {
  const made = command("list", "List events, the newest first", [
    ['pawl events list --name "order.*"', "quote the *, or the shell takes it"],
    ["pawl events list --unrouted", "those that no route took"],
  ])
    .option("--name <pattern>", "only of this name; * stands for anything", likePattern)
    .option("--unrouted", "only those that no route took")
    .option("--limit <n>", "at most so many", wholeNumber("--limit", LIMIT_MAX), LIMIT_DEFAULT);
  return does<{ name?: string; unrouted?: boolean; limit: number }>(made, (call, options) =>
    withStore(call, async (store) => {
      const { unrouted, ...filter } = options;
      const rows = await (unrouted === true ? unroutedEvents : events)(store, filter);
      const text = table(rows, [
        { head: "ID", value: (row) => row.id },
        { head: "NAME", value: (row) => row.name },
        { head: "ABOUT", value: (row) => `${row.aggregate_type}:${row.aggregate_id}` },
        { head: "STATUS", value: (row) => row.status },
        { head: "DELIVERIES", value: (row) => row.deliveries, align: "right" },
        { head: "OCCURRED", value: (row) => iso(row.occurred_at) },
      ]);
      return { json: { events: rows }, text };
    }),
  );
}

function show(): Command {
  const made = command("show <id>", "Show an event with its payload and deliveries", [
    ["pawl events show 019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21", "and where it went"],
  ]);
  return does(made, (call) => {
    const id = eventId(call.args[0] ?? "");
    return withStore(call, async (store) => {
      const [event] = await events(store, { id, limit: 1 });
      if (event === undefined) throw noEvent(id);
      const deliveries = await deliveriesOf(store, id);
      return { json: { event, deliveries }, text: eventText(event, deliveries) };
    });
  });
}

export function noEvent(id: string): PawlError {
  return new PawlError("event_not_found", `event ${id}: not there; see \`pawl events list\``, {
    data: { id },
  });
}

function eventText(
  event: EventRow,
  deliveries: readonly Omit<DeliveryRow, "event_name">[],
): string {
  return sections({
    "": fields({
      id: event.id,
      name: event.name,
      about: `${event.aggregate_type}:${event.aggregate_id}`,
      status: event.status,
      occurred: iso(event.occurred_at),
      routed: iso(event.routed_at),
    }),
    payload: pretty(event.payload),
    meta: Object.keys(event.meta).length === 0 ? undefined : pretty(event.meta),
    deliveries: table(deliveries, [
      { head: "ID", value: (row) => row.id, align: "right" },
      { head: "DESTINATION", value: (row) => row.destination },
      { head: "STATUS", value: (row) => row.status },
      { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
      { head: "ERROR", value: (row) => row.error?.message },
    ]),
  });
}

interface RouteCall extends Act {
  name?: string;
  limit: number;
  dryRun?: boolean;
}

function route(): Command {
  const made = command("route [ids...]", "Route events once more that no route took", [
    ['pawl events route --name "order.*"', "after a route for them was added"],
    ["pawl events route 019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21", "this one"],
    ["pawl events route --dry-run", "how many that would be"],
  ])
    .option("--name <pattern>", "only of this name; * stands for anything", likePattern)
    .option(
      "--limit <n>",
      "at most so many, the oldest",
      wholeNumber("--limit", ROUTE_MAX),
      ROUTE_MAX,
    )
    .option("--dry-run", "say what would happen, change nothing");
  return does<RouteCall>(withAct(made), (call, { name, limit, dryRun = false, ...act }) => {
    const ids = call.args.length === 0 ? undefined : [...new Set(call.args.map(eventId))];
    return withStore(call, async (store) => {
      const selection = { ids, name, limit };
      await requireUnrouted(store, ids ?? []);
      const count = dryRun
        ? await countUnrouted(store, selection)
        : await routeAgain(store, selection, actOf(act));
      const what = `${count} ${count === 1 ? "event" : "events"}`;
      return {
        json: { action: "route", dryRun, count },
        text: dryRun ? `would route ${what} again` : `${what} to be routed again, by any worker`,
      };
    });
  });
}

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

interface RecordCall {
  aggregate: [type: string, id: string];
  payload: unknown;
  meta?: Record<string, unknown>;
}

function record(): Command {
  const made = command("record <name>", "Record an event; prints its id", [
    [
      `pawl events record order.placed --aggregate order:42 --payload '{"total":10}'`,
      "a test event",
    ],
  ])
    .requiredOption("--aggregate <type:id>", "what it is about", aggregate)
    .addOption(
      new Option("--payload <json>", "any JSON")
        .argParser(jsonValue("--payload"))
        .default({}, "an empty object"),
    )
    .option("--meta <json>", "a JSON object", jsonObject("--meta"));
  return does<RecordCall>(made, async (call, options) => {
    const id = await recorded(call, call.args[0] ?? "", options);
    return { json: { id }, text: id };
  });
}

/** Without a config nothing is registered: the event goes by the routes that the database knows. */
async function recorded(call: Call, name: string, options: RecordCall): Promise<string> {
  const insert = eventInsert(name, options, PAYLOAD_BYTES_DEFAULT); // refused before anything is asked
  const app = await call.app();
  if (app === undefined) {
    return withStore({ ...call, app: async () => undefined }, async (store) => {
      const [row] = await insertEvent(store, insert, null);
      return row?.id ?? "";
    });
  }
  const pawl = await connect(app, { connections: 2, log: call.log });
  try {
    return (await pawl.record(name, options)).id;
  } finally {
    await pawl.close();
  }
}
