/** The verbs `pruneLog` and `makePartitions`: the log of windows is kept for a limited time, in one table per month. */

import { DURATION_MS_MAX } from "../../../base/duration.ts";
import { recorded } from "../../../operate/recorded.ts";
import { recordAct } from "../../../operate/sql.ts";
import { type Desk, type Verb, verb } from "../../../operate/verb.ts";
import { type Field, field, typedAs, typedBy, withDefault } from "../../../options/field.ts";
import { duration, flag, integer } from "../../../options/kinds.ts";
import { makePartitions as makeMonths } from "../../sql.ts";
import { type PrunedLog, pruneLog as prune } from "../prune-log.ts";
import type { Sources } from "./sources.ts";

const DAY_MS = 86_400_000;
const DAYS_MAX = 36_500;
const DONE_DAYS_DEFAULT = 7;
const FAILED_DAYS_DEFAULT = 30;
const MONTHS_DEFAULT = 3;
const MONTHS_MAX = 120;

/** Whole days, read as milliseconds. */
function days(help: string): Field<number> {
  return field({
    kind: "days",
    help,
    shape: "n",
    expected: `an integer from 0 to ${DAYS_MAX}`,
    read: (given) =>
      Number.isInteger(given) && Number(given) >= 0 && Number(given) <= DAYS_MAX
        ? Number(given) * DAY_MS
        : undefined,
    fromText: (text) => (/^\d{1,15}$/.test(text) ? Number(text) : text),
  });
}

const after = (help: string) => duration({ help, maxMs: DURATION_MS_MAX });
const DONE = "remove windows that ended well more than this many days ago";
const FAILED = "remove all other windows that ended more than this many days ago";
const SEEN =
  "also remove ids of events that were stored more than this many days ago (default: keep them)";

export const pruneLog: Verb<Sources["pruneLog"], Desk> = verb({
  help: "Remove old windows from the log",
  examples: [
    ["pawl sources prune-log --dry-run", "how many that would be"],
    ["pawl sources prune-log --archive", "and keep them in source_window_archive"],
    ["pawl sources prune-log --done-days 1 --failed-days 90", "other times"],
  ],
  input: {
    done: typedBy(
      typedAs("done-days", withDefault(DONE_DAYS_DEFAULT, days(DONE))),
      withDefault(`${DONE_DAYS_DEFAULT}d`, after(DONE)),
    ),
    failed: typedBy(
      typedAs("failed-days", withDefault(FAILED_DAYS_DEFAULT, days(FAILED))),
      withDefault(`${FAILED_DAYS_DEFAULT}d`, after(FAILED)),
    ),
    seen: typedBy(typedAs("seen-days", days(SEEN)), after(SEEN)),
    archive: flag("copy each row to source_window_archive before it is removed"),
    dryRun: flag("count what would be removed, remove nothing"),
  },
  changes: true,
  run: async ({ store, report }, input, act): Promise<PrunedLog> => {
    const { done: doneMs, failed: failedMs, seen: seenMs } = input;
    const { archive = false, dryRun: isDryRun = false } = input;
    const detail = {
      doneDays: doneMs / DAY_MS,
      failedDays: failedMs / DAY_MS,
      ...(seenMs !== undefined && { seenDays: seenMs / DAY_MS }),
      archive,
    };
    // before: it takes many transactions
    if (!isDryRun) await recordAct(store, { ...act, target: "sources", detail });
    const pruned = await prune(store, {
      doneMs,
      failedMs,
      ...(seenMs !== undefined && { seenMs }),
      archive,
      isDryRun,
      progress: (count) => report(`${count} windows`),
    });
    report("");
    return pruned;
  },
  json: (pruned, { dryRun = false }) => ({ dryRun, ...pruned }),
  text: ({ windows, archived, seen, dropped }, { dryRun = false }) => {
    const what = dryRun ? "would remove" : archived > 0 ? "archived" : "removed";
    const ids = seen === 0 ? "" : `, ${seen} ids of stored events`;
    const months = dropped.length === 0 ? "" : `; dropped ${dropped.join(", ")}`;
    return `${what} ${windows} ${windows === 1 ? "window" : "windows"}${ids}${months}`;
  },
});

export const makePartitions: Verb<Sources["makePartitions"], Desk> = verb({
  help: "Create the missing monthly partitions of the log",
  examples: [["pawl sources partitions --months-ahead 6", "workers make them two months ahead"]],
  input: {
    monthsAhead: withDefault(
      MONTHS_DEFAULT,
      integer({ help: "in addition to the current month", min: 0, max: MONTHS_MAX }),
    ),
  },
  args: ["monthsAhead"],
  typedArgs: [],
  changes: true,
  run: ({ store }, { monthsAhead }, act) =>
    recorded(store, async (executor) => {
      const made = await makeMonths(executor, monthsAhead);
      if (made.length === 0) return { result: made };
      return { result: made, entry: { ...act, target: "sources", detail: { made } } };
    }),
  json: (made) => ({ made }),
  text: (made) => (made.length === 0 ? "all are there" : `made ${made.join(", ")}`),
});
