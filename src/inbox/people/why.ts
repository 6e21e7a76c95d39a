/** Why a source is where it is: one line for people, the decisive reason first, each with what would free it. */

import { showDuration } from "../../base/duration.ts";
import type { Executor } from "../../store/executor.ts";
import { requireSource } from "./act.ts";
import type { SourceState } from "./sql.ts";

const QUOTE_CHARS_MAX = 200;

export interface WhySource {
  source: string;
  status: SourceState["status"];
  /** When it came there, where that is known. */
  since: Date | null;
  /** Where it is, what it waits for, since when, and what would free it. */
  line: string;
}

/** @throws PawlError `source_not_found` */
export async function whySource(executor: Executor, name: string): Promise<WhySource> {
  const source = await requireSource(executor, name);
  return { source: name, status: source.status, since: since(source), line: sourceLine(source) };
}

function since(source: SourceState): Date | null {
  switch (source.status) {
    case "held":
      return source.held_at;
    case "paused":
      return source.paused_at;
    case "off":
      return source.off_since;
    case "retrying":
      return source.failed_at;
    case "full":
      return source.waiting_since;
    case "loading":
      return source.loading_since;
    case "waiting":
      return source.last_fetch_at;
    default:
      return source.status satisfies never;
  }
}

export function sourceLine(source: SourceState): string {
  const holds = [heldText(source), pausedText(source), offText(source)].filter(isSaid);
  const unattended = unattendedText(source);
  // what is held is not asked, whoever could: beside it only that nobody is there is worth a word
  const loading = holds.length > 0 ? [...holds, unattended] : [unattended, loadingText(source)];
  return [...loading, storingText(source), setAsideText(source)].filter(isSaid).join("; ");
}

/** It is loaded and stored, as far as the database knows. */
export function isInGoodOrder(source: SourceState): boolean {
  const { status, backlog, storing_failures } = source;
  const isLoaded = status === "loading" || (status === "waiting" && unattendedText(source) === "");
  const isStored = backlog === 0 || (storing_failures === 0 && unstoredText(source) === "");
  return isLoaded && isStored;
}

function isSaid(text: string): boolean {
  return text !== "";
}

function heldText(source: SourceState): string {
  const { name, held_at, failures, error, is_push, has_page, next_cursor: next } = source;
  if (held_at === null) return "";
  const tries = failures > 1 ? ` after ${failures} tries` : "";
  const again = has_page ? "parses the page that is kept; with --fetch asks again" : "asks again";
  const to = next === null ? " --to <cursor>" : "";
  const on = next === null ? "" : ` (goes on behind ${JSON.stringify(next)})`;
  const release = is_push ? "" : `, \`pawl sources release ${name}\``;
  return (
    `held ${at(held_at, source)}${tries}: ${faultText(source)}: ${cut(error)}; decide with ` +
    `\`pawl sources retry ${name}\` (${is_push ? "opens it again" : again})${release} or \`pawl sources skip ${name}${to} --why …\`${on}`
  );
}

function faultText({ held_fault }: SourceState): string {
  if (held_fault === "unsent") return "nothing was sent";
  if (held_fault === "answered") return "it answered with an error";
  return "its outcome is unknown";
}

function pausedText(source: SourceState): string {
  const { name, paused_at, paused_by, paused_why } = source;
  if (paused_at === null) return "";
  return `paused ${at(paused_at, source)} by ${paused_by ?? "?"}${told(paused_why)}; \`pawl sources resume ${name}\` lets it go on`;
}

function offText(source: SourceState): string {
  const { off_since, off_until, off_by, off_why } = source;
  if (off_since === null) return "";
  const end = off_until === null ? "" : ` until ${time(off_until)}`;
  return `everything is off ${at(off_since, source)} by ${off_by ?? "?"}${told(off_why)}${end}; \`pawl on all\` lets it go on`;
}

/** Whoever has its lease loads it. */
function unattendedText(source: SourceState): string {
  const { loader, loaders, loaders_off_here } = source;
  if (loader !== null) return "";
  return nobody(source, { does: "loads", role: "loader", live: loaders, off: loaders_off_here });
}

function unstoredText(source: SourceState): string {
  const { backlog, movers, movers_off_here } = source;
  if (backlog === 0) return "";
  return nobody(source, { does: "stores", role: "mover", live: movers, off: movers_off_here });
}

function nobody(
  { application, hosts_off_here }: SourceState,
  { does, role, live, off }: { does: string; role: string; live: number; off: number },
): string {
  const what = does === "loads" ? "it" : "them";
  if (live === 0) {
    return `no live worker ${does} ${what}; start \`pawl work\` with the app "${application}" (role ${role})`;
  }
  if (live > off) return "";
  const hosts = (hosts_off_here ?? []).join(", ");
  return `a file or PAWL_OFF holds everything on ${hosts}, and no worker elsewhere ${does} ${what}; take it away there, or start \`pawl work\` on another host`;
}

function loadingText(source: SourceState): string {
  switch (source.status) {
    case "retrying":
      return retryingText(source);
    case "full":
      return `waits for room: ${source.backlog} events lie in the inbox, it goes on by itself below ${source.low_water}`;
    case "loading": {
      const { loader, loading_since: from } = source;
      return `loaded ${behind(source)} by ${loader ?? "?"}${from === null ? "" : ` ${at(from, source)}`}`;
    }
    case "waiting":
      return waitingText(source);
    default:
      return ""; // said as what holds it
  }
}

function retryingText(source: SourceState): string {
  const { name, failures, failed_at, next_at, error } = source;
  const times = `${failures} ${failures === 1 ? "failure" : "failures"}`;
  const last = failed_at === null ? "" : `, the last ${ago(failed_at, source)}`;
  return `tried again ${ahead(next_at, source)} after ${times}${last}: ${cut(error)}; \`pawl sources retry ${name}\` tries it now`;
}

function waitingText(source: SourceState): string {
  const { last_fetch_at, next_at, window_state, loader } = source;
  if (last_fetch_at === null) return "never asked";
  const last = ago(last_fetch_at, source);
  if (window_state === "sent" && loader === null) {
    return `its request ${behind(source)} was sent ${last} by a loader that is gone: whoever takes it up counts its outcome as unknown`;
  }
  const next = unattendedText(source) === "" ? `, next ${ahead(next_at, source)}` : "";
  return `asked last ${last}${next} ${behind(source)}`;
}

function storingText(source: SourceState): string {
  const { backlog, storing_failures, storing_error, storing_next_at, waiting_since } = source;
  if (backlog === 0) return "";
  const events = `${backlog} ${backlog === 1 ? "event waits" : "events wait"} to be stored`;
  const which =
    waiting_since === null ? events : `${events}, the first ${at(waiting_since, source)}`;
  const unstored = unstoredText(source);
  if (unstored !== "") return `${which}: ${unstored}`;
  if (storing_failures === 0) return `${which}${headText(source)}`;
  const tries = `${storing_failures} ${storing_failures === 1 ? "try" : "tries"}`;
  return `${which}: storing fails as such, whatever the event, after ${tries}, next ${ahead(storing_next_at, source)}: ${cut(storing_error)}; it goes on by itself once that is mended`;
}

/** Of the first event, where it has failed before. */
function headText(source: SourceState): string {
  const { waiting_attempts, waiting_next_at, waiting_error } = source;
  if (waiting_error === null) return "";
  const tries = `${waiting_attempts} ${waiting_attempts === 1 ? "try" : "tries"}`;
  return `, again ${ahead(waiting_next_at, source)} after ${tries}: ${cut(waiting_error)}`;
}

function setAsideText(source: SourceState): string {
  const { name, set_aside, set_aside_since, set_aside_error } = source;
  if (set_aside === 0) return "";
  const first = set_aside === 1 ? "" : ", the first";
  const when = set_aside_since === null ? "" : ` ${ago(set_aside_since, source)}`;
  return `${set_aside} set aside${first}${when}${told(set_aside_error)}, see \`pawl inbox list --source ${name}\`, then \`pawl inbox retry --all --source ${name}\` or remove`;
}

function behind({ requested }: SourceState): string {
  return `behind ${JSON.stringify(requested)}`;
}

/** `since 2030-01-31T12:00:00Z (4m 2s)` */
function at(date: Date, { now }: SourceState): string {
  return `since ${time(date)} (${showDuration(Math.max(now.getTime() - date.getTime(), 0))})`;
}

/** `at 2030-01-31T12:00:00Z (4m 2s ago)` */
function ago(date: Date, { now }: SourceState): string {
  return `at ${time(date)} (${showDuration(Math.max(now.getTime() - date.getTime(), 0))} ago)`;
}

function ahead(date: Date | null, { now }: SourceState): string {
  const ms = date === null ? 0 : date.getTime() - now.getTime();
  return ms > 0 ? `in ${showDuration(ms)}` : "now";
}

function time(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, "Z");
}

function told(text: string | null): string {
  return text === null || text === "" ? "" : ` (${cut(text)})`;
}

/** One line without anything that moves the cursor, and not a page. */
function cut(text: string | null): string {
  const chars = Array.from((text ?? "").replaceAll(/[\s\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim());
  return chars.length > QUOTE_CHARS_MAX
    ? `${chars.slice(0, QUOTE_CHARS_MAX).join("")}…`
    : chars.join("");
}
