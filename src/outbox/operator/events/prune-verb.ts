/** The verb `prune` of events: removes old events that nothing needs any more. */

import { recordAct } from "../../../operate/sql.ts";
import { type Verb, verb } from "../../../operate/verb.ts";
import { required } from "../../../options/field.ts";
import { flag, integer } from "../../../options/kinds.ts";
import { prune } from "../../prune.ts";
import type { Events, EventsDesk } from "./events.ts";

const DAY_MS = 86_400_000;
const DAYS_MAX = 36_500;

export const pruneVerb: Verb<Events["prune"], EventsDesk> = verb({
  help: "Remove old events and their deliveries",
  examples: [
    ["pawl events prune --days 90 --dry-run", "how many that would be"],
    ["pawl events prune --days 90", "none is pruned automatically: run it from a schedule"],
  ],
  input: {
    days: required(
      integer({
        help: "remove events routed more than this many days ago; those with a waiting or dead delivery stay",
        min: 0,
        max: DAYS_MAX,
      }),
    ),
    dryRun: flag("count what would be removed, remove nothing"),
  },
  changes: true,
  run: async ({ store, report }: EventsDesk, { days, dryRun = false }, act) => {
    // before: it takes many transactions
    if (!dryRun) await recordAct(store, { ...act, target: "events", detail: { days } });
    const pruned = await prune(store, {
      beforeMs: days * DAY_MS,
      isDryRun: dryRun,
      progress: (events) => report(`${events} events`),
    });
    report("");
    return { dryRun, ...pruned };
  },
  text: ({ dryRun, events, deliveries }) => {
    const what = `${events} ${events === 1 ? "event" : "events"} with ${deliveries} ${deliveries === 1 ? "delivery" : "deliveries"}`;
    return `${dryRun ? "would remove" : "removed"} ${what}`;
  },
});
