/**
 * The four ways of paging: which parameter follows from a cursor, and to which cursor a page leads. Pure. A cursor by time is
 * exactly the next parameter, so it may go back by the overlap: events that were committed late are found, and those already
 * seen are recognized by their ids.
 */

import { SourceAnswered, type Window } from "../source.ts";
import type { PageStyle, TimestampUnit } from "./http-options.ts";
import { timeMs } from "./item.ts";

/** The smallest step from one time to the next, for each unit. */
const STEP_MS: Record<TimestampUnit, number> = { iso: 1, seconds: 1_000, milliseconds: 1 };

export interface PageFacts {
  /** Number of its items. */
  readonly count: number;
  /** The next cursor, if the body names one. */
  readonly next: unknown;
  readonly hasMore: boolean | undefined;
  /** The times of its items; only for a feed by time. */
  readonly times: readonly unknown[];
  /** Recognizes the same page. */
  readonly print: string;
}

/** What a pager needs to know of earlier pages. */
export interface Trail {
  /** The latest time ever seen. */
  readonly latest?: string;
  /** Number of items of the largest page: a smaller page was not cut. */
  readonly size?: number;
  /** All events of a page had this time; `isPassed`: later events exist. */
  readonly tied?: { readonly at: string; readonly isPassed: boolean };
  /** The last page by offset. */
  readonly page?: { readonly after: string; readonly print: string };
  /** A cursor of an earlier page: no later page may lead back to it. It moves on when `steps` pages have become `span`. */
  readonly mark?: { readonly cursor: string; readonly steps: number; readonly span: number };
}

export interface Following {
  readonly next?: string;
  readonly more: boolean;
  readonly trail?: Trail;
}

export interface Pager {
  /** `undefined`: the parameter is left out, as for the first page of a feed by cursor. */
  asked(after: string): string | undefined;
  /** @throws SourceAnswered for a page after which there is no next cursor */
  follow(facts: PageFacts, window: Window, trail: Trail): Following;
}

export interface TimestampOptions {
  overlapMs: number;
  unit: TimestampUnit;
  start: string;
}

export function pagerOf(style: PageStyle, timestamp: TimestampOptions): Pager {
  if (style === "timestamp") return byTimestamp(timestamp);
  return { id: BY_ID, cursor: BY_CURSOR, offset: BY_OFFSET }[style];
}

/** A feed may have its own limit: a page is the last one if it is empty, or if an earlier one was larger. */
const hasNext = ({ count, hasMore }: PageFacts, { limit }: Window, { size = 0 }: Trail): boolean =>
  count > 0 && (hasMore ?? (count >= limit || count >= size));

const grown = ({ count }: PageFacts, { size = 0 }: Trail): { size: number } => ({
  size: Math.max(size, count),
});

const BY_ID: Pager = {
  asked: (after) => after,
  follow: (facts, window, trail) => ({
    more: hasNext(facts, window, trail),
    trail: grown(facts, trail),
  }),
};

const BY_OFFSET: Pager = {
  asked: (after) => after || "0",
  follow(facts, window, trail) {
    const { count, print } = facts;
    const { after } = window;
    const { page } = trail;
    const next = String(offsetOf(after) + count);
    const kept = grown(facts, trail);
    if (count === 0)
      return { next, more: false, trail: { ...kept, ...(page !== undefined && { page }) } };
    if (page !== undefined && page.after !== after && page.print === print) {
      throw new SourceAnswered(
        `the same ${count} items came for the offset ${after} as for ${page.after || "0"}: the feed ignores it; see \`afterParam\``,
      );
    }
    return {
      next,
      more: hasNext(facts, window, trail),
      trail: { ...kept, page: { after, print } },
    };
  },
};

function offsetOf(after: string): number {
  const offset = after === "" ? 0 : Number(after);
  if (Number.isSafeInteger(offset) && offset >= 0) return offset;
  throw new SourceAnswered(`the cursor "${after}" is not an offset; rewind the source to a number`);
}

/** Without a next cursor the end is reached: the same page is requested again, and new events are recognized by their ids. */
const BY_CURSOR: Pager = {
  asked: (after) => (after === "" ? undefined : after),
  follow({ count, next, hasMore }, { after }, { mark }) {
    if (next === undefined || next === null || next === "" || next === false) {
      return { next: after, more: false };
    }
    if (typeof next !== "string" && typeof next !== "number") {
      throw new SourceAnswered("the next cursor in the body is neither a text nor a number");
    }
    const cursor = String(next);
    const more = (hasMore ?? count > 0) && cursor !== after;
    return more
      ? { next: cursor, more, trail: { mark: marked(cursor, mark) } }
      : { next: cursor, more };
  },
};

/** Brent's algorithm finds a circle: the mark moves on after 1, 2, 4 … pages. @throws SourceAnswered for a circle */
function marked(cursor: string, mark: Trail["mark"]): Trail["mark"] & object {
  if (mark === undefined) return { cursor, steps: 0, span: 1 };
  if (mark.cursor === cursor) {
    throw new SourceAnswered(
      `the cursors of the feed go in a circle: "${cursor}" came ${mark.steps + 1} pages ago too; see \`next\``,
    );
  }
  const steps = mark.steps + 1;
  return steps < mark.span ? { ...mark, steps } : { cursor, steps: 0, span: mark.span * 2 };
}

function byTimestamp({ overlapMs, unit, start }: TimestampOptions): Pager {
  const before = (latest: string): string => {
    const back = Math.floor(momentMs(latest, unit)) - overlapMs;
    const first = start === "" ? Number.NEGATIVE_INFINITY : momentMs(start, unit);
    return back < first ? start : cursorOf(back, unit);
  };
  return {
    asked: (after) => (after === "" ? undefined : after),
    follow(facts, window, known) {
      const seen = seenPage(facts, window, { known, unit });
      const { count, last, trail } = seen;
      const { latest } = trail;
      const end = {
        next: latest === undefined ? window.after : before(latest),
        more: false,
        trail,
      };
      if (known.tied?.isPassed === false) return behindTie(seen, known.tied.at) ?? end;
      if (count === 0 || facts.hasMore === false) return end;
      const isOn = last !== undefined && isBeyond(last, window.after, unit);
      return (isOn ? onward(seen, last) : standing(seen, window)) ?? end;
    },
  };
}

interface SeenPage {
  count: number;
  times: readonly string[];
  isFull: boolean;
  last: string | undefined;
  known: Trail;
  trail: Trail;
  unit: TimestampUnit;
}

function seenPage(
  { count, hasMore, times: given }: PageFacts,
  window: Window,
  { known, unit }: { known: Trail; unit: TimestampUnit },
): SeenPage {
  const times = given.map((time) => cursorOf(time, unit));
  const isFull = (hasMore ?? count >= window.limit) && count > 0;
  const last = lastOf(times, { unit, isFull });
  const latest = latestOf(known.latest === undefined ? times : [known.latest, ...times], unit);
  const size = Math.max(known.size ?? 0, count);
  const trail = { ...(latest !== undefined && { latest }), size };
  return { count, times, isFull, last, known, trail, unit };
}

/** Undefined: no event is later than the latest known one, and the page was not cut. */
function onward(
  { count, isFull, known, trail, unit }: SeenPage,
  last: string,
): Following | undefined {
  const { latest, size = 0 } = known;
  const isKnown = latest !== undefined && !isBeyond(last, latest, unit);
  return isKnown && count < size && !isFull ? undefined : { next: last, more: true, trail };
}

/** A page that leads no further. If all its events have one time and it may have been cut, later events are looked for. */
function standing(seen: SeenPage, window: Window): Following | undefined {
  const { count, times, isFull, known, trail, unit } = seen;
  const isTied =
    count > 1 && count >= (known.size ?? 0) && times.every((time) => time === window.after);
  if (isFull || (isTied && known.tied?.isPassed === true)) throw noWayOn(count, window);
  if (!isTied) return undefined;
  const next = cursorOf(momentMs(window.after, unit) + STEP_MS[unit], unit);
  return { next, more: true, trail: { ...trail, tied: { at: window.after, isPassed: false } } };
}

/** Later events exist. They may be new, so the page is requested once more. */
function behindTie({ last, trail, unit }: SeenPage, at: string): Following | undefined {
  if (last === undefined || !isBeyond(last, at, unit)) return undefined;
  return { next: at, more: true, trail: { ...trail, tied: { at, isPassed: true } } };
}

function noWayOn(count: number, { after }: Window): SourceAnswered {
  return new SourceAnswered(
    `the page is full, and none of its ${count} events is later than ${after || "nothing"}: there is no next cursor; raise \`limit\`, or the feed's own limit of a page`,
  );
}

/** ISO texts stay as they are: they may be finer than milliseconds. */
function cursorOf(time: unknown, unit: TimestampUnit): string {
  if (unit === "iso" && typeof time === "string") return time;
  const ms = timeMs(time);
  if (!Number.isFinite(ms)) throw new SourceAnswered(`${String(time)} is not a time`);
  if (unit === "seconds") return String(Math.floor(ms / 1_000));
  return unit === "milliseconds" ? String(Math.floor(ms)) : new Date(ms).toISOString();
}

/** Compares milliseconds; if they are equal, a different text counts as later. */
function isBeyond(time: string, after: string, unit: TimestampUnit): boolean {
  if (after === "") return true;
  const [ms, afterMs] = [momentMs(time, unit), momentMs(after, unit)];
  return ms > afterMs || (ms === afterMs && time !== after);
}

function latestOf(times: readonly string[], unit: TimestampUnit): string | undefined {
  let latest: string | undefined;
  for (const time of times) {
    if (latest === undefined || momentMs(time, unit) > momentMs(latest, unit)) latest = time;
  }
  return latest;
}

/** A full page leads on only from its last event, which must be its latest. */
function lastOf(
  times: readonly string[],
  { unit, isFull }: { unit: TimestampUnit; isFull: boolean },
): string | undefined {
  for (const [i, time] of times.entries()) {
    const previous = times[i - 1];
    if (previous === undefined || momentMs(previous, unit) <= momentMs(time, unit)) continue;
    if (!isFull) return latestOf(times, unit);
    throw new SourceAnswered(
      `the events of a full page are not in the order of their times (${previous} before ${time}); ask the feed for ascending order`,
    );
  }
  return times.at(-1);
}

/** @throws SourceAnswered for a value that is not a time in this unit */
export function momentMs(text: string, unit: TimestampUnit): number {
  const ms = unit === "iso" ? timeMs(text) : Number(text) * (unit === "seconds" ? 1_000 : 1);
  if (Number.isFinite(ms)) return ms;
  throw new SourceAnswered(`"${text}" is not a time in the unit "${unit}"; see \`timestampUnit\``);
}
