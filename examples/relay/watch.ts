/** Waits until the whole feed is loaded and everything after it is done, or nothing moves any more. */

import { setTimeout as wait } from "node:timers/promises";
import type { Display } from "./display.ts";
import { type Standing, standing, type Totals, totals, type Witnesses, whyFeed } from "./totals.ts";

const LOOK_MS = 200;
/** The longest wait without any progress. */
const STALLED_MS = 120_000;
/** The same if nothing waits, or only for an operator: longer than another worker needs to route an event. */
const IDLE_MS = 20_000;

export interface WatchOptions {
  witnesses: Witnesses;
  display: Display;
  /** The last id of the feed; Infinity: the feed has no end. */
  endsAt: number;
  signal: AbortSignal;
}

/** Rejects with the signal's reason when it aborts. */
export async function watch(options: WatchOptions): Promise<{ totals: Totals; isStuck: boolean }> {
  const { witnesses, display, endsAt, signal } = options;
  let last = "";
  let movedAt = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const now = await standing(witnesses);
    display.show(now);
    const done = now.position >= endsAt ? await totalsAtEnd(witnesses, now) : undefined;
    if (done !== undefined) return { totals: done, isStuck: false };
    const key = JSON.stringify({ ...now, trouble: null }); // its text contains times, which change by themselves
    if (key !== last) movedAt = performance.now();
    last = key;
    if (performance.now() - movedAt > stuckAfterMs(now, endsAt)) {
      return { totals: await totals(witnesses), isStuck: true };
    }
    await wait(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}

function stuckAfterMs({ pending, position, trouble }: Standing, endsAt: number): number {
  if (endsAt === Number.POSITIVE_INFINITY) return endsAt;
  const isLoading = position < endsAt && trouble === null;
  return pending > 0 || isLoading ? STALLED_MS : IDLE_MS;
}

/** True at the end: nothing waits, and everything that did not arrive is dead. */
async function totalsAtEnd(witnesses: Witnesses, now: Standing): Promise<Totals | undefined> {
  const { events, jobs, verified, ledger, pings, alarms, processes, processesDone } = now;
  const isFollowed = processesDone >= processes;
  const isWhole = Math.min(jobs, verified, ledger) >= events && alarms >= pings && isFollowed;
  if (now.pending > 0 || !(isWhole || now.dead > 0)) return undefined;
  const all = await totals(witnesses);
  const unalarmed = Math.max(all.pings - all.alarms, 0);
  return all.pending === 0 && all.lost + unalarmed <= all.dead ? all : undefined;
}

/** What hangs, as text for people. */
export async function explainStuck({ pawl }: Witnesses, all: Totals): Promise<string> {
  const lines = [
    `nothing moves any more: ${all.lost} lost, ${all.alarms} of ${all.pings} alarms there, ${all.processesDone} of ${all.processes} processes done`,
    `  ${await whyFeed(pawl.sources)}`,
  ];
  for (const { feed_id, event_id, has_summary, atHub, atLedger } of all.missing) {
    const event = event_id === null ? undefined : await pawl.event(event_id);
    const summary = has_summary ? "there" : "missing";
    lines.push(
      `  feed id ${feed_id}: event ${event_id} ${event?.status}, receipts of the hub ${atHub}, of the ledger ${atLedger}, its summary ${summary}`,
    );
  }
  for (const one of (await pawl.stats()).queues) {
    const { queue, ready, scheduled, waiting, blocked, running, dead } = one;
    const counts = Object.entries({ ready, scheduled, waiting, blocked, running, dead });
    const shown = counts.filter(([, count]) => count > 0).map((pair) => pair.join(" "));
    if (shown.length > 0) lines.push(`  queue ${queue}: ${shown.join(", ")}`);
  }
  return lines.join("\n");
}
