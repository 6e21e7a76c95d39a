/** Why a source is where it is: one line for people, the decisive reason first. */

import { showDuration } from "../../base/duration.ts";
import type { Executor } from "../../store/executor.ts";
import { requireSource } from "./act.ts";
import type { SourceState } from "./sql.ts";

export interface WhySource {
  source: string;
  status: SourceState["status"];
  line: string;
}

/** @throws PawlError `source_not_found` */
export async function whySource(executor: Executor, name: string): Promise<WhySource> {
  const source = await requireSource(executor, name);
  return { source: name, status: source.status, line: sourceLine(source) };
}

export function sourceLine(source: SourceState): string {
  const storing = storingLine(source);
  return `${loadingLine(source)}${storing === "" ? "" : `; ${storing}`}`;
}

function loadingLine(source: SourceState): string {
  const { name, status, requested } = source;
  const behind = `behind ${JSON.stringify(requested)}`;
  switch (status) {
    case "held":
      return `held since ${iso(source.held_at)}: ${faultText(source)}: ${source.error ?? ""}; decide with \`pawl sources retry ${name}\`${source.has_page ? " (parses the page that is kept)" : ""}, release or skip`;
    case "paused":
      return `paused since ${iso(source.paused_at)} by ${source.paused_by ?? "?"}${source.paused_why === null ? "" : ` (${source.paused_why})`}; \`pawl sources resume ${name}\` lets it go on`;
    case "off":
      return "everything is off; see `pawl queues list`, and `pawl on all`";
    case "retrying":
      return `tried again ${until(source.next_at)} after ${source.failures} ${source.failures === 1 ? "failure" : "failures"}: ${source.error ?? ""}`;
    case "full":
      return `waits for room: ${source.backlog} events lie in the inbox, it goes on below ${source.low_water}`;
    case "loading":
      return `loaded ${behind} by ${source.loader ?? "?"}`;
    case "waiting":
      return source.last_fetch_at === null
        ? `never asked: no loader of "${source.application}" has taken it up; start one with \`pawl work\``
        : `asked last at ${iso(source.last_fetch_at)}, next ${until(source.next_at)} ${behind}`;
  }
}

function storingLine(source: SourceState): string {
  const parts: string[] = [];
  if (source.storing_failures > 0) {
    parts.push(
      `storing fails as such since ${source.storing_failures} tries, next ${until(source.storing_next_at)}: ${source.storing_error ?? ""}`,
    );
  } else if (source.backlog > 0) parts.push(`${source.backlog} events wait to be stored`);
  if (source.set_aside > 0)
    parts.push(`${source.set_aside} set aside, see \`pawl inbox list --source ${source.name}\``);
  return parts.join("; ");
}

function faultText({ held_fault }: SourceState): string {
  if (held_fault === "unsent") return "nothing was sent";
  if (held_fault === "answered") return "it answered with an error";
  return "its outcome is unknown";
}

function until(at: Date | null): string {
  const ms = at === null ? 0 : at.getTime() - Date.now();
  return ms > 0 ? `in ${showDuration(ms)}` : "now";
}

function iso(at: Date | null): string {
  return at?.toISOString() ?? "?";
}
