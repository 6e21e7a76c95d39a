import { expect, test } from "vitest";
import { parseRetryAfter, RETRY_AFTER_MS_MAX } from "../../src/sender/retry-after.ts";

const NOW = Date.UTC(1994, 10, 6, 8, 49, 37);

test.each([
  ["0", 0],
  ["120", 120_000],
  [" 5 ", 5_000],
  ["86400", RETRY_AFTER_MS_MAX],
  ["86401", RETRY_AFTER_MS_MAX],
  ["9".repeat(400), RETRY_AFTER_MS_MAX],
  ["Sun, 06 Nov 1994 08:49:37 GMT", 0],
  ["Sun, 06 Nov 1994 08:50:37 GMT", 60_000],
  ["Sunday, 06-Nov-94 08:50:37 GMT", 60_000],
  ["Sun Nov  6 08:50:37 1994", 60_000],
  ["Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_MS_MAX],
])("Retry-After %j is a wait of %d ms", (value, expected) => {
  expect(parseRetryAfter(value, NOW)).toBe(expected);
});

test.each([
  [undefined],
  [""],
  ["-1"],
  ["1.5"],
  ["1e3"],
  ["0x10"],
  ["soon"],
  ["Sun, 06 Nov 1994 08:49:36 GMT"],
  ["Xyz, 99 Nov 1994 08:49:37 GMT"],
  ["1994-11-06T08:50:37Z"],
  ["120, 60"],
])("Retry-After %j says nothing", (value) => {
  expect(parseRetryAfter(value, NOW)).toBeUndefined();
});
