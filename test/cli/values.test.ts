import { expect, test } from "vitest";
import {
  aggregate,
  duration,
  eventId,
  likePattern,
  nameList,
  taskId,
} from "../../src/cli/values.ts";

test("bare numbers on the command line are seconds, units are kept", () => {
  const read = duration("--grace", 0);
  expect(["30", "1.5", "500ms", "1h30m", "0"].map(read)).toEqual([
    30_000, 1_500, 500, 5_400_000, 0,
  ]);
});

test("a duration beyond what a timer can wait is refused, as it would be over at once", () => {
  expect(() => duration("--time-limit", 1)("25d")).toThrow(/to 24 days/);
});

test("an id is read as PostgreSQL reads it", () => {
  expect(taskId("007")).toBe("7");
  expect(taskId("9223372036854775807")).toBe("9223372036854775807");
  expect(eventId("019A0B6E-2F31-7C55-9D0A-3F1B8E6A4C21")).toBe(
    "019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21",
  );
});

test("names, aggregates and patterns are taken apart", () => {
  expect(nameList("--queues")("high, low,high")).toEqual(["high", "low"]);
  expect(aggregate("order:a:1")).toEqual(["order", "a:1"]);
  expect(likePattern("order_line.*")).toBe("order\\_line.%");
});
