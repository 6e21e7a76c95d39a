/** Why a schedule does or does not fire: one line for people, with what would change it. */

import { scopeText } from "../../base/scope.ts";
import { nameAfter, type WhyTarget } from "../../operate/why.ts";
import type { Executor } from "../../store/executor.ts";
import type { ScheduleRow } from "../sql.ts";
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
  return { schedule: name, status: row.status, line: scheduleLine(row) };
}

/** Schedulers look every few seconds, and one that has died is replaced within its lease. */
const LATE_MS = 15_000;

export const WHY_SCHEDULE: WhyTarget<WhySchedule> = {
  what: "a schedule",
  id: "schedule:<name>",
  example: ["pawl why schedule:nightly", "a schedule: what holds it, and when it fires next"],
  idOf: nameAfter("schedule"),
  why: whySchedule,
  text: ({ schedule, status, line }) => `schedule ${schedule} (${status}): ${line}`,
};

export function scheduleLine(row: ScheduleRow): string {
  return [standing(row), hereText(row), waiting(row), lastLine(row)]
    .filter((text) => text !== "")
    .join("; ");
}

function standing(row: ScheduleRow): string {
  const { name, status, nextAt, off, quiet } = row;
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
      return nextText(nextAt, row);
    default:
      return status satisfies never;
  }
}

function hereText({ offHosts }: ScheduleRow): string {
  if (offHosts.length === 0) return "";
  return `a file or PAWL_OFF keeps workers on ${offHosts.join(", ")} from firing it; take it away there, or start \`pawl work\` on another host`;
}

function nextText(nextAt: Date | null, { fireAt }: ScheduleRow): string {
  const jitter =
    fireAt === null || nextAt === null || fireAt <= nextAt
      ? ""
      : ` and is fired ${fireAt.toISOString()}, with its jitter`;
  const isLate =
    nextAt !== null && Date.now() - Math.max(nextAt.getTime(), fireAt?.getTime() ?? 0) > LATE_MS;
  const who = isLate
    ? "it is not fired yet: does a worker with the role scheduler run? `pawl workers list` shows those that do"
    : "a worker with the role scheduler has to run then";
  return `${isLate ? "was" : "next"} due ${nextAt?.toISOString()}${jitter}; ${who}`;
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
