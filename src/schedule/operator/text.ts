/** Schedules as people read them. */

import { showBound } from "../../base/duration.ts";
import type { ScheduleRow, ScheduleRunRow } from "../sql.ts";

/** `30 6 * * 1-5 (Europe/Prague)`, or `every 15m`. */
export function timesText({ cron, timeZone, everyMs }: ScheduleRow): string {
  return cron === null ? `every ${showBound(everyMs ?? 0)}` : `${cron} (${timeZone})`;
}

export function startsText({ starts, target }: ScheduleRow): string {
  return `${starts} ${target}`;
}

export function missedText({ missed, missedMs }: ScheduleRow): string {
  return missed === "all" ? `all of the last ${showBound(missedMs ?? 0)}` : missed;
}

export function ownerText({ application }: ScheduleRow): string {
  if (application === null) return "operator";
  return application === "" ? "nobody any more" : `code of app ${application}`;
}

export function lastText({ lastOutcome, lastTask, lastState }: ScheduleRow): string | null {
  if (lastOutcome === null) return null;
  return lastTask === null ? lastOutcome : `task ${lastTask} ${lastState ?? "(pruned)"}`;
}

export function outcomeText({ outcome, amount, taskId, taskState, error }: ScheduleRunRow): string {
  const times = amount > 1 ? ` (${amount} due times)` : "";
  switch (outcome) {
    case "started":
      return `task ${taskId ?? "?"} ${taskState ?? "(pruned)"}`;
    case "duplicate":
      return `task ${taskId ?? "?"} lived already under the same key`;
    case "overlap":
      return `left out: the task before had not ended${times}`;
    case "missed":
      return `missed${times}`;
    case "failed":
      return `failed${times}: ${error ?? ""}`;
    default:
      return outcome satisfies never;
  }
}

/** A host with a file may be one of several: others still fire it. */
export function statusText({ status, offHosts }: ScheduleRow): string {
  return [status, ...offHosts.map((host) => `off on host ${host}`)].join("; ");
}
