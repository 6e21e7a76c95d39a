/** `pawl queues`: what each queue allows and what holds it; pause and resume one for the whole fleet. */

import type { Command } from "commander";
import { showDuration } from "../base/duration.ts";
import type { Act } from "../kernel/people/audit/sql.ts";
import { type Hold, type QueueRow, queues, type Rate } from "../kernel/people/gate/sql.ts";
import { withAct } from "./act.ts";
import { type Call, command, does, withStore } from "./command.ts";
import { type OffCall, turnOff, turnOn, withOffOptions } from "./off.ts";
import { requireScope } from "./scope.ts";
import { table } from "./table.ts";

export function queuesCommand(): Command {
  return command("queues", "Look at queues, pause and resume them")
    .addCommand(list())
    .addCommand(pause())
    .addCommand(resume());
}

function list(): Command {
  const made = command("list", "List queues with their limits, and what holds them", [
    ["pawl queues list", "pawl stats has the counts"],
  ]);
  return does(made, (call) =>
    withStore(call, async (store) => {
      const rows = await queues(store);
      const text = table(rows, [
        { head: "QUEUE", value: (row) => row.queue },
        { head: "APP", value: (row) => row.application },
        { head: "RUNNING", value: (row) => row.running, align: "right" },
        { head: "LIMIT", value: (row) => row.concurrency, align: "right" },
        { head: "RATE", value: (row) => rateText(row.rate) },
        { head: "ON DEAD", value: (row) => row.on_dead },
        { head: "HELD", value: heldText },
      ]);
      return { json: { queues: rows }, text };
    }),
  );
}

function rateText(rate: Rate | null): string | null {
  return rate === null
    ? null
    : `${rate.limit} in ${showDuration(rate.per_ms)}, burst ${rate.burst}`;
}

function heldText({ holds, off_here }: QueueRow): string | null {
  const hosts = off_here.map((host) => `off on host ${host}`);
  const all = [...holds.map(holdText), ...hosts];
  return all.length === 0 ? null : all.join("; ");
}

function holdText(hold: Hold): string {
  switch (hold.reason) {
    case "off": {
      const { scope, by, why } = hold.detail;
      const end = hold.until === null ? "" : ` until ${new Date(hold.until).toISOString()}`;
      return `${scope === "all" ? "all off" : "off"} by ${by}${why === null ? "" : ` ("${why}")`}${end}`;
    }
    case "concurrency":
      return "limit reached";
    case "kind_concurrency":
      return "limit of a kind reached";
    case "rate":
      return "rate reached";
    case "breaker":
      return breakerText(hold);
    default:
      return hold satisfies never;
  }
}

function breakerText({ until, detail }: Extract<Hold, { reason: "breaker" }>): string {
  if (until !== null) return `breaker open, a probe at ${new Date(until).toISOString()}`;
  return detail.starts === 1 ? "breaker open, a probe runs" : "breaker closing slowly";
}

function pause(): Command {
  const made = command("pause <name>", "Nothing of this queue starts any more, on any machine", [
    ['pawl queues pause low --why "erp down" --until 30m', "as `pawl off queue:low`"],
    ["pawl queues pause destination:erp", "the deliveries to one destination"],
  ]);
  return does<OffCall>(withOffOptions(made), (call, options) =>
    withStore(call, async (store) =>
      turnOff(store, await requireScope(store, scopeOf(call)), options),
    ),
  );
}

function resume(): Command {
  const made = command(
    "resume <name>",
    "The queue's tasks may start again, its breakers are closed",
    [["pawl queues resume low", "as `pawl on queue:low`"]],
  );
  return does<Act>(withAct(made), (call, options) =>
    withStore(call, async (store) =>
      turnOn(store, await requireScope(store, scopeOf(call)), options),
    ),
  );
}

function scopeOf({ args: [name = ""] }: Call): string {
  return name.startsWith("queue:") ? name : `queue:${name}`;
}
