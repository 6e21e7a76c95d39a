import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffMs } from "../../src/base/backoff.ts";

const limits = { baseMs: 20, maxMs: 1_000 };

test("it doubles from the base to the maximum", () => {
  const series = [1, 2, 3, 6, 7, 60].map((failures) => backoffMs(failures, limits, 1));
  expect(series).toEqual([20, 40, 80, 640, 1_000, 1_000]);
  expect(backoffMs(0, limits, 1)).toBe(20);
});

test("whatever the luck, it is at least half of its ceiling and never above it, after any number of failures", () => {
  fc.assert(
    fc.property(
      fc.nat(5_000),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 1, max: 100_000 }),
      (failures, luck, baseMs, maxMs) => {
        const ms = backoffMs(failures, { baseMs, maxMs }, luck);
        const ceiling = backoffMs(failures, { baseMs, maxMs }, 1);
        expect(ceiling).toBeLessThanOrEqual(maxMs);
        expect(ms).toBeLessThanOrEqual(ceiling);
        expect(ms).toBeGreaterThanOrEqual(Math.floor(ceiling / 2));
      },
    ),
  );
});
