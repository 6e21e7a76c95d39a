/** `pawl stats`: what waits, runs and is dead, per queue; and what the router has before it. */

import type { Command } from "commander";
import { showDuration } from "../base/duration.ts";
import { type QueueStats, stats } from "../kernel/people/sql.ts";
import { outboxStats } from "../outbox/sql.ts";
import { command, does, withStore } from "./command.ts";
import { table } from "./table.ts";

/** Counts beyond are the planner's estimate. */
const COUNTED_MAX = 10_000;

type Outbox = Awaited<ReturnType<typeof outboxStats>>;

export function statsCommand(): Command {
  const made = command(
    "stats",
    "Show what is ready, waits in lanes, runs and is dead per queue, and the outbox; ~ marks estimates",
    [
      ["pawl stats", "a table; rates are of the last five minutes"],
      ["pawl stats --json | jq '.queues[] | select(.dead > 0)'", "the queues with dead letters"],
    ],
  );
  return does(made, (call) =>
    withStore(call, async (store) => {
      const [queues, outbox] = await Promise.all([stats(store), outboxStats(store)]);
      return { json: { queues, outbox }, text: textOf(queues, outbox) };
    }),
  );
}

function textOf(queues: readonly QueueStats[], outbox: Outbox): string {
  const counts = table(queues, [
    { head: "QUEUE", value: (row) => row.queue },
    { head: "READY", value: (row) => marked(row.ready, isEstimate(row)), align: "right" },
    { head: "SCHEDULED", value: (row) => marked(row.scheduled, isEstimate(row)), align: "right" },
    { head: "WAITING", value: (row) => marked(row.waiting, isEstimate(row)), align: "right" },
    { head: "RUNNING", value: (row) => row.running, align: "right" },
    { head: "DEAD", value: (row) => marked(row.dead, row.dead > COUNTED_MAX), align: "right" },
    {
      head: "BLOCKED",
      value: (row) => marked(row.blocked, row.blocked > COUNTED_MAX),
      align: "right",
    },
    { head: "OLDEST", value: (row) => age(row.oldestReadyMs), align: "right" },
    { head: "DONE/MIN", value: (row) => row.perMinute.done, align: "right" },
    { head: "RETRIED/MIN", value: (row) => row.perMinute.retried, align: "right" },
    { head: "DEAD/MIN", value: (row) => row.perMinute.dead, align: "right" },
  ]);
  const oldest = age(outbox.oldest_to_route_ms);
  const toRoute = marked(outbox.to_route, outbox.to_route > COUNTED_MAX);
  const unrouted = marked(outbox.unrouted, outbox.unrouted > COUNTED_MAX);
  const since = oldest === null ? "" : ` (oldest ${oldest})`;
  return `${counts}\n\noutbox: ${toRoute} to route${since}, ${unrouted} unrouted`;
}

/** `isEstimate` is also set when only the dead are many. */
function isEstimate({ ready, scheduled, waiting, running, ...row }: QueueStats): boolean {
  return row.isEstimate && ready + scheduled + waiting + running > COUNTED_MAX;
}

function marked(count: number, isAbout: boolean): string {
  return `${isAbout && count > 0 ? "~" : ""}${count}`;
}

function age(ms: number | null): string | null {
  return ms === null ? null : showDuration(ms);
}
