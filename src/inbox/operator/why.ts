/** Why a source is in its state: one line for people, the decisive reason first, each with what would change it. */

import { showDuration } from "../../base/duration.ts";
import { nameAfter, type WhyTarget } from "../../operate/why.ts";
import type { Executor } from "../../store/executor.ts";
import { requireSource } from "./sources/find.ts";
import type { SourceState } from "./sql.ts";

const QUOTE_CHARS_MAX = 200;

export interface WhySource {
  source: string;
  status: SourceState["status"];
  /** Since when, if that is known. */
  since: Date | null;
  /** Its state, what it waits for, since when, and what would change that. */
  line: string;
}

/** @throws PawlError `source_not_found` */
export async function whySource(executor: Executor, name: string): Promise<WhySource> {
  const source = await requireSource(executor, name);
  return { source: name, status: source.status, since: since(source), line: sourceLine(source) };
}

export const WHY_SOURCE: WhyTarget<WhySource> = {
  what: "a source",
  id: "source:<name>",
  example: ["pawl why source:orders", "a source: its loading and its storing"],
  idOf: nameAfter("source"),
  why: whySource,
  text: ({ source, status, line }) => `source ${source} (${status}): ${line}`,
};

function since(source: SourceState): Date | null {
  switch (source.status) {
    case "held":
      return source.heldAt;
    case "paused":
      return source.pausedAt;
    case "off":
      return source.offSince;
    case "retrying":
      return source.failedAt;
    case "full":
      return source.waitingSince;
    case "loading":
      return source.loadingSince;
    case "waiting":
      return source.lastFetchAt;
    default:
      return source.status satisfies never;
  }
}

export function sourceLine(source: SourceState): string {
  const holds = [heldText(source), pausedText(source), offText(source)].filter(isSaid);
  const unattended = unattendedText(source);
  // a held source gets no requests, even if workers live: besides the hold, only missing workers are worth saying
  const loading = holds.length > 0 ? [...holds, unattended] : [unattended, loadingText(source)];
  return [...loading, storingText(source), setAsideText(source)].filter(isSaid).join("; ");
}

/** True if it is loaded and stored, as far as the database knows. */
export function isInGoodOrder(source: SourceState): boolean {
  const { status, backlog, storingFailures } = source;
  const isLoaded = status === "loading" || (status === "waiting" && unattendedText(source) === "");
  const isStored = backlog === 0 || (storingFailures === 0 && unstoredText(source) === "");
  return isLoaded && isStored;
}

function isSaid(text: string): boolean {
  return text !== "";
}

function heldText(source: SourceState): string {
  const { name, heldAt, failures, error, isPush, hasPage, nextCursor: next } = source;
  if (heldAt === null) return "";
  const tries = failures > 1 ? ` after ${failures} tries` : "";
  const again = hasPage
    ? "parses the stored page; with --fetch makes the request again"
    : "asks again";
  const to = next === null ? " --to <cursor>" : "";
  const on = next === null ? "" : ` (goes on after ${JSON.stringify(next)})`;
  const release = isPush ? "" : `, \`pawl sources release ${name}\``;
  return (
    `held ${at(heldAt, source)}${tries}: ${faultText(source)}: ${cut(error)}; decide with ` +
    `\`pawl sources retry ${name}\` (${isPush ? "opens it again" : again})${release} or \`pawl sources skip ${name}${to} --why …\`${on}`
  );
}

function faultText({ heldFault }: SourceState): string {
  if (heldFault === "unsent") return "nothing was sent";
  if (heldFault === "answered") return "it answered with an error";
  return "its outcome is unknown";
}

function pausedText(source: SourceState): string {
  const { name, pausedAt, pausedBy, pausedWhy, pausedUntil } = source;
  if (pausedAt === null) return "";
  const end = pausedUntil === null ? "" : ` until ${time(pausedUntil)}`;
  return `paused ${at(pausedAt, source)} by ${pausedBy ?? "?"}${told(pausedWhy)}${end}; \`pawl sources resume ${name}\` lets it go on`;
}

function offText(source: SourceState): string {
  const { offSince, offUntil, offBy, offWhy, offSwitch, quietHours } = source;
  if (offSince === null) return "";
  const end = offUntil === null ? "" : ` until ${time(offUntil)}`;
  if (quietHours !== null)
    return `quiet hours ${quietHours}${told(offWhy)} hold it${end}; \`pawl quiet force ${quietHours}\` lets it go on`;
  const what = offSwitch === "all" ? "everything" : offSwitch;
  return `${what} is off ${at(offSince, source)} by ${offBy ?? "?"}${told(offWhy)}${end}; \`pawl on ${offSwitch}\` lets it go on`;
}

/** The worker that has its lease loads it. */
function unattendedText(source: SourceState): string {
  const { loader, loaders, loadersOffHere } = source;
  if (loader !== null) return "";
  return nobody(source, { does: "loads", role: "loader", live: loaders, off: loadersOffHere });
}

function unstoredText(source: SourceState): string {
  const { backlog, movers, moversOffHere } = source;
  if (backlog === 0) return "";
  return nobody(source, { does: "stores", role: "mover", live: movers, off: moversOffHere });
}

function nobody(
  { application, hostsOffHere }: SourceState,
  { does, role, live, off }: { does: string; role: string; live: number; off: number },
): string {
  const what = does === "loads" ? "it" : "them";
  if (live === 0) {
    return `no live worker ${does} ${what}; start \`pawl work\` with the app "${application}" (role ${role})`;
  }
  if (live > off) return "";
  const hosts = (hostsOffHere ?? []).join(", ");
  return `a file or PAWL_OFF holds ${what} on ${hosts}, and no worker elsewhere ${does} ${what}; take it away there, or start \`pawl work\` on another host`;
}

function loadingText(source: SourceState): string {
  switch (source.status) {
    case "retrying":
      return retryingText(source);
    case "full":
      return `waits for room: ${source.backlog} events are in the inbox, it goes on automatically below ${source.lowWater}`;
    case "loading": {
      const { loader, loadingSince: from } = source;
      return `loaded ${behind(source)} by ${loader ?? "?"}${from === null ? "" : ` ${at(from, source)}`}`;
    }
    case "waiting":
      return waitingText(source);
    default:
      return ""; // the holds say it already
  }
}

function retryingText(source: SourceState): string {
  const { name, failures, failedAt, nextAt, error } = source;
  const times = `${failures} ${failures === 1 ? "failure" : "failures"}`;
  const last = failedAt === null ? "" : `, the last ${ago(failedAt, source)}`;
  return `tried again ${ahead(nextAt, source)} after ${times}${last}: ${cut(error)}; \`pawl sources retry ${name}\` tries it now`;
}

function waitingText(source: SourceState): string {
  const { lastFetchAt, nextAt, windowState, loader } = source;
  if (lastFetchAt === null) return "never asked";
  const last = ago(lastFetchAt, source);
  if (windowState === "sent" && loader === null) {
    return `its request ${behind(source)} was sent ${last} by a loader that is gone: the next loader counts its outcome as unknown`;
  }
  const next = unattendedText(source) === "" ? `, next ${ahead(nextAt, source)}` : "";
  return `asked last ${last}${next} ${behind(source)}`;
}

function storingText(source: SourceState): string {
  const { backlog, storingFailures, storingError, storingNextAt, waitingSince } = source;
  if (backlog === 0) return "";
  const events = `${backlog} ${backlog === 1 ? "event waits" : "events wait"} to be stored`;
  const which = waitingSince === null ? events : `${events}, the first ${at(waitingSince, source)}`;
  const unstored = unstoredText(source);
  if (unstored !== "") return `${which}: ${unstored}`;
  if (storingFailures === 0) return `${which}${headText(source)}`;
  const tries = `${storingFailures} ${storingFailures === 1 ? "try" : "tries"}`;
  return `${which}: storing fails as such, whatever the event, after ${tries}, next ${ahead(storingNextAt, source)}: ${cut(storingError)}; it goes on by itself once that is fixed`;
}

/** Describes the first event, if it has failed before. */
function headText(source: SourceState): string {
  const { waitingAttempts, waitingNextAt, waitingError } = source;
  if (waitingError === null) return "";
  const tries = `${waitingAttempts} ${waitingAttempts === 1 ? "try" : "tries"}`;
  return `, again ${ahead(waitingNextAt, source)} after ${tries}: ${cut(waitingError)}`;
}

function setAsideText(source: SourceState): string {
  const { name, setAside, setAsideSince, setAsideError } = source;
  if (setAside === 0) return "";
  const first = setAside === 1 ? "" : ", the first";
  const when = setAsideSince === null ? "" : ` ${ago(setAsideSince, source)}`;
  return `${setAside} set aside${first}${when}${told(setAsideError)}, see \`pawl inbox list --source ${name}\`, then \`pawl inbox retry --all --source ${name}\` or remove`;
}

function behind({ requested }: SourceState): string {
  return `after cursor ${JSON.stringify(requested)}`;
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

/** Returns one line of limited length, without characters that move the cursor. */
function cut(text: string | null): string {
  const chars = Array.from((text ?? "").replaceAll(/[\s\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim());
  return chars.length > QUOTE_CHARS_MAX
    ? `${chars.slice(0, QUOTE_CHARS_MAX).join("")}…`
    : chars.join("");
}
