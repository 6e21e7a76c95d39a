/** Every policy for missed due times over every gap, computed. */

import { expect, test } from "vitest";
import { COUNTED_MAX, decide, type Missed, STARTS_MAX } from "../../src/schedule/missed.ts";
import { firedAt, nextDue, type Timing } from "../../src/schedule/timing.ts";

const FIRST = new Date("2026-05-05T00:00:00Z");
const HOURLY: Timing = { cron: "0 * * * *", timeZone: "UTC" };
const HOUR_MS = 3_600_000;
const after = (ms: number) => new Date(FIRST.getTime() + ms);

function decided(missed: Missed, gapMs: number, { timing = HOURLY, jitterMs = 0 } = {}) {
  const {
    dues,
    missed: amount,
    missedSince,
    missedAt,
    following,
  } = decide({ name: "s", timing, jitterMs, missed, nextAt: FIRST, fireAt: FIRST }, after(gapMs));
  const hours = (at: Date | undefined) => at && (at.getTime() - FIRST.getTime()) / HOUR_MS;
  return {
    dues: dues.map(hours),
    missed: amount,
    between: [hours(missedSince), hours(missedAt)],
    next: hours(following?.at),
  };
}

const skip: Missed = { policy: "skip" };
const last: Missed = { policy: "last" };
const all = (hours: number): Missed => ({ policy: "all", withinMs: hours * HOUR_MS });
const none = [undefined, undefined];

test.each([
  ["not due yet", skip, -1, { dues: [], missed: 0, between: none, next: 0 }],
  ["at the moment", skip, 0, { dues: [0], missed: 0, between: none, next: 1 }],
  ["a minute late", skip, 60_000, { dues: [0], missed: 0, between: none, next: 1 }],
  ["later", skip, 60_001, { dues: [], missed: 1, between: [0, 0], next: 1 }],
  [
    "hours later, at a due time",
    skip,
    3 * HOUR_MS,
    { dues: [3], missed: 3, between: [0, 2], next: 4 },
  ],
  [
    "hours later, between two",
    skip,
    3.5 * HOUR_MS,
    { dues: [], missed: 4, between: [0, 3], next: 4 },
  ],
  ["later", last, 60_001, { dues: [0], missed: 0, between: none, next: 1 }],
  ["hours later", last, 3.5 * HOUR_MS, { dues: [3], missed: 3, between: [0, 2], next: 4 }],
  [
    "hours later",
    all(24),
    3.5 * HOUR_MS,
    { dues: [0, 1, 2, 3], missed: 0, between: none, next: 4 },
  ],
  ["hours later", all(2), 3.5 * HOUR_MS, { dues: [2, 3], missed: 2, between: [0, 1], next: 4 }],
  [
    "longer than the window",
    all(0.4),
    3.5 * HOUR_MS,
    { dues: [], missed: 4, between: [0, 3], next: 4 },
  ],
] as const)("R66: %s, %o after %d ms", (_gap, missed, gapMs, expected) => {
  expect(decided(missed, gapMs)).toEqual(expected);
});

/** Every policy at every gap, in hours after the first due time: those that are started. */
const POLICIES = {
  skip,
  last,
  "all of 24 h": all(24),
  "all of 2 h": all(2),
  "all of 24 min": all(0.4),
};
const upTo = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n);

test.each([
  ["before the due time", -1, [], [], [], [], []],
  ["at the due time", 0, [0], [0], [0], [0], [0]],
  ["a minute late", 60_000, [0], [0], [0], [0], [0]],
  ["more than a minute late", 60_001, [], [0], [0], [0], [0]],
  ["hours late, at a due time", 3 * HOUR_MS, [3], [3], upTo(0, 3), upTo(1, 3), [3]],
  ["hours late, between two", 3.5 * HOUR_MS, [], [3], upTo(0, 3), upTo(2, 3), []],
  ["more than a day late", 24.5 * HOUR_MS, [], [24], upTo(1, 24), upTo(23, 24), []],
] as const)(
  "R66: %s each policy for missed due times starts what it says",
  (_gap, gapMs, ...expected) => {
    const started = Object.values(POLICIES).map((missed) => decided(missed, gapMs).dues);
    expect(started).toEqual(expected);
    for (const missed of Object.values(POLICIES)) {
      const { dues, missed: left, next } = decided(missed, gapMs);
      expect(dues.length + left).toBe(Math.floor(gapMs / HOUR_MS) + 1); // none is lost, and none comes twice
      expect(next).toBe(Math.floor(gapMs / HOUR_MS) + 1);
    }
  },
);

test.each([
  [
    "forward",
    "2026-03-27T12:00Z",
    "2026-03-30T12:00Z",
    ["03-28T01:30", "03-29T01:00", "03-30T00:30"],
  ],
  ["back", "2026-10-23T12:00Z", "2026-10-26T12:00Z", ["10-24T00:30", "10-25T00:30", "10-26T01:30"]],
] as const)(
  "R66: a stop over the night in which the clock is put %s misses each due time once",
  (_way, from, to, nights) => {
    const timing: Timing = { cron: "30 2 * * *", timeZone: "Europe/Prague" };
    const nextAt = nextDue(timing, new Date(from)) ?? FIRST;
    const of = (missed: Missed) => {
      const due = { name: "s", timing, jitterMs: 0, missed, nextAt, fireAt: nextAt };
      const { dues, missed: left } = decide(due, new Date(to));
      return [dues.map((at) => at.toISOString().slice(5, 16)), left];
    };
    expect(of(skip)).toEqual([[], 3]);
    expect(of(last)).toEqual([nights.slice(2), 2]);
    expect(of(all(24 * 7))).toEqual([nights, 0]);
  },
);

test("a stop of a year is passed over in a few steps, and the last due time is the right one", () => {
  const gapMs = 365 * 24 * HOUR_MS + 30 * 60_000;
  expect(decided(last, gapMs)).toMatchObject({ dues: [8_760], next: 8_761 });
  expect(decided(last, gapMs).missed).toBeGreaterThanOrEqual(COUNTED_MAX);
  expect(decided(skip, gapMs)).toMatchObject({ dues: [], next: 8_761 });
  expect(decided(all(3), gapMs)).toMatchObject({ dues: [8_758, 8_759, 8_760], next: 8_761 });
  const nights: Timing = { cron: "* 0 * * *", timeZone: "UTC" };
  expect(decided(last, gapMs, { timing: nights }).dues.at(-1)).toBeCloseTo(8_760 + 30 / 60, 5);
});

test("of many due times that are all to be fired, a look takes some, and the next one goes on behind them", () => {
  const seconds: Timing = { everyMs: 1_000, from: new Date(0) };
  let nextAt: Date | undefined = FIRST;
  const seen: number[] = [];
  const now = after(1_000_000);
  for (let look = 0; look < 20 && nextAt !== undefined && nextAt <= now; look += 1) {
    const { dues, missed, following } = decide(
      { name: "s", timing: seconds, jitterMs: 0, missed: all(1), nextAt, fireAt: nextAt },
      now,
    );
    expect(dues.length).toBeLessThanOrEqual(STARTS_MAX);
    expect(missed).toBe(0);
    seen.push(...dues.map((due) => (due.getTime() - FIRST.getTime()) / 1_000));
    nextAt = following?.at;
  }
  expect(seen).toEqual(Array.from({ length: 1_001 }, (_, n) => n));
});

test("with jitter a due time is taken when its own moment has come, and the next one waits for its own", () => {
  const seconds: Timing = { everyMs: 1_000, from: new Date(0) };
  const due = { name: "s", timing: seconds, jitterMs: 5_000, missed: all(1), nextAt: FIRST };
  const taken = new Set<number>();
  let nextAt: Date | undefined = FIRST;
  for (let ms = 0; ms < 60_000; ms += 100) {
    const { dues, missed, following } = decide(
      { ...due, nextAt: nextAt ?? FIRST, fireAt: nextAt ?? FIRST },
      after(ms),
    );
    expect(missed).toBe(0);
    for (const one of dues) {
      expect(taken.has(one.getTime())).toBe(false);
      taken.add(one.getTime());
    }
    nextAt = following?.at;
  }
  expect(taken.size).toBeGreaterThanOrEqual(54);
});

const MINUTE_MS = 60_000;
const MINUTELY: Timing = { everyMs: MINUTE_MS, from: new Date(0) };

/** What becomes of all due times of `hours`, looked at each second, and each time that something is left. */
function watched(missed: Missed, { timing = MINUTELY, jitterMs = 0, hours = 10 } = {}) {
  const started: number[] = [];
  let lost = 0;
  let next = { at: FIRST, fireAt: FIRST };
  for (let ms = 0; ms <= hours * HOUR_MS; ms += 1_000) {
    while (next.fireAt <= after(ms)) {
      const decision = decide(
        { name: "s", timing, jitterMs, missed, nextAt: next.at, fireAt: next.fireAt },
        after(ms),
      );
      started.push(...decision.dues.map((due) => due.getTime()));
      lost += decision.missed;
      if (decision.following === undefined) throw new Error("a due time follows");
      if (decision.following.at.getTime() === next.at.getTime()) break;
      next = decision.following;
    }
  }
  return { started, lost, next: next.at };
}

test.each([
  ["shorter than the interval", skip, { timing: HOURLY, jitterMs: 10 * MINUTE_MS }],
  ["shorter than the interval", last, { timing: HOURLY, jitterMs: 10 * MINUTE_MS }],
  ["shorter than the interval", all(0), { timing: HOURLY, jitterMs: 10 * MINUTE_MS }],
  ["longer than the interval", skip, { jitterMs: 5 * MINUTE_MS }],
  ["longer than the interval", last, { jitterMs: 5 * MINUTE_MS }],
  ["longer than the interval", all(0), { jitterMs: 5 * MINUTE_MS }],
  [
    "of more due times than a look counts or starts",
    last,
    { timing: { everyMs: 1_000, from: new Date(0) }, jitterMs: 5 * MINUTE_MS, hours: 1 },
  ],
] as const)("jitter %s makes nothing late while the workers look, %o", (_what, missed, given) => {
  const { started, lost, next } = watched(missed, given);
  expect(lost).toBe(0);
  const timing: Timing = "timing" in given ? given.timing : MINUTELY;
  const everyMs = "everyMs" in timing ? timing.everyMs : HOUR_MS;
  const expected = (next.getTime() - FIRST.getTime()) / everyMs;
  expect(started).toEqual(
    Array.from({ length: expected }, (_, n) => FIRST.getTime() + n * everyMs),
  );
});

test("a due time whose jittered moment is more than a minute ago was missed", () => {
  const jitterMs = 10 * MINUTE_MS;
  const moment = firedAt("s", FIRST, jitterMs).getTime() - FIRST.getTime();
  expect(decided(skip, moment + 60_000, { jitterMs })).toMatchObject({ dues: [0], missed: 0 });
  expect(decided(skip, moment + 60_001, { jitterMs })).toMatchObject({ dues: [], missed: 1 });
});

test.each([
  ["half an hour", "2026-05-05T00:30:00Z"],
  ["half a day", "2026-05-05T12:00:00Z"],
  ["more than a day", "2026-05-06T12:00:00Z"],
])("`last` starts one due time when many lie before a gap of %s", (_gap, now) => {
  // each second of a Monday
  const timing: Timing = { cron: "* * * * * MON", timeZone: "UTC" };
  const nextAt = new Date("2026-05-04T00:00:01Z");
  const due = { name: "s", timing, jitterMs: 0, nextAt, fireAt: nextAt };
  const next = new Date("2026-05-11T00:00:00Z");
  const decision = decide({ ...due, missed: last }, new Date(now));
  expect(decision.dues).toEqual([new Date("2026-05-04T23:59:59Z")]);
  expect(decision.following?.at).toEqual(next);
  const skipped = decide({ ...due, missed: skip }, new Date(now));
  expect(skipped).toMatchObject({ dues: [], following: { at: next } });
  expect(skipped.missed).toBeLessThan(COUNTED_MAX + 200); // it did not go through all of them
});
