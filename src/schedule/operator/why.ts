/** Why a schedule does or does not fire: one line for people, with what would change it. */

import { scopeText } from "../../base/scope.ts";
import { nameAfter, type WhyTarget } from "../../operate/why.ts";
import type { Executor } from "../../store/executor.ts";
import { type ScheduleRow, scheduleClock } from "../sql.ts";
import { requireSchedule } from "./find.ts";
import { lastText } from "./text.ts";

export interface WhySchedule {
  schedule: string;
  status: ScheduleRow["status"];
  line: string;
}

/** @throws PawlError `schedule_not_found` */
export async function whySchedule(executor: Executor, name: string): Promise<WhySchedule> {
  const row = await requireSchedule(executor, name);
  return { schedule: name, status: row.status, line: await scheduleLine(executor, row) };
}

/** As a rule a schedule is fired within a second; a busy machine takes longer, but hardly this long. */
const LATE_MS = 15_000;

export const WHY_SCHEDULE: WhyTarget<WhySchedule> = {
  what: "a schedule",
  id: "schedule:<name>",
  example: ["pawl why schedule:nightly", "a schedule: what holds it, and when it fires next"],
  idOf: nameAfter("schedule"),
  why: whySchedule,
  text: ({ schedule, status, line }) => `schedule ${schedule} (${status}): ${line}`,
};

export async function scheduleLine(executor: Executor, row: ScheduleRow): Promise<string> {
  return [standing(row, await scheduleClock(executor)), hereText(row), waiting(row), lastLine(row)]
    .filter((text) => text !== "")
    .join("; ");
}

function standing(row: ScheduleRow, now: Date): string {
  const { name, status, off, quiet } = row;
  switch (status) {
    case "off":
      return off.map((hold) => offText(name, hold)).join("; ");
    case "quiet":
      return quiet
        .map((hold) => `quiet hours "${hold.name}" hold it until ${hold.until?.toISOString()}`)
        .join("; ");
    case "disabled":
      return "its definition says `enabled: false`; change it there";
    case "undefined":
      return "no app defines it any more; it never fires";
    case "over":
      return "it has no due time any more";
    case "on":
      return nextText(row, now);
    default:
      return status satisfies never;
  }
}

function hereText({ offHosts }: ScheduleRow): string {
  if (offHosts.length === 0) return "";
  return `a file or PAWL_OFF keeps workers on ${offHosts.join(", ")} from firing it; take it away there, or start \`pawl work\` on another host`;
}

function nextText({ nextAt, fireAt }: ScheduleRow, now: Date): string {
  if (nextAt === null) return "it has no due time";
  const dueAt = nextAt.toISOString();
  const jitter =
    fireAt === null || fireAt <= nextAt
      ? ""
      : ` and is fired ${fireAt.toISOString()}, with its jitter`;
  const isLate = now.getTime() - (fireAt ?? nextAt).getTime() > LATE_MS;
  return isLate
    ? `was due ${dueAt}, and is not fired yet: does a worker with the role scheduler run? \`pawl workers list\` shows those that do`
    : `next due ${dueAt}${jitter}; a worker with the role scheduler has to run then`;
}

function offText(
  name: string,
  { scope, by, why, since, until }: ScheduleRow["off"][number],
): string {
  const told = why ? ` (${why})` : "";
  const end = until ? ` until ${until.toISOString()}` : "";
  const remedy =
    scope === "all"
      ? "`pawl on all` lets all go on"
      : scope === scopeText({ kind: "schedule", name })
        ? `\`pawl schedules resume ${name}\` lets it go on`
        : `\`pawl on ${scope}\` lets it go on`;
  const what = scope?.startsWith("group:") ? `${scope} is off` : "off";
  return `${what} since ${since?.toISOString()} by ${by}${told}${end}: ${remedy}`;
}

function waiting({ waitingAt, lastTask }: ScheduleRow): string {
  if (waitingAt === null) return "";
  return `the due time ${waitingAt.toISOString()} waits until task ${lastTask} has ended`;
}

function lastLine(row: ScheduleRow): string {
  const last = lastText(row);
  const error = row.lastError === null ? "" : `: ${row.lastError}`;
  return last === null ? "" : `last: ${last}${error}`;
}
