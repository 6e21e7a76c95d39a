/** Due times: computed from the definition alone, in local time, across changes of the clock. */

import { CronExpressionParser } from "cron-parser";
import { expect, test } from "vitest";
import { checkTiming, firedAt, nextDue, type Timing } from "../../src/schedule/timing.ts";
import { random } from "../support/random.ts";
import { size } from "../support/size.ts";

function dues(timing: Timing, from: string, count: number): string[] {
  const found: string[] = [];
  let at: Date | undefined = new Date(from);
  while (at !== undefined && found.length < count) {
    at = nextDue(timing, at);
    found.push(at?.toISOString().replace(":00.000Z", "Z") ?? "never");
  }
  return found;
}

const prague = (cron: string) => ({ cron, timeZone: "Europe/Prague" });
const utc = (cron: string) => ({ cron, timeZone: "UTC" });

test("R66: a fixed time that the clock skips is due once, at the moment of the jump", () => {
  expect(dues(prague("30 2 * * *"), "2026-03-27T12:00Z", 3)).toEqual([
    "2026-03-28T01:30Z",
    "2026-03-29T01:00Z",
    "2026-03-30T00:30Z",
  ]);
  expect(dues(prague("0,30 2,14 * * *"), "2026-03-28T14:00Z", 3)).toEqual([
    "2026-03-29T01:00Z",
    "2026-03-29T12:00Z",
    "2026-03-29T12:30Z",
  ]);
  const santiago = { cron: "0 0 * * *", timeZone: "America/Santiago" };
  expect(dues(santiago, "2026-09-05T12:00Z", 2)).toEqual([
    "2026-09-06T04:00Z",
    "2026-09-07T03:00Z",
  ]);
});

test("R66: a fixed time that the clock shows twice is due once, the first time, from wherever one looks", () => {
  const first = "2026-10-25T00:30Z";
  expect(dues(prague("30 2 * * *"), "2026-10-24T12:00Z", 2)).toEqual([first, "2026-10-26T01:30Z"]);
  for (const between of [first, "2026-10-25T00:45Z", "2026-10-25T01:10Z", "2026-10-25T01:30Z"])
    expect(dues(prague("30 2 * * *"), between, 1)).toEqual(["2026-10-26T01:30Z"]);
});

test("R66: a time with * goes by the time that passes: nothing is skipped or doubled by a change of the clock", () => {
  const halves = (from: string) => dues(prague("*/30 * * * *"), from, 5);
  expect(halves("2026-03-29T00:15Z")).toEqual(
    ["00:30", "01:00", "01:30", "02:00", "02:30"].map((at) => `2026-03-29T${at}Z`),
  );
  expect(halves("2026-10-25T00:15Z")).toEqual(
    ["00:30", "01:00", "01:30", "02:00", "02:30"].map((at) => `2026-10-25T${at}Z`),
  );
});

test("R66: leap days, the 31st, the last day, the last Friday, and both a day and a weekday", () => {
  expect(dues(utc("0 0 29 2 *"), "2026-03-01T00:00Z", 2)).toEqual([
    "2028-02-29T00:00Z",
    "2032-02-29T00:00Z",
  ]);
  expect(dues(utc("0 0 29 2 *"), "2096-03-01T00:00Z", 1)).toEqual(["2104-02-29T00:00Z"]);
  expect(dues(utc("0 0 31 * *"), "2026-03-31T00:00Z", 3)).toEqual([
    "2026-05-31T00:00Z",
    "2026-07-31T00:00Z",
    "2026-08-31T00:00Z",
  ]);
  expect(dues(utc("0 0 L * *"), "2028-02-01T00:00Z", 1)).toEqual(["2028-02-29T00:00Z"]);
  expect(dues(utc("0 0 * * FRI#L"), "2026-03-01T00:00Z", 1)).toEqual(["2026-03-27T00:00Z"]);
  expect(dues(utc("0 0 13 * 5"), "2026-03-01T00:00Z", 3)).toEqual([
    "2026-03-06T00:00Z",
    "2026-03-13T00:00Z",
    "2026-03-20T00:00Z",
  ]);
});

test("seconds stand before the minute, and nicknames are local time too", () => {
  expect(nextDue(utc("*/7 * * * * *"), new Date("2026-03-01T00:00:07Z"))?.toISOString()).toBe(
    "2026-03-01T00:00:14.000Z",
  );
  expect(dues(prague("@daily"), "2026-03-28T00:00Z", 2)).toEqual([
    "2026-03-28T23:00Z",
    "2026-03-29T22:00Z",
  ]);
});

test("R66: `every` counts from its origin, whenever somebody looks, and over changes of the clock", () => {
  const every = (everyMs: number, from: string) => ({ everyMs, from: new Date(from) });
  const hours = every(3_600_000, "1970-01-01T00:00Z");
  expect(dues(hours, "2026-03-29T00:17Z", 2)).toEqual(["2026-03-29T01:00Z", "2026-03-29T02:00Z"]);
  expect(dues(hours, "2026-03-29T01:00Z", 1)).toEqual(["2026-03-29T02:00Z"]);
  const later = every(90_000, "2026-03-29T00:00:10Z");
  expect(nextDue(later, new Date("2026-01-01"))?.toISOString()).toBe("2026-03-29T00:00:10.000Z");
  expect(nextDue(later, new Date("2026-03-29T00:00:10Z"))?.toISOString()).toBe(
    "2026-03-29T00:01:40.000Z",
  );
});

test("jitter is the same for every worker, within its bound, and spreads", () => {
  const dueAt = (n: number) => new Date(Date.UTC(2026, 0, 1, 0, n));
  const late = Array.from(
    { length: 500 },
    (_, n) => firedAt("a", dueAt(n), 60_000).getTime() - dueAt(n).getTime(),
  );
  expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...late)).toBeLessThan(60_000);
  expect(new Set(late.map((ms) => Math.floor(ms / 6_000))).size).toBe(10);
  expect(firedAt("a", dueAt(1), 60_000)).toEqual(firedAt("a", dueAt(1), 60_000));
  expect(firedAt("a", dueAt(1), 0)).toEqual(dueAt(1));
});

test.each([
  ["60 * * * *", /minute: 60/],
  ["* * *", /expected `cron` to be/],
  ["0 0 0 1 1 * 2030", /expected `cron` to be/],
  ["2026-05-01T00:00:00", /expected `cron` to be/],
  ["@reboot", /expected `cron` to be/],
  ["5/10 * * * *", /\*\/step/],
  ["0 0 30 2 *", /never comes/],
  ["", /expected `cron` to be/],
])("the cron expression %j is refused with the reason", (cron, reason) => {
  expect(() => checkTiming("here", utc(cron))).toThrow(reason);
});

test.each(["Europe/Pragu", "+02:00", "", "CET CET"])("the time zone %j is refused", (timeZone) => {
  expect(() => checkTiming("here", { cron: "0 0 * * *", timeZone })).toThrow(/IANA/);
});

const ZONES = ["UTC", "Asia/Kolkata", "Europe/Prague", "America/New_York", "Australia/Lord_Howe"];
/** What the other library gives up on: days that no month has, and searches that it thinks too long. */
const GIVES_UP = /Invalid explicit day of month|loop limit exceeded/;

test("R66: random expressions are due when a second library says so", () => {
  const { whole } = random(20_261_129);
  const below = (n: number) => whole(0, n - 1);
  const field = (low: number, high: number): string => {
    const value = () => low + below(high - low + 1);
    const [a, b, c] = [value(), value(), value()].sort((x, y) => x - y) as [number, number, number];
    const shapes = [
      "*",
      "*",
      `*/${1 + below(Math.ceil((high - low) / 2))}`,
      `${a}`,
      a === b ? `${a}` : `${a}-${b}`,
    ];
    return shapes[below(6)] ?? [...new Set([a, b, c])].join(",");
  };
  for (let n = 0; n < size(500, 10_000); n += 1) {
    const seconds = below(4) === 0 ? `${field(0, 59)} ` : "";
    const days = `${below(3) === 0 ? field(1, 31) : "*"} ${below(2) === 0 ? field(1, 12) : "*"} ${below(3) === 0 ? field(0, 6) : "*"}`;
    const cron = `${seconds}${field(0, 59)} ${field(0, 23)} ${days}`;
    const timeZone = ZONES[below(ZONES.length)] ?? "UTC";
    // no change of the clock is near in any of the zones: there the two libraries differ, and the tests above say what holds
    const from = new Date(
      Date.UTC(2026, [0, 5, 6, 11][below(4)] ?? 0, 1 + below(28), below(24), below(60)),
    );
    let theirs: string;
    try {
      const parsed = CronExpressionParser.parse(cron, { currentDate: from, tz: timeZone });
      theirs = parsed.next().toDate().toISOString();
    } catch (error) {
      expect(String(error), cron).toMatch(GIVES_UP);
      continue;
    }
    expect(
      `${nextDue({ cron, timeZone }, from)?.toISOString()} ${cron} ${timeZone} ${from.toISOString()}`,
    ).toBe(`${theirs} ${cron} ${timeZone} ${from.toISOString()}`);
  }
});
