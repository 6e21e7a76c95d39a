/** Registers the schedules that the code defines: their inputs are checked, and the first due time is computed. */

import { ofIt } from "../base/errors.ts";
import { commandKey } from "../control/define-command.ts";
import { commandTask } from "../control/task.ts";
import { runJson } from "../process/run-json.ts";
import { payloadTexts, sharedJson, tasksJson } from "../queue/enqueue.ts";
import type { Executor } from "../store/executor.ts";
import type { Schedule } from "./define-schedule.ts";
import { registerSchedules, type ScheduleDefinition, scheduleClock } from "./sql.ts";
import { firedAt, nextDue } from "./timing.ts";

/** @throws PawlError `invalid_payload` and the like for an input that the schema refuses */
export async function writeSchedules(
  executor: Executor,
  owner: { application: string; revision: number },
  schedules: readonly Schedule[],
  bytesMax: number,
): Promise<void> {
  if (schedules.length === 0) return;
  const now = await scheduleClock(executor);
  const texts: string[] = [];
  for (const schedule of schedules) {
    const task = await taskOf(schedule, bytesMax);
    const row = definitionRow({ ...schedule, ...targetOf(schedule.starts) }, now);
    texts.push(`${JSON.stringify(row).slice(0, -1)},"task":${task}}`);
  }
  await registerSchedules(executor, owner, texts);
}

type Definable = Pick<
  Schedule,
  "name" | "timing" | "jitterMs" | "missed" | "overlap" | "isEnabled"
> & {
  starts: string;
  target: string;
};

/** A schedule as the database keeps it, first due after `now`. */
export function definitionRow(
  { name, timing, jitterMs, missed, overlap, isEnabled, starts, target }: Definable,
  now: Date,
): Omit<ScheduleDefinition, "task"> {
  const next = isEnabled ? nextDue(timing, now) : undefined;
  const isCron = "cron" in timing;
  return {
    name,
    cron: isCron ? timing.cron : null,
    time_zone: isCron ? timing.timeZone : null,
    every_ms: isCron ? null : timing.everyMs,
    origin: isCron ? null : timing.from,
    jitter_ms: jitterMs,
    starts,
    target,
    missed: missed.policy,
    missed_ms: missed.policy === "all" ? missed.withinMs : null,
    overlap,
    is_enabled: isEnabled,
    next_at: next ?? null,
    fire_at: next === undefined ? null : firedAt(name, next, jitterMs),
  };
}

/** What each due time starts, as JSON text. @throws PawlError naming the schedule */
export async function taskOf(
  schedule: Pick<Schedule, "name" | "starts" | "input" | "priority" | "meta">,
  bytesMax: number,
): Promise<string> {
  const { name, starts, input, priority, meta } = schedule;
  const given = { ...(priority !== null && { priority }), ...(meta !== null && { meta }) };
  try {
    if ("command" in starts)
      return commandTask(starts.command.name, starts.param, `schedule:${name}`);
    if ("process" in starts)
      return (await runJson(starts.process, input, { bytesMax, ...given })).text;
    const payloads = await payloadTexts(starts.job, [input], { bytesMax });
    const shared = sharedJson(starts.job, given, bytesMax);
    return tasksJson(starts.job, [input], payloads, { shared, options: {} }).slice(1, -1);
  } catch (error) {
    throw ofIt(`schedule "${name}"`, error);
  }
}

function targetOf(starts: Schedule["starts"]): { starts: string; target: string } {
  if ("job" in starts) return { starts: "job", target: starts.job.name };
  if ("process" in starts) return { starts: "process", target: starts.process.name };
  return { starts: "command", target: commandKey(starts.command.name, starts.param ?? undefined) };
}
