/** The verb `stats`: what waits, runs and is dead in each queue, and how many events wait for the router. */

import { showDuration } from "../../base/duration.ts";
import { type QueueStats, stats as queueStats } from "../../kernel/operator/sql.ts";
import { table } from "../../operate/table.ts";
import { type Desk, type Verb, verb } from "../../operate/verb.ts";
import { type OutboxStats, outboxStats } from "../sql.ts";

export interface Stats {
  queues: QueueStats[];
  outbox: OutboxStats;
}

export const stats: Verb<() => Promise<Stats>, Desk> = verb({
  help: "Count ready, waiting, running and dead tasks for each queue, and the outbox; ~ marks estimates",
  examples: [
    ["pawl stats", "a table; rates are of the last five minutes"],
    ["pawl stats --json | jq '.queues[] | select(.dead > 0)'", "the queues with dead letters"],
  ],
  input: {},
  isTolerant: true,
  run: async ({ store }): Promise<Stats> => {
    const [queues, outbox] = await Promise.all([queueStats(store), outboxStats(store)]);
    return { queues, outbox };
  },
  text: ({ queues, outbox }) => {
    const counts = table(queues, [
      { head: "QUEUE", value: (row) => row.queue },
      { head: "READY", value: (row) => marked(row, "ready"), align: "right" },
      { head: "SCHEDULED", value: (row) => marked(row, "scheduled"), align: "right" },
      { head: "WAITING", value: (row) => marked(row, "waiting"), align: "right" },
      { head: "RUNNING", value: (row) => row.running, align: "right" },
      { head: "DEAD", value: (row) => marked(row, "dead"), align: "right" },
      { head: "BLOCKED", value: (row) => marked(row, "blocked"), align: "right" },
      { head: "OLDEST", value: (row) => age(row.oldestReadyMs), align: "right" },
      { head: "DONE/MIN", value: (row) => row.perMinute.done, align: "right" },
      { head: "RETRIED/MIN", value: (row) => row.perMinute.retried, align: "right" },
      { head: "DEAD/MIN", value: (row) => row.perMinute.dead, align: "right" },
    ]);
    const oldest = age(outbox.oldestToRouteMs);
    const since = oldest === null ? "" : ` (oldest ${oldest})`;
    const toRoute = marked(outbox, "toRoute");
    return `${counts}\n\noutbox: ${toRoute} to route${since}, ${marked(outbox, "unrouted")} unrouted`;
  },
});

function marked<Name extends string>(
  row: Record<Name, number> & { estimates: readonly Name[] },
  name: Name,
): string {
  return `${row.estimates.includes(name) ? "~" : ""}${row[name]}`;
}

function age(ms: number | null): string | null {
  return ms === null ? null : showDuration(ms);
}
