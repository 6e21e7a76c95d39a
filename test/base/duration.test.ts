import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { durationMs, showDuration } from "../../src/base/duration.ts";
import { PawlError } from "../../src/base/errors.ts";

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

describe("a duration", () => {
  test.each([
    ["500ms", 500],
    ["90s", 90_000],
    ["1h30m", 5_400_000],
    ["1.5h", 5_400_000],
    ["1h 30m", 5_400_000],
    [" 7 d ", 604_800_000],
    ["2w", 1_209_600_000],
    ["0s", 0],
    [250, 250],
    [0, 0],
    [1.6, 2],
  ])("%j is %d milliseconds", (value, ms) => {
    expect(durationMs(value, "delay")).toBe(ms);
  });

  test("is the sum of its parts, in whatever order", () => {
    const unit = fc.constantFrom(...Object.entries(UNITS));
    const parts = fc.array(fc.tuple(fc.nat(100), unit), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(parts, (list) => {
        const text = list.map(([count, [name]]) => `${count}${name}`).join("");
        const sum = list.reduce((total, [count, [, ms]]) => total + count * ms, 0);
        expect(durationMs(text, "delay")).toBe(sum);
      }),
    );
  });

  test.each([
    "",
    " ",
    "90",
    "s",
    "-5s",
    "5 parsecs",
    "1h-",
    "1e3s",
    "tomorrow",
    -1,
    Number.NaN,
    Infinity,
  ])("%j is refused, and the error names the option and the value", (value) => {
    expect(() => durationMs(value, "retry.delay")).toThrow(
      expect.objectContaining({ code: "invalid_option", exitCode: 2 }),
    );
    expect(() => durationMs(value, "retry.delay")).toThrow(/`retry\.delay`.*got /);
  });

  test("any string is a duration from 0 up or an `invalid_option`, never something else", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9.smhdw ]{0,20}$/)), (text) => {
        try {
          const ms = durationMs(text, "delay");
          expect(Number.isInteger(ms) && ms >= 0).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(PawlError);
          expect(error).toMatchObject({ code: "invalid_option", data: { option: "delay" } });
        }
      }),
    );
  });
});

describe("a duration for people", () => {
  test.each([
    [40, "40ms"],
    [2_500, "2.5s"],
    [61_000, "1m 1s"],
    [5_400_000, "1h 30m"],
    [90_000_000, "1d 1h"],
  ])("%d ms is %s", (ms, text) => {
    expect(showDuration(ms)).toBe(text);
  });

  test("never shows a smaller unit that is full, such as 60 seconds", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), (ms) => {
        expect(showDuration(ms)).not.toMatch(/^1000ms$|\b60s$|\b60m$|\b24h$/);
      }),
      { examples: [[999.9], [59_999], [119_999], [3_599_999], [86_399_999]] },
    );
  });

  test("can be read back as a duration that it would show alike", () => {
    fc.assert(
      fc.property(fc.nat(1e9), (ms) => {
        const text = showDuration(ms);
        expect(showDuration(durationMs(text, "shown"))).toBe(text);
      }),
    );
  });
});
