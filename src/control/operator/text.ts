/** Commands as people read them. */

import { showDuration } from "../../base/duration.ts";
import { offText, quietText } from "../../kernel/operator/held-text.ts";
import { type Column, iso } from "../../operate/table.ts";
import type { ListedCommand, ListedRun } from "../sql.ts";

export const COMMAND_COLUMNS: readonly Column<ListedCommand>[] = [
  { head: "COMMAND", value: (row) => row.key },
  { head: "TITLE", value: (row) => row.title },
  { head: "STATUS", value: statusText },
  { head: "SINCE", value: (row) => iso(row.run?.startedAt ?? null) },
  { head: "LAST RUN", value: ({ last }) => (last === null ? null : lastText(last)) },
  { head: "USUAL", value: usualText, align: "right" },
  { head: "DETAIL", value: detailText },
];

function statusText({ status, isOverrun, off }: ListedCommand): string {
  const draining = status === "working" && off.length > 0 ? ", DRAINING" : "";
  const name = status === "waiting" ? "WAITING FOR A WORKER" : status.toUpperCase();
  return `${name}${draining}${isOverrun ? ", TOO LONG" : ""}`;
}

export function lastText({ startedAt, outcome, durationMs }: ListedRun): string {
  return `${iso(startedAt)} ${outcome} in ${showDuration(durationMs)}`;
}

function usualText({ expectedMs, isExpectedMeasured }: ListedCommand): string | null {
  if (expectedMs === null) return null;
  return `${isExpectedMeasured ? "~" : ""}${showDuration(expectedMs)}`;
}

function detailText(row: ListedCommand): string | null {
  const { run, off, offHosts, quiet, status, errors, asked } = row;
  const [error] = errors;
  const texts = [
    run === null ? "" : runText(run),
    offText(off),
    ...offHosts.map((host) => `off on host ${host}`),
    status === "quiet" ? quietText(quiet) : "",
    asked === null ? "" : `asked for by ${asked.by} at ${iso(asked.since)} (task ${asked.id})`,
    status === "failing" ? (error?.message ?? "its process died") : "",
  ].filter((text) => text !== "");
  return texts.length === 0 ? null : texts.join("; ");
}

export function runText({ by, host, pid, progress, fraction }: ListedRun): string {
  const done = fraction === null ? "" : `, ${Math.floor(fraction * 100)} %`;
  return `${by} on ${host} (pid ${pid})${done}${progress === null ? "" : `, ${progress}`}`;
}
