/** `pawl deliveries`: what went to which destination, and how that ended; and what can be done about it. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import { type AttemptRow, attemptsOf } from "../kernel/people/sql.ts";
import { type DeliveryRow, deliveries, destinationIds, findDelivery } from "../outbox/sql.ts";
import { command, does, withStore } from "./command.ts";
import { dispatchCommand, rescueCommand } from "./deliveries-dispatch.ts";
import { replayCommand, replaysCommand } from "./replay.ts";
import { fields, iso, sections, table } from "./table.ts";
import { attemptsText, errorText, pretty } from "./task-text.ts";
import { requireKnown, taskId, wholeNumber } from "./values.ts";

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 10_000;

export function deliveriesCommand(): Command {
  return command("deliveries", "Look at the deliveries of events, deliver, replay")
    .addCommand(list())
    .addCommand(show())
    .addCommand(dispatchCommand())
    .addCommand(rescueCommand())
    .addCommand(replayCommand())
    .addCommand(replaysCommand());
}

function list(): Command {
  const made = command("list", "List deliveries, the newest first", [
    ["pawl deliveries list --destination erp", "those to one destination"],
  ])
    .option("--destination <name>", "only to this destination")
    .option("--limit <n>", "at most so many", wholeNumber("--limit", LIMIT_MAX), LIMIT_DEFAULT);
  return does<{ destination?: string; limit: number }>(made, (call, options) =>
    withStore(call, async (store) => {
      const known = (await destinationIds(store)).map((row) => row.name);
      requireKnown("unknown_destination", options.destination, known);
      const rows = await deliveries(store, options);
      const text = table(rows, [
        { head: "ID", value: (row) => row.id, align: "right" },
        { head: "DESTINATION", value: (row) => row.destination },
        { head: "TYPE", value: (row) => row.type },
        { head: "EVENT", value: (row) => row.event_name ?? row.event_id },
        { head: "STATUS", value: (row) => row.status },
        { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
        { head: "ENDED", value: (row) => iso(row.ended_at) },
        { head: "ERROR", value: (row) => row.error?.message },
      ]);
      return { json: { deliveries: rows }, text };
    }),
  );
}

function show(): Command {
  const made = command("show <id>", "Show a delivery with its result, error and attempts", [
    ["pawl deliveries show 42", "the id is that of its task"],
  ]);
  return does(made, (call) => {
    const id = taskId(call.args[0] ?? "");
    return withStore(call, async (store) => {
      const delivery = await findDelivery(store, id);
      if (delivery === undefined) {
        throw new PawlError(
          "delivery_not_found",
          `delivery ${id}: not there; see \`pawl deliveries list\``,
          { data: { id } },
        );
      }
      const attempts = await attemptsOf(store, id);
      return { json: { delivery, attempts }, text: deliveryText(delivery, attempts) };
    });
  });
}

function deliveryText(
  row: DeliveryRow & { result: unknown },
  attempts: readonly AttemptRow[],
): string {
  return sections({
    "": fields({
      id: row.id,
      status: row.status,
      destination: `${row.destination} (${row.type})`,
      event: `${row.event_id} ${row.event_name ?? ""}`.trimEnd(),
      attempt: `${row.attempt} of ${row.max_attempts}`,
      "run at": iso(row.run_at),
      ended: iso(row.ended_at),
    }),
    result: row.result === null ? undefined : pretty(row.result),
    error: errorText(row.error),
    "earlier attempts": attempts.length === 0 ? undefined : attemptsText(attempts),
  });
}
