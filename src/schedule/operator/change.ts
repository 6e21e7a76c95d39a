/** The verbs by which operators keep schedules of their own: `add`, `edit` and `remove`. Those of the code stay as it says. */

import { PawlError } from "../../base/errors.ts";
import { toJson } from "../../base/json.ts";
import { commandTask } from "../../control/task.ts";
import { fields } from "../../operate/table.ts";
import { type Verb, verb } from "../../operate/verb.ts";
import { type Field, required } from "../../options/field.ts";
import { json, name } from "../../options/kinds.ts";
import { type Schedule, scheduleName, TIMES, timingOf } from "../define-schedule.ts";
import type { Missed } from "../missed.ts";
import { definitionRow, taskOf } from "../register.ts";
import {
  putSchedule,
  removeSchedule,
  type ScheduleRow,
  scheduleClock,
  scheduleTask,
} from "../sql.ts";
import { checkTiming, type Timing } from "../timing.ts";
import { requireSchedule, timingOfRow } from "./find.ts";
import type { ScheduleDesk, Schedules } from "./schedules.ts";
import { missedText, startsText, timesText } from "./text.ts";

const NAME: Field<string, string, "required"> = required(name("the schedule"));
const INPUT: Field<unknown> = json("the input of the job or process, as JSON");

export const add: Verb<Schedules["add"], ScheduleDesk> = verb({
  help: "Add a schedule that starts a job, a process or a command of some app",
  examples: [
    [
      `pawl schedules add weekly --cron "0 6 * * 1" --time-zone Europe/Prague --job report --input '{"days": 7}'`,
      "every Monday at six",
    ],
    ["pawl schedules add poll --every 5m --command import --param 10", "every five minutes"],
  ],
  input: {
    name: required(scheduleName),
    ...TIMES,
    job: name("the job to start"),
    process: name("the process to start"),
    command: name("the command to run"),
    param: name("one of the command's parameters"),
    input: INPUT,
  },
  args: ["name"],
  changes: true,
  run: async (desk, given, act) => {
    const { store } = desk;
    const where = `schedule "${given.name}"`;
    const timing = timingOf(where, given);
    checkTiming(where, timing);
    const starts = await startsOf(desk, where, given);
    const row = definitionRow(
      {
        name: given.name,
        timing,
        jitterMs: given.jitter ?? 0,
        missed: given.missed ?? { policy: "last" },
        overlap: given.overlap ?? "skip",
        isEnabled: true,
        ...starts,
      },
      await scheduleClock(store),
    );
    await putSchedule(store, withTask(row, starts.task), true, act);
    return requireSchedule(store, given.name);
  },
  json: (schedule) => ({ schedule }),
  text: changedText,
});

interface Wanted {
  name: string;
  job?: string | undefined;
  process?: string | undefined;
  command?: string | undefined;
  param?: string | undefined;
  input?: unknown;
}

/** What this app defines gets the input as its schema reads it; what another one defines, as it is. */
async function startsOf(
  { startable, maxPayloadBytes: bytesMax }: ScheduleDesk,
  where: string,
  { name: named, job, process, command, param, input }: Wanted,
): Promise<{ starts: string; target: string; task: string }> {
  if ([job, process, command].filter((one) => one !== undefined).length !== 1)
    throw refused(where, "expected either `job`, `process` or `command`, one of them");
  if (command !== undefined) {
    if (input !== undefined) throw refused(where, "`input` is for a job or a process");
    const target = param === undefined ? command : `${command}:${param}`;
    return {
      starts: "command",
      target,
      task: commandTask(command, param ?? null, `schedule:${named}`),
    };
  }
  if (param !== undefined) throw refused(where, "`param` is for `command`");
  const target = job ?? process ?? "";
  const known = knownOf(startable, job, process);
  if (known !== undefined) {
    const schedule = { name: named, starts: known, priority: null, meta: null };
    const task = await taskOf({ ...schedule, input: input ?? {} }, bytesMax);
    return { starts: job === undefined ? "process" : "job", target, task };
  }
  const text = toJson(input ?? {}, { what: `input of ${where}`, bytesMax });
  return job === undefined
    ? { starts: "process", target, task: `{"process":${JSON.stringify(target)},"input":${text}}` }
    : { starts: "job", target, task: `{"kind":${JSON.stringify(target)},"payload":${text}}` };
}

function knownOf(
  { jobs, processes }: ScheduleDesk["startable"],
  job: string | undefined,
  process: string | undefined,
): Schedule["starts"] | undefined {
  const ofJob = jobs.find((one) => one.name === job);
  if (ofJob !== undefined) return { job: ofJob };
  const ofProcess = processes.find((one) => one.name === process);
  return ofProcess === undefined ? undefined : { process: ofProcess };
}

function withTask(row: object, task: string): string {
  return `${JSON.stringify(row).slice(0, -1)},"task":${task}}`;
}

function refused(where: string, message: string): PawlError {
  return new PawlError("invalid_option", `${where}: ${message}`);
}

function changedText(row: ScheduleRow): string {
  return fields({
    schedule: row.name,
    times: timesText(row),
    starts: startsText(row),
    missed: missedText(row),
    overlap: row.overlap,
    next: row.nextAt?.toISOString(),
  });
}

export const edit: Verb<Schedules["edit"], ScheduleDesk> = verb({
  help: "Change a schedule that an operator added; what is not given stays",
  examples: [['pawl schedules edit weekly --cron "0 7 * * 1"', "an hour later from now on"]],
  input: { name: NAME, ...TIMES, input: INPUT },
  args: ["name"],
  changes: true,
  run: async (desk, given, act) => {
    const { store } = desk;
    const row = await requireSchedule(store, given.name);
    const where = `schedule "${given.name}"`;
    const timing = editedTiming(where, row, given);
    checkTiming(where, timing);
    const changed = definitionRow(
      {
        name: row.name,
        timing,
        jitterMs: given.jitter ?? row.jitterMs,
        missed: given.missed ?? missedOfRow(row),
        overlap: given.overlap ?? row.overlap,
        isEnabled: true,
        starts: row.starts,
        target: row.target,
      },
      await scheduleClock(store),
    );
    const task = await scheduleTask(store, row.name);
    await putSchedule(
      store,
      withTask(changed, await editedTask(desk, where, { row, task, input: given.input })),
      false,
      act,
    );
    return requireSchedule(store, given.name);
  },
  json: (schedule) => ({ schedule }),
  text: changedText,
});

type Times = Parameters<typeof timingOf>[1];

function editedTiming(where: string, row: ScheduleRow, given: Times): Timing {
  const { cron, every, timeZone, from } = given;
  const was = timingOfRow(row);
  if (cron === undefined && every === undefined) {
    if ("cron" in was)
      return timingOf(where, { cron: was.cron, timeZone: timeZone ?? was.timeZone, from });
    return timingOf(where, { every: was.everyMs, from: from ?? was.from, timeZone });
  }
  const zone = timeZone ?? ("cron" in was && cron !== undefined ? was.timeZone : undefined);
  return timingOf(where, { cron, every, timeZone: zone, from });
}

function missedOfRow({ missed, missedMs }: ScheduleRow): Missed {
  return missed === "all" ? { policy: "all", withinMs: missedMs ?? 0 } : { policy: missed };
}

async function editedTask(
  desk: ScheduleDesk,
  where: string,
  { row, task, input }: { row: ScheduleRow; task: string; input: unknown },
): Promise<string> {
  if (input === undefined) return task;
  const { starts, target, name: named } = row;
  const given = starts === "command" ? { command: target } : { [starts]: target };
  return (await startsOf(desk, where, { name: named, ...given, input })).task;
}

export const remove: Verb<Schedules["remove"], ScheduleDesk> = verb({
  help: "Remove a schedule that an operator added, or that no code defines any more; tasks that it started go on",
  examples: [["pawl schedules remove weekly --yes", "with what is known of its due times"]],
  input: { name: NAME },
  args: ["name"],
  changes: true,
  confirm: async (_desk, { name: named }) => ({
    text: `schedule ${named}: add --yes to remove it, or pause it`,
  }),
  run: async ({ store }, { name: named }, act) => {
    await requireSchedule(store, named);
    await removeSchedule(store, named, act);
  },
  json: (_removed, { name: schedule }) => ({ action: "remove", schedule }),
  text: (_removed, { name: schedule }) => `schedule ${schedule}: removed`,
});
