/**
 * The four ways in which feeds are paged: what is asked for after a cursor, and which cursor a page leads to. Pure. A
 * cursor by time is exactly what is asked for next, so it may go back by the overlap: what was committed late is found,
 * and what was seen already is known by its id.
 */

import { SourceAnswered, type Window } from "../source.ts";
import type { PageStyle, TimestampUnit } from "./http-options.ts";
import { timeMs } from "./item.ts";

export interface PageFacts {
  /** Of its items, first to last. */
  readonly count: number;
  /** Where the body says so. */
  readonly next: unknown;
  readonly hasMore: boolean | undefined;
  /** As the items have them; by time only. */
  readonly times: readonly unknown[];
}

export interface Following {
  readonly next?: string;
  readonly more: boolean;
  /** The latest time ever seen; by time only. */
  readonly latest?: string;
}

export interface Pager {
  /** `undefined`: the parameter is left out, as for the first page of a feed by cursor. */
  asked(after: string): string | undefined;
  /** @throws SourceAnswered for a page from which there is no way on */
  follow(facts: PageFacts, window: Window, latest: string | undefined): Following;
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

const isFull = ({ count, hasMore }: PageFacts, { limit }: Window): boolean =>
  hasMore ?? count >= limit;

const BY_ID: Pager = {
  asked: (after) => after,
  follow: (facts, window) => ({ more: isFull(facts, window) && facts.count > 0 }),
};

const BY_OFFSET: Pager = {
  asked: (after) => after || "0",
  follow: (facts, window) => ({
    next: String(offsetOf(window.after) + facts.count),
    more: isFull(facts, window) && facts.count > 0,
  }),
};

function offsetOf(after: string): number {
  const offset = after === "" ? 0 : Number(after);
  if (Number.isSafeInteger(offset) && offset >= 0) return offset;
  throw new SourceAnswered(`the cursor "${after}" is no offset; rewind the source to a number`);
}

/** Without a next cursor the end is reached: the same page is asked for again, and its new events told by their ids. */
const BY_CURSOR: Pager = {
  asked: (after) => (after === "" ? undefined : after),
  follow({ next, hasMore }, { after }) {
    if (next === undefined || next === null || next === "" || next === false) {
      return { next: after, more: false };
    }
    if (typeof next !== "string" && typeof next !== "number") {
      throw new SourceAnswered("the next cursor in the body is neither a text nor a number");
    }
    const cursor = String(next);
    return { next: cursor, more: (hasMore ?? true) && cursor !== after };
  },
};

function byTimestamp({ overlapMs, unit, start }: TimestampOptions): Pager {
  const before = (latest: string): string => {
    const back = Math.floor(momentMs(latest, unit)) - overlapMs;
    const first = start === "" ? Number.NEGATIVE_INFINITY : momentMs(start, unit);
    return back < first ? start : cursorOf(back, unit);
  };
  return {
    asked: (after) => (after === "" ? undefined : after),
    follow(facts, window, known) {
      const times = facts.times.map((time) => cursorOf(time, unit));
      const latest = latestOf(known === undefined ? times : [known, ...times], unit);
      if (facts.count === 0 || !isFull(facts, window)) {
        const next = latest === undefined ? window.after : before(latest);
        return { next, more: false, ...(latest !== undefined && { latest }) };
      }
      const last = lastInOrder(times, unit);
      if (latest === undefined || last === undefined || !isBeyond(last, window.after, unit)) {
        throw new SourceAnswered(
          `the page is full, and none of its ${facts.count} events is later than ${window.after || "nothing"}: there is no way on; raise \`limit\``,
        );
      }
      return { next: last, more: true, latest };
    },
  };
}

/** ISO texts stay as they are: they may be finer than milliseconds. */
function cursorOf(time: unknown, unit: TimestampUnit): string {
  if (unit === "iso" && typeof time === "string") return time;
  const ms = timeMs(time);
  if (!Number.isFinite(ms)) throw new SourceAnswered(`${String(time)} is no time`);
  if (unit === "seconds") return String(Math.floor(ms / 1_000));
  return unit === "milliseconds" ? String(Math.floor(ms)) : new Date(ms).toISOString();
}

/** As far as milliseconds go; between equal ones another text may be a step on. */
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

/** A page that is not whole leads on only from its latest event. */
function lastInOrder(times: readonly string[], unit: TimestampUnit): string | undefined {
  for (const [i, time] of times.entries()) {
    const previous = times[i - 1];
    if (previous === undefined || momentMs(previous, unit) <= momentMs(time, unit)) continue;
    throw new SourceAnswered(
      `the events of a full page are not in the order of their times (${previous} before ${time}); ask the feed for ascending order`,
    );
  }
  return times.at(-1);
}

/** @throws SourceAnswered for what is no time in this unit */
export function momentMs(text: string, unit: TimestampUnit): number {
  const ms = unit === "iso" ? timeMs(text) : Number(text) * (unit === "seconds" ? 1_000 : 1);
  if (Number.isFinite(ms)) return ms;
  throw new SourceAnswered(`"${text}" is no time in the unit "${unit}"; see \`timestampUnit\``);
}
