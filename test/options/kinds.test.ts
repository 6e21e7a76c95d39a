import { describe, expect, test } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { nullIsNone, readOptions, withDefault } from "../../src/options/field.ts";
import {
  choice,
  duration,
  end,
  eventId,
  eventPattern,
  integer,
  name,
  names,
  numberId,
} from "../../src/options/kinds.ts";
import { group, list, object, several } from "../../src/options/parts.ts";
import { aggregate } from "../../src/outbox/event-fields.ts";

const UNTIL = { label: "--until", option: "--until" };

test("a bare number on the command line, milliseconds in code, is refused with both readings; 0 is 0", () => {
  const read = (text: string) => duration({ help: "grace" }).readTyped(text, UNTIL);
  expect(["500ms", "1h30m", "0"].map(read)).toEqual([500, 5_400_000, 0]);
  for (const text of ["30", "1.5"]) {
    const both = `write ${text}s for seconds or ${text}ms for milliseconds`;
    expect(() => read(text)).toThrow(both);
    expect(() => end("until").readTyped(text, UNTIL)).toThrow(both);
  }
});

test("a duration beyond what a timer can wait is refused, as it would be over at once", () => {
  expect(() => duration({ help: "limit", minMs: 1 }).readTyped("25d", UNTIL)).toThrow(
    "a duration from 1ms to 24d",
  );
});

test("an id is read as PostgreSQL reads it", () => {
  const read = (text: string) => numberId("id").readTyped(text, UNTIL);
  expect(read("007")).toBe("7");
  expect(read("9223372036854775807")).toBe("9223372036854775807");
  expect(eventId("id").readTyped("019A0B6E-2F31-7C55-9D0A-3F1B8E6A4C21", UNTIL)).toBe(
    "019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21",
  );
});

test("names, aggregates and patterns are taken apart", () => {
  expect(names("queues").readTyped("high, low,high", UNTIL)).toEqual(["high", "low"]);
  expect(aggregate("about").readTyped("order:a:1", UNTIL)).toEqual(["order", "a:1"]);
  expect(eventPattern("name").readTyped("order_line.*", UNTIL)).toBe("order\\_line.%");
});

test("a list names the one of its values that is wrong", () => {
  const fields = { roles: list(choice(["worker", "loader"])) };
  expect(readOptions("work", fields, { roles: ["loader", "loader"] })).toEqual({
    roles: ["loader", "loader"],
  });
  expect(() => readOptions("work", fields, { roles: ["worker", "lader"] })).toThrow(
    'work: expected `roles[1]` to be one of worker, loader, got "lader"; did you mean "loader"?',
  );
  for (const none of [[], "worker", null])
    expect(() => readOptions("work", fields, { roles: none })).toThrow("`roles` to be a list of ");
});

test("the options of an option are read, filled in and refused under its name", () => {
  const rate = group("rate", {
    limit: integer({ help: "starts", max: 10 }),
    per: withDefault("1s", duration({ help: "time" })),
  });
  const read = (given: unknown) => readOptions("queues.high", { rate }, given);
  expect(read({ rate: { limit: 5 } })).toEqual({ rate: { limit: 5, per: 1_000 } });
  expect(read({})).toEqual({});
  expect(() => read({ rate: { limt: 5 } })).toThrow(
    'queues.high.rate: no option `limt`; did you mean "limit"?',
  );
  expect(() => read({ rate: { limit: 11 } })).toThrow(
    "queues.high: expected `rate.limit` to be an integer from 1 to 10, got 11",
  );
  for (const wrong of ["5/s", 5, null, [], new Map()])
    expect(() => read({ rate: wrong })).toThrow(PawlError);
});

describe("values that are hard to look at", () => {
  const place = { label: "`x`", option: "x" };
  const refusal = (read: () => unknown) => {
    try {
      return read();
    } catch (error) {
      return error;
    }
  };

  test.each([
    ["an object without a prototype", Object.create(null)],
    ["one whose toString is a number", JSON.parse('{"toString":1}')],
    ["a symbol", Symbol("on")],
  ])("a choice refuses %s in its own words", (_what, given) => {
    const one = choice(["on", "off"], "either", "state");
    expect(refusal(() => one.read(given, place))).toMatchObject({ code: "invalid_option" });
  });

  test.each([
    ["Headers", new Headers({ authorization: "x" })],
    ["a Map", new Map([["a", 1]])],
    ["a list", ["a"]],
  ])("an object is no %s, which would count as empty", (_what, given) => {
    expect(refusal(() => object("headers").read(given, place))).toMatchObject({
      code: "invalid_option",
    });
  });

  test("a hole in a list is a value that is missing", () => {
    const holes: string[] = [];
    holes[1] = "a";
    expect(refusal(() => list(name("one")).read(holes, place))).toMatchObject({
      code: "invalid_option",
    });
    expect(refusal(() => several(name("one")).read(holes, place))).toMatchObject({
      code: "invalid_option",
    });
  });

  test("null counts as left out where rows of a database have it", () => {
    const fields = {
      key: nullIsNone(name("key")),
      meta: nullIsNone(withDefault({}, object("meta"))),
    };
    expect(readOptions("call", fields, { key: null, meta: null })).toEqual({
      key: undefined,
      meta: {},
    });
  });
});
