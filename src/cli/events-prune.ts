/** `pawl events prune`: removes old events that nothing needs any more. */

import type { Command } from "commander";
import { type Act, recordAct } from "../kernel/people/audit/sql.ts";
import { prune } from "../outbox/prune.ts";
import { actOf, withAct } from "./act.ts";
import { command, does, withStore } from "./command.ts";
import { endProgress, progress } from "./output.ts";
import { wholeNumber } from "./values.ts";

const DAY_MS = 86_400_000;
const DAYS_MAX = 36_500;

export function pruneEventsCommand(): Command {
  const made = command("prune", "Remove old events and their deliveries", [
    ["pawl events prune --days 90 --dry-run", "how many that would be"],
    ["pawl events prune --days 90", "none is pruned by itself: run it from a schedule"],
  ])
    .requiredOption(
      "--days <n>",
      "those that were routed more than so many days ago; what waits, or has a dead letter, stays",
      wholeNumber("--days", DAYS_MAX, 0),
    )
    .option("--dry-run", "count what would go, remove nothing");
  return does<Act & { days: number; dryRun?: boolean }>(
    withAct(made),
    (call, { days, dryRun = false, ...act }) =>
      withStore(call, async (store) => {
        const pruned = await prune(store, {
          beforeMs: days * DAY_MS,
          isDryRun: dryRun,
          progress: (events) => progress(`${events} events`),
        });
        endProgress();
        const detail = { days, ...pruned };
        if (!dryRun)
          await recordAct(store, { ...actOf(act), action: "prune", target: "events", detail });
        const { events, deliveries } = pruned;
        const what = `${events} ${events === 1 ? "event" : "events"} with ${deliveries} ${deliveries === 1 ? "delivery" : "deliveries"}`;
        return {
          json: { dryRun, ...pruned },
          text: `${dryRun ? "would remove" : "removed"} ${what}`,
        };
      }),
  );
}
