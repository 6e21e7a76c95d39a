/** When quiet hours hold: over midnight, at a month's end, and over both changes of the clock. */

import { beforeAll, expect, test } from "vitest";
import type { Store } from "../../../src/store/store.ts";
import { freshStore } from "../../support/database.ts";
import { random } from "../../support/random.ts";

let store: Store;
beforeAll(async () => {
  store = await freshStore();
});

interface Hours {
  from: string;
  to: string;
  zone: string;
  days?: string[];
}

/** The times of a window between two instants, as `begin end` in UTC. */
async function times(hours: Hours, from: string, to: string): Promise<string[]> {
  const rows = await store.rows<{ begins: Date; ends: Date }>(
    `select t.* from pawl.quiet_times(row('w', 'a', $1, $2, $3, $4, '{all}', '{}', null, null, null, null, null, null, null)::pawl.quiet_hours,
       $5, $6) t`,
    [hours.zone, hours.from, hours.to, hours.days ?? null, from, to],
  );
  return rows.map(({ begins, ends }) => `${text(begins)} ${text(ends)}`);
}

const text = (at: Date) => at.toISOString().replace(/:00\.000Z$/, "");

test.each<[string, Hours, string, string, string[]]>([
  [
    "the last 10 minutes of the day",
    { from: "23:50", to: "24:00", zone: "Europe/Warsaw" },
    "2026-01-10T00:00Z",
    "2026-01-12T00:00Z",
    ["2026-01-10T22:50 2026-01-10T23:00", "2026-01-11T22:50 2026-01-11T23:00"],
  ],
  [
    "over midnight, of which it names the day that it begins on",
    { from: "22:00", to: "06:00", zone: "UTC", days: ["fri"] },
    "2026-01-01T00:00Z",
    "2026-01-12T00:00Z",
    ["2026-01-02T22:00 2026-01-03T06:00", "2026-01-09T22:00 2026-01-10T06:00"],
  ],
  [
    "one that holds at the beginning",
    { from: "22:00", to: "06:00", zone: "UTC" },
    "2026-01-02T01:00Z",
    "2026-01-02T12:00Z",
    ["2026-01-01T22:00 2026-01-02T06:00"],
  ],
  [
    "the last day of the month, in a leap year too",
    { from: "00:00", to: "24:00", zone: "UTC", days: ["last"] },
    "2028-01-15T00:00Z",
    "2028-03-15T00:00Z",
    ["2028-01-31T00:00 2028-02-01T00:00", "2028-02-29T00:00 2028-03-01T00:00"],
  ],
  [
    "a 31st, in months that have one",
    { from: "10:00", to: "11:00", zone: "UTC", days: ["31"] },
    "2026-02-01T00:00Z",
    "2026-06-15T00:00Z",
    ["2026-03-31T10:00 2026-03-31T11:00", "2026-05-31T10:00 2026-05-31T11:00"],
  ],
  [
    "in spring: the hour that is skipped has no quiet hours of its own",
    { from: "02:10", to: "02:40", zone: "Europe/Warsaw" },
    "2026-03-28T12:00Z",
    "2026-03-30T12:00Z",
    ["2026-03-30T00:10 2026-03-30T00:40"],
  ],
  [
    "in spring: what begins in the skipped hour begins at the jump",
    { from: "02:30", to: "03:30", zone: "Europe/Warsaw" },
    "2026-03-28T12:00Z",
    "2026-03-29T12:00Z",
    ["2026-03-29T01:00 2026-03-29T01:30"],
  ],
  [
    "in spring: what ends in the skipped hour ends at the jump",
    { from: "01:30", to: "02:30", zone: "Europe/Warsaw" },
    "2026-03-28T12:00Z",
    "2026-03-29T12:00Z",
    ["2026-03-29T00:30 2026-03-29T01:00"],
  ],
  [
    "in autumn: a time that comes twice begins at the first and ends at the last",
    { from: "02:10", to: "02:40", zone: "Europe/Warsaw" },
    "2026-10-24T12:00Z",
    "2026-10-25T12:00Z",
    ["2026-10-25T00:10 2026-10-25T01:40"],
  ],
  [
    "half an hour of summer time",
    { from: "01:45", to: "02:15", zone: "Australia/Lord_Howe" },
    "2026-04-04T00:00Z",
    "2026-04-05T00:00Z",
    ["2026-04-04T14:45 2026-04-04T15:45"],
  ],
  [
    "midnight that is skipped",
    { from: "23:50", to: "00:10", zone: "America/Asuncion" },
    "2023-09-30T12:00Z",
    "2023-10-01T12:00Z",
    ["2023-10-01T03:50 2023-10-01T04:00"],
  ],
  [
    "a day that is skipped",
    { from: "10:00", to: "11:00", zone: "Pacific/Apia" },
    "2011-12-29T12:00Z",
    "2011-12-31T12:00Z",
    ["2011-12-29T20:00 2011-12-29T21:00", "2011-12-30T20:00 2011-12-30T21:00"],
  ],
])("quiet hours: %s", async (_, hours, from, to, expected) => {
  expect(await times(hours, from, to)).toEqual(expected);
});

const ZONES = [
  "UTC",
  "Europe/Warsaw",
  "America/New_York",
  "Australia/Lord_Howe",
  "Asia/Kathmandu",
  "America/Santiago",
  "Pacific/Apia",
  "Africa/Casablanca",
];

test("R21: at every moment the wall's clock, as another library reads it, says the same", async () => {
  const { whole } = random();
  const pad = (n: number) => String(n).padStart(2, "0");
  for (let i = 0; i < 60; i += 1) {
    const zone = ZONES[whole(0, ZONES.length - 1)] as string;
    const from = whole(0, 24 * 60 - 1);
    const length = whole(1, 23 * 60);
    const to = (from + length) % (24 * 60);
    const clock = (minute: number) => `${pad(Math.floor(minute / 60))}:${pad(minute % 60)}`;
    const hours = { from: clock(from), to: clock(to), zone };
    const start = Date.UTC(2026, whole(0, 11), whole(1, 28));
    const end = start + 3 * 86_400_000;
    const spans = await times(hours, new Date(start).toISOString(), new Date(end).toISOString());
    const parsed = spans.map((span) => span.split(" ").map((one) => Date.parse(`${one}Z`)));
    for (let at = start; at < end; at += 20 * 60_000) {
      const wall = wallMinute(at, zone);
      const isIn = from < to ? wall >= from && wall < to : wall >= from || wall < to;
      const isHeld = parsed.some(([a = 0, b = 0]) => at >= a && at < b);
      if (isIn) expect([hours, new Date(at), isHeld]).toEqual([hours, new Date(at), true]);
      // where the clock goes back, the window holds until its last end
      else if (isHeld)
        expect(isTwice(at, zone), `${JSON.stringify(hours)} at ${new Date(at).toISOString()}`).toBe(
          true,
        );
    }
  }
});

function wallMinute(at: number, timeZone: string): number {
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone,
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).formatToParts(at);
  const part = (type: string) => Number(parts.find((one) => one.type === type)?.value);
  return part("hour") * 60 + part("minute");
}

/** The clock went, or goes, back within 3 hours. */
function isTwice(at: number, zone: string): boolean {
  const offset = (t: number) =>
    (((wallMinute(t, zone) - Math.floor((t / 60_000) % 1440)) % 1440) + 1440) % 1440;
  return offset(at - 3 * 3_600_000) !== offset(at + 3 * 3_600_000);
}
