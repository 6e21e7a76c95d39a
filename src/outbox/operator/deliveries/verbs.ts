/** The noun `deliveries`: what went to which destination, and how that ended; and what can be done about it. */

import { PawlError } from "../../../base/errors.ts";
import { shownRow } from "../../../base/mask-json.ts";
import { limit } from "../../../kernel/operator/fields.ts";
import { requireKnown } from "../../../kernel/operator/known.ts";
import { attemptsOf } from "../../../kernel/operator/sql.ts";
import { attemptsText, errorText, pretty } from "../../../kernel/operator/tasks/text.ts";
import { rescue as rescueOne } from "../../../kernel/sql.ts";
import { recorded } from "../../../operate/recorded.ts";
import { fields, iso, sections } from "../../../operate/table.ts";
import { type Desk, listing, type Noun, type Verb, verb } from "../../../operate/verb.ts";
import { required } from "../../../options/field.ts";
import { name, numberId } from "../../../options/kinds.ts";
import { type DeliveryRow, deliveries, destinationIds, findDelivery } from "../../sql.ts";
import type { Deliveries, Rescued, ShownDelivery } from "./deliveries.ts";
import { type DispatchDesk, dispatch } from "./dispatch.ts";
import { replayVerb } from "./replay.ts";
import { replaysNoun } from "./replays.ts";

const list: Verb<Deliveries["list"], Desk> = verb({
  help: "List deliveries, the newest first",
  examples: [["pawl deliveries list --destination erp", "those to one destination"]],
  input: { destination: name("only to this destination"), limit: limit() },
  run: async ({ store }: Desk, filter) => {
    const known = (await destinationIds(store)).map((row) => row.name);
    requireKnown("unknown_destination", filter.destination, known);
    return deliveries(store, filter);
  },
  ...listing<DeliveryRow>("deliveries", [
    { head: "ID", value: (row) => row.id, align: "right" },
    { head: "DESTINATION", value: (row) => row.destination },
    { head: "TYPE", value: (row) => row.type },
    { head: "EVENT", value: (row) => row.eventName ?? row.eventId },
    { head: "STATUS", value: (row) => row.status },
    { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
    { head: "ENDED", value: (row) => iso(row.endedAt) },
    { head: "ERROR", value: (row) => row.error?.message },
  ]),
});

const show: Verb<Deliveries["show"], Desk> = verb({
  help: "Show a delivery with its result, error and attempts",
  examples: [["pawl deliveries show 42", "the id is that of its task"]],
  input: { id: required(numberId("the delivery")) },
  args: ["id"],
  absent: "delivery_not_found",
  run: async ({ store }: Desk, { id }) => {
    const delivery = await findDelivery(store, id);
    if (delivery !== undefined) return { delivery, attempts: await attemptsOf(store, id) };
    throw new PawlError(
      "delivery_not_found",
      `delivery ${id}: not there; see \`pawl deliveries list\``,
      { data: { id } },
    );
  },
  json: ({ delivery, attempts }) => ({ delivery: shownRow(delivery), attempts }),
  text: deliveryText,
});

function deliveryText({ delivery: row, attempts }: ShownDelivery): string {
  return sections({
    "": fields({
      id: row.id,
      status: row.status,
      destination: `${row.destination} (${row.type})`,
      event: `${row.eventId} ${row.eventName ?? ""}`.trimEnd(),
      attempt: `${row.attempt} of ${row.maxAttempts}`,
      "run at": iso(row.runAt),
      ended: iso(row.endedAt),
    }),
    result: row.result === null ? undefined : pretty(row.result),
    error: errorText(row.error),
    "earlier attempts": attempts.length === 0 ? undefined : attemptsText(attempts),
  });
}

const rescue: Verb<Deliveries["rescue"], Desk> = verb({
  help: "Give back the tasks of workers whose lease ran out; live workers do this too",
  examples: [["pawl deliveries rescue", "when no worker runs that would do it"]],
  input: {},
  changes: true,
  run: async ({ store }: Desk, _, act): Promise<Rescued> => {
    const workers: Rescued["workers"] = [];
    for (;;) {
      const one = await recorded(store, async (executor) => {
        const [result] = await rescueOne(executor);
        if (result === undefined) return { result };
        const { worker_id, tasks } = result;
        const entry = { ...act, target: `worker:${worker_id}`, detail: { tasks } };
        return { result: { workerId: String(worker_id), tasks }, entry };
      });
      if (one === undefined) break;
      workers.push(one);
    }
    return { rescued: workers.reduce((sum, one) => sum + one.tasks, 0), workers };
  },
  text: ({ rescued, workers }) =>
    workers.length === 0
      ? "no worker's lease has run out"
      : `rescued ${counted(rescued, "task")} of ${counted(workers.length, "worker")}`,
});

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

export const deliveriesNoun: Noun<Deliveries, DispatchDesk> = {
  name: "deliveries",
  help: "Look at the deliveries of events, deliver, replay",
  verbs: { list, show, dispatch, rescue, replay: replayVerb, replays: replaysNoun },
};
