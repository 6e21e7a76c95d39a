/** Where a run stands, in words. */

import { shownValue } from "../../base/mask-json.ts";
import { offText, quietText } from "../../kernel/operator/held-text.ts";
import { iso } from "../../operate/table.ts";
import type { RunRow, VersionRow } from "../list/sql.ts";

/** `waiting at step approved for signal approved until 2026-11-29T12:00:00.000Z` */
export function standing(run: RunRow): string {
  const { status, step, waitsFor, until } = run;
  const at = step === null ? "" : ` at step ${step}`;
  const task = taskText(run);
  const signal = waitsFor === null ? task && ` for ${task}` : ` for signal ${waitsFor}`;
  const time = until === null ? "" : ` until ${iso(until)}`;
  return `${status}${at}${signal}${time}`;
}

/** What a step has started and waits for; empty: nothing. */
export function taskText({ waitsForTask: task, waitsForEvent: event }: RunRow): string {
  if (event !== null) return `event ${event.id} (${event.name ?? "?"}, ${event.status})`;
  if (task === null) return "";
  const { id, queue, kind, status } = task;
  const what = queue === "requests" ? "request" : "run";
  return `${what} ${id} (${kind?.replace("request:", "") ?? "?"}, ${status ?? "forgotten"})`;
}

/** JSON that an app has written, masked; null: there is none. */
export function jsonText(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(shownValue(value));
}

/** A text as it is. */
export function columnText(value: unknown): string | null {
  return typeof value === "string" ? value : jsonText(value);
}

/** What holds all runs of a process; null: nothing does. */
export function heldText({ off, quiet, offHosts }: VersionRow): string | null {
  const hosts = offHosts.map((host) => `off on host ${host}`);
  return (
    [offText(off), ...hosts, quietText(quiet)].filter((text) => text !== "").join("; ") || null
  );
}
