/** The noun `schedules`: when each is due, what it starts, and what became of it. */

import { PawlError } from "../../base/errors.ts";
import { limit } from "../../kernel/operator/fields.ts";
import { requireKnown } from "../../kernel/operator/known.ts";
import { type PauseAndResume, pausing } from "../../kernel/operator/switches/pausing.ts";
import { fields, iso, sections, table } from "../../operate/table.ts";
import { type Desk, type Noun, type Verb, verb } from "../../operate/verb.ts";
import { type Field, required, withDefault } from "../../options/field.ts";
import { choice, flag, integer, name } from "../../options/kinds.ts";
import {
  runSchedule,
  SCHEDULE_STATUSES,
  type ScheduleRow,
  scheduleClock,
  scheduleRows,
  scheduleRuns,
  targets,
} from "../sql.ts";
import { backfill } from "./backfill.ts";
import { add, edit, remove } from "./change.ts";
import { requireSchedule, timingOfRow } from "./find.ts";
import { type PreviewedDue, preview as previewOf } from "./preview.ts";
import type { ScheduleDesk, Schedules, ShownSchedule } from "./schedules.ts";
import {
  lastText,
  missedText,
  outcomeText,
  ownerText,
  startsText,
  statusText,
  timesText,
} from "./text.ts";
import { scheduleLine, whySchedule } from "./why.ts";

const SHOWN = 5;
const PREVIEW_DEFAULT = 10;
const PREVIEW_MAX = 1_000;

const NAME: Field<string, string, "required"> = required(name("the schedule"));

const list: Verb<Schedules["list"], Desk> = verb({
  help: "List schedules: when each is due, what it starts, and what became of it last",
  examples: [
    ["pawl schedules", "those of this database"],
    ["pawl schedules list --status off", "those that a switch holds"],
    ["pawl schedules list --target import", "those that start this job, process or command"],
  ],
  input: {
    status: choice(SCHEDULE_STATUSES, SCHEDULE_STATUSES.join(", "), "status"),
    target: name("only those that start this job, process or command"),
    limit: limit(),
  },
  isDefault: true,
  run: async ({ store }, filter) => {
    const found = await scheduleRows(store, filter);
    if (found.length === 0) requireKnown("unknown_kind", filter.target, await targets(store));
    return found;
  },
  json: (rows) => ({ schedules: rows }),
  text: (rows: ScheduleRow[]) =>
    table(rows, [
      { head: "SCHEDULE", value: (row) => row.name },
      { head: "STATUS", value: statusText },
      { head: "TIMES", value: timesText },
      { head: "STARTS", value: startsText },
      { head: "NEXT", value: (row) => iso(row.nextAt) },
      { head: "LAST", value: (row) => iso(row.lastAt) },
      { head: "OUTCOME", value: lastText },
      { head: "OWNER", value: ownerText },
    ]),
});

const show: Verb<Schedules["show"], Desk> = verb({
  help: "Show a schedule, its next due times, and its last runs",
  examples: [["pawl schedules show nightly", "and what holds it"]],
  input: { name: NAME },
  args: ["name"],
  absent: "schedule_not_found",
  run: async ({ store }, { name: named }): Promise<ShownSchedule> => {
    const schedule = await requireSchedule(store, named);
    return {
      schedule,
      line: await scheduleLine(store, schedule),
      next: await previewed(store, schedule, SHOWN),
      runs: await scheduleRuns(store, named, SHOWN),
    };
  },
  text: ({ schedule, line, next, runs }) =>
    sections({
      "": fields({
        schedule: schedule.name,
        status: schedule.status,
        why: line,
        times: timesText(schedule),
        starts: startsText(schedule),
        missed: missedText(schedule),
        overlap: schedule.overlap,
        owner: ownerText(schedule),
      }),
      next: next.length === 0 ? undefined : previewText(next),
      runs:
        runs.length === 0
          ? undefined
          : table(runs, [
              { head: "DUE", value: (row) => iso(row.dueAt) },
              { head: "OUTCOME", value: outcomeText },
              { head: "BY", value: (row) => row.by },
            ]),
    }),
});

async function previewed(
  store: Desk["store"],
  schedule: ScheduleRow,
  count: number,
): Promise<PreviewedDue[]> {
  const { name: named, jitterMs, nextAt, status } = schedule;
  if (status === "disabled" || status === "undefined") return [];
  const now = await scheduleClock(store);
  const after = nextAt === null || nextAt <= now ? now : new Date(nextAt.getTime() - 1);
  return previewOf({ name: named, timing: timingOfRow(schedule), jitterMs }, { after, count });
}

function previewText(rows: PreviewedDue[]): string {
  return table(rows, [
    { head: "DUE", value: (row) => iso(row.dueAt) },
    { head: "LOCAL", value: (row) => row.local },
    { head: "CLOCK", value: (row) => row.clock },
  ]);
}

const preview: Verb<Schedules["preview"], Desk> = verb({
  help: "List the next due times of a schedule, and where a change of the clock moves one",
  examples: [["pawl schedules preview nightly --count 30", "the next thirty, in its time zone"]],
  input: {
    name: NAME,
    count: withDefault(PREVIEW_DEFAULT, integer({ help: "how many", max: PREVIEW_MAX })),
  },
  args: ["name"],
  run: async ({ store }, { name: named, count }) =>
    previewed(store, await requireSchedule(store, named), count),
  json: (due) => ({ due }),
  text: previewText,
});

const why: Verb<Schedules["why"], Desk> = verb({
  help: "Say why a schedule does or does not fire, and what would change that",
  input: { name: NAME },
  args: ["name"],
  run: ({ store }, { name: named }) => whySchedule(store, named),
  text: ({ line }) => line,
});

const run: Verb<Schedules["run"], Desk> = verb({
  help: "Start the task of a schedule now, beside its due times",
  examples: [["pawl schedules run nightly", "its next due time stays as it is"]],
  input: { name: NAME, beside: flag("also while its last task has not ended") },
  args: ["name"],
  changes: true,
  run: async ({ store }, { name: named, beside = false }, act) => {
    await requireSchedule(store, named);
    const [started] = await runSchedule(store, { name: named, isBeside: beside }, act);
    if (started === undefined)
      throw new PawlError("database_error", "run: the database returned no row");
    return started;
  },
  json: (started, { name: schedule }) => ({ action: "run", schedule, ...started }),
  text: ({ taskId, outcome }, { name: schedule }) =>
    outcome === "started"
      ? `schedule ${schedule}: started task ${taskId}`
      : `schedule ${schedule}: task ${taskId} lives already under the same key`,
});

const switched: PauseAndResume = pausing({
  kind: "schedule",
  name: NAME,
  pause: {
    help: "Pause a schedule: what comes due meanwhile is missed; tasks that it has started go on",
    examples: [
      [
        'pawl schedules pause nightly --why "stocktaking" --until 8h',
        "as `pawl off schedule:nightly`",
      ],
    ],
  },
  resume: {
    help: "Resume a paused schedule; its `missed` decides about the due times that have passed",
    examples: [["pawl schedules resume nightly", "as `pawl on schedule:nightly`"]],
  },
});

export const schedulesNoun: Noun<Schedules, ScheduleDesk> = {
  name: "schedules",
  help: "Look at schedules, add, change, pause, run and backfill them",
  verbs: {
    list,
    show,
    why,
    preview,
    run,
    add,
    edit,
    remove,
    backfill,
    pause: switched.pause,
    resume: switched.resume,
  },
};
