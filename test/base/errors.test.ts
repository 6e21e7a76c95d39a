import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PawlError, shown, toError } from "../../src/base/errors.ts";

describe("PawlError", () => {
  test("keeps code, data and cause, and knows its exit code", () => {
    const cause = new Error("connection refused");
    const error = new PawlError("database_unreachable", "no server", { cause, data: { port: 5 } });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: "PawlError", code: "database_unreachable", exitCode: 4 });
    expect(error.cause).toBe(cause);
    expect(error.data).toEqual({ port: 5 });
  });

  test("as JSON it shows code, message and data, and neither stack nor cause", () => {
    const error = new PawlError("unknown_queue", "queue hihg", {
      cause: new Error("secret"),
      data: { queue: "hihg" },
    });
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      code: "unknown_queue",
      message: "queue hihg",
      data: { queue: "hihg" },
    });
  });

  test("has a JSON whatever its data holds, so that `--json` can print every error", () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    const error = new PawlError("invalid_option", "bad", {
      data: { value: circle, size: 12n, a: 1 },
    });
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({
      code: "invalid_option",
      data: { a: 1 },
    });
  });

  test("without a cause it has no cause, not one that is undefined", () => {
    expect("cause" in new PawlError("lease_lost", "job 42")).toBe(false);
  });
});

describe("a value in a message", () => {
  test("is short whatever it is, and showing it never throws", () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withNullPrototype: true }), (value) => {
        expect(shown(value).length).toBeLessThanOrEqual(121);
      }),
    );
  });

  test("is its JSON where it has one", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const json = JSON.stringify(value);
        expect(shown(value)).toBe(json.length > 120 ? `${json.slice(0, 120)}…` : json);
      }),
    );
  });

  test("is readable where it has no JSON", () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    expect(shown(circle)).toBe("[object Object]");
    expect(shown(12n)).toBe("12n");
    expect(shown(undefined)).toBe("undefined");
    expect(shown(function lookUp() {})).toBe("function lookUp");
    expect(shown(() => {})).toBe("function (anonymous)");
  });
});

describe("whatever a handler throws becomes an Error:", () => {
  test("an Error stays the one it is", () => {
    const error = new TypeError("bad");
    expect(toError(error)).toBe(error);
  });

  test("a string is its message", () => {
    expect(toError("out of stock").message).toBe("out of stock");
  });

  test("anything else is shown in the message", () => {
    expect(toError(null).message).toBe("thrown: null");
    expect(toError({ status: 500 }).message).toBe('thrown: {"status":500}');
  });
});
