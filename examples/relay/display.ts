/** What people see: a bar or status lines on stderr while it works, the summary on stdout at the end. */

import type { Standing, Totals } from "./totals.ts";

const BAR_WIDTH = 24;
const LINE_EVERY_MS = 2_000;
const COLUMNS_DEFAULT = 80;

export interface Display {
  note(text: string): void;
  show(now: Standing): void;
  /** Replaces the bar by an empty line. */
  clear(): void;
}

/** @param total events of the feed; @param isQuiet no lines if there is no terminal, as for `--once` */
export function display({ total, isQuiet }: { total: number; isQuiet: boolean }): Display {
  const { stderr } = process;
  let shown = "";
  let shownAt = Number.NEGATIVE_INFINITY;
  let isTold = false;
  const clear = (): void => {
    if (stderr.isTTY) stderr.write("\r\x1b[K");
  };
  const note = (text: string): void => {
    clear();
    stderr.write(`relay: ${text}\n`);
  };
  const show = (now: Standing): void => {
    if (now.trouble !== null && !isTold) note(now.trouble);
    isTold = now.trouble !== null;
    if (stderr.isTTY) {
      clear();
      const line = `${bar(now, total)}  ${counts(now, total)}`;
      stderr.write(line.slice(0, (stderr.columns || COLUMNS_DEFAULT) - 1));
      return;
    }
    const line = counts(now, total);
    if (isQuiet || line === shown || performance.now() - shownAt < LINE_EVERY_MS) return;
    stderr.write(`relay: ${line}\n`);
    shown = line;
    shownAt = performance.now();
  };
  return { note, show, clear };
}

function bar({ loaded, stored, jobs, verified, ledger }: Standing, total: number): string {
  const done = loaded + stored + jobs + verified + ledger;
  const share = Math.min(done / (5 * Math.max(total, loaded, 1)), 1);
  const full = Math.floor(share * BAR_WIDTH);
  const percent = String(Math.floor(share * 100)).padStart(3);
  return `${"█".repeat(full)}${"░".repeat(BAR_WIDTH - full)} ${percent} %`;
}

function counts(
  { loaded, stored, jobs, verified, ledger, pending, dead }: Standing,
  total: number,
): string {
  const parts = [
    `loaded ${loaded}/${Math.max(total, loaded)}`,
    `stored ${stored}`,
    `jobs ${jobs}`,
    `verified ${verified}`,
    `ledger ${ledger}`,
  ];
  if (pending > 0) parts.push(`waiting ${pending}`);
  if (dead > 0) parts.push(`dead ${dead}`);
  return parts.join(" · ");
}

export function summary(all: Totals, seconds: number, logs: string): string {
  const row = (label: string, value: number, said: string): string =>
    `  ${label.padEnd(13)}${String(value).padStart(8)}   ${said}`;
  const lines = [
    "relay: GitHub webhooks in, business rows and jobs inside, signed webhooks out",
    row("loaded", all.loaded, "events of the feed, taken into Pawl's inbox by the workers"),
    row("stored", all.stored, "of these, moved on in one transaction with all that follows"),
    row("events", all.events, "business rows"),
    row("jobs", all.jobs, "summaries that the jobs wrote"),
    row("deliveries", all.deliveries, "made by Pawl for the hub"),
    row("verified", all.verified, "events in the hub's own log, signature checked"),
    row("ledger", all.ledger, "events in the log of the ledger, which gets them in order"),
    row("inversions", all.inversions, "of these, out of the order of their repository"),
    row("duplicates", all.duplicates, "received more than once (delivery is at least once)"),
    row("pings", all.pings, "events that also go to a destination that never accepts"),
    row("expectedDead", all.expectedDead, "dead letters of that destination"),
    row("alarms", all.alarms, "business rows that a flow wrote about dead deliveries"),
    row("processes", all.processes, "new issues and releases, each followed by a process"),
    row("done", all.processesDone, "of these, seen at the desk and closed"),
    row("dead", all.dead, "given up beside these, waiting for a person"),
    row("lost", all.lost, "events without both receipts or without their summary"),
  ];
  if (all.badSignatures > 0) lines.push(row("refused", all.badSignatures, "wrong signature"));
  lines.push(`  ${seconds} s; secret, receipts and logs in ${logs}`, "");
  return lines.join("\n");
}

/** One object on one line. */
export function json(all: Totals, seconds: number): string {
  return `${JSON.stringify({ ...all, missing: undefined, seconds })}\n`;
}
