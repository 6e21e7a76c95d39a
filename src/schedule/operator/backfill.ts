/** The verb `backfill`: starts the tasks of due times that have passed. */

import { PawlError } from "../../base/errors.ts";
import { iso, table } from "../../operate/table.ts";
import { type Verb, verb } from "../../operate/verb.ts";
import { required } from "../../options/field.ts";
import { flag, name, time } from "../../options/kinds.ts";
import { backfillSchedule, scheduleClock } from "../sql.ts";
import { nextDue, type Timing } from "../timing.ts";
import { requireSchedule, timingOfRow } from "./find.ts";
import type { ScheduleDesk, Schedules } from "./schedules.ts";

const DUES_MAX = 1_000;

export const backfill: Verb<Schedules["backfill"], ScheduleDesk> = verb({
  help: "Start the tasks of due times that have passed, all of them that were not started",
  more: `A maximum of ${DUES_MAX} due times at once. All tasks start beside each other, whatever the schedule's overlap is.`,
  examples: [
    [
      "pawl schedules backfill nightly --from 2026-05-01T00:00:00Z --to 2026-05-04T00:00:00Z --dry-run",
      "which those are",
    ],
  ],
  input: {
    name: required(name("the schedule")),
    from: required(time("the first due time, or before it")),
    to: required(time("the last due time, or after it; not in the future")),
    dryRun: flag("list them, start nothing"),
  },
  args: ["name"],
  changes: true,
  run: async ({ store }, { name: named, from, to, dryRun = false }, act) => {
    const schedule = await requireSchedule(store, named);
    const now = await scheduleClock(store);
    if (to > now)
      throw refused(named, `expected \`to\` to be in the past, got ${to.toISOString()}`);
    const dues = duesOf(named, timingOfRow(schedule), from, to);
    return dues.length === 0
      ? []
      : backfillSchedule(store, { name: named, dues, isDry: dryRun }, act);
  },
  json: (due, { dryRun = false, name: schedule }) => ({ dryRun, schedule, due }),
  text: (rows, { dryRun = false }) =>
    rows.length === 0
      ? "no due time lies between them"
      : table(rows, [
          { head: "DUE", value: (row) => iso(row.dueAt) },
          {
            head: "OUTCOME",
            value: (row) => (dryRun && row.outcome === "started" ? "would start" : row.outcome),
          },
          { head: "TASK", value: (row) => row.taskId, align: "right" },
        ]),
});

function duesOf(named: string, timing: Timing, from: Date, to: Date): Date[] {
  const dues: Date[] = [];
  let due = nextDue(timing, new Date(from.getTime() - 1));
  while (due !== undefined && due <= to) {
    if (dues.length === DUES_MAX)
      throw refused(named, `more than ${DUES_MAX} due times lie between them; give a shorter time`);
    dues.push(due);
    due = nextDue(timing, due);
  }
  return dues;
}

function refused(named: string, message: string): PawlError {
  return new PawlError("invalid_option", `schedule "${named}": ${message}`);
}
