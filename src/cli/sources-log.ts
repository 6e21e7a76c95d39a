/** `pawl sources prune-log` and `partitions`: the log of windows is kept for a time, and has a table a month. */

import type { Command } from "commander";
import { pruneSourceLog } from "../app/prune-source-log.ts";
import type { PrunedLog } from "../inbox/people/prune-log.ts";
import { makePartitions } from "../inbox/sql.ts";
import type { Act } from "../kernel/people/audit/sql.ts";
import { actOf, withAct } from "./act.ts";
import { command, does, withStore } from "./command.ts";
import { endProgress, progress } from "./output.ts";
import { wholeNumber } from "./values.ts";

const DAY_MS = 86_400_000;
const DAYS_MAX = 36_500;
const DONE_DAYS_DEFAULT = 7;
const FAILED_DAYS_DEFAULT = 30;
const MONTHS_DEFAULT = 3;
const MONTHS_MAX = 120;

interface PruneOptions extends Act {
  doneDays: number;
  failedDays: number;
  seenDays?: number;
  archive?: boolean;
  dryRun?: boolean;
}

export function pruneLogCommand(): Command {
  const days = (flag: string) => wholeNumber(flag, DAYS_MAX, 0);
  const made = command("prune-log", "Remove old windows from the log", [
    ["pawl sources prune-log --dry-run", "how many that would be"],
    ["pawl sources prune-log --archive", "and keep them in source_window_archive"],
    ["pawl sources prune-log --done-days 1 --failed-days 90", "other times"],
  ])
    .option("--done-days <n>", "windows that ended well", days("--done-days"), DONE_DAYS_DEFAULT)
    .option("--failed-days <n>", "the others", days("--failed-days"), FAILED_DAYS_DEFAULT)
    .option(
      "--seen-days <n>",
      "also ids that handlers have stored (default: they stay)",
      days("--seen-days"),
    )
    .option("--archive", "copy each row before it goes, in the same statement")
    .option("--dry-run", "count what would go, remove nothing");
  return does<PruneOptions>(withAct(made), (call, options) =>
    withStore(call, async (store) => {
      const { doneDays, failedDays, seenDays, archive = false, dryRun = false, ...act } = options;
      const pruned = await pruneSourceLog(
        store,
        {
          doneMs: doneDays * DAY_MS,
          failedMs: failedDays * DAY_MS,
          ...(seenDays !== undefined && { seenMs: seenDays * DAY_MS }),
          archive,
          isDryRun: dryRun,
          progress: (count) => progress(`${count} windows`),
        },
        actOf(act),
      );
      endProgress();
      return { json: { dryRun, ...pruned }, text: prunedText(pruned, dryRun) };
    }),
  );
}

function prunedText({ windows, archived, seen, dropped }: PrunedLog, isDryRun: boolean): string {
  const what = isDryRun ? "would remove" : archived > 0 ? "archived" : "removed";
  const ids = seen === 0 ? "" : `, ${seen} ids of stored events`;
  const months = dropped.length === 0 ? "" : `; dropped ${dropped.join(", ")}`;
  return `${what} ${windows} ${windows === 1 ? "window" : "windows"}${ids}${months}`;
}

export function partitions(): Command {
  const made = command("partitions", "Make the months of the log that are missing", [
    ["pawl sources partitions --months-ahead 6", "workers keep two months ahead by themselves"],
  ]).option(
    "--months-ahead <n>",
    "beside this month",
    wholeNumber("--months-ahead", MONTHS_MAX, 0),
    MONTHS_DEFAULT,
  );
  return does<{ monthsAhead: number }>(made, (call, { monthsAhead }) =>
    withStore(call, async (store) => {
      const made = await makePartitions(store, monthsAhead);
      return {
        json: { made },
        text: made.length === 0 ? "all are there" : `made ${made.join(", ")}`,
      };
    }),
  );
}
