import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorToJson } from "../../src/base/error-json.ts";
import { toJson } from "../../src/base/json.ts";
import { freshStore } from "../support/database.ts";

const limits = { what: 'payload of job "a"', bytesMax: 1_000 };

describe("what is sent as a payload", () => {
  test.each([
    ["a bigint", { n: 1n }],
    ["\\u0000", "a\u0000b"],
    ["\\u0000 in a key", { "\u0000": 1 }],
    ["\\u0000 after a backslash", "\\\u0000"],
    ["half a surrogate pair", "\ud800"],
    ["the other half", { deep: ["\udc00"] }],
  ])("%s is refused", (_, value) => {
    expect(() => toJson(value, limits)).toThrow(
      expect.objectContaining({
        code: "payload_not_json",
        message: expect.stringContaining('payload of job "a"'),
      }),
    );
  });

  test("a cycle is refused with what to do", () => {
    const ring: unknown[] = [];
    ring.push(ring);
    expect(() => toJson(ring, limits)).toThrow("break cycles");
  });

  test("text that only looks like an escape passes", () => {
    for (const text of ["\\u0000", "\\\\ud800", "C:\\udc00", "😀"]) {
      expect(JSON.parse(toJson(text, limits))).toBe(text);
    }
    expect(toJson(undefined, limits)).toBe("null");
  });

  test("the limit counts bytes of UTF-8, not characters", () => {
    expect(toJson("x".repeat(998), limits)).toHaveLength(1_000);
    expect(() => toJson("x".repeat(999), limits)).toThrow("1001 bytes, the limit is 1000");
    expect(toJson("€".repeat(332), limits)).toHaveLength(334);
    expect(() => toJson("€".repeat(333), limits)).toThrow(
      expect.objectContaining({
        code: "payload_too_large",
        data: { bytes: 1_001, bytesMax: 1_000 },
      }),
    );
  });

  test("whatever passes can be stored as jsonb and comes back the same", async () => {
    const store = await freshStore();
    const passes = (value: unknown) => {
      try {
        return [toJson(value, { what: "value", bytesMax: 100_000 })];
      } catch {
        return [];
      }
    };
    const value = fc.jsonValue({ maxDepth: 3, noUnicodeString: false });
    const text = fc.string({
      unit: fc.constantFrom("\\", "u", "0", "\u0000", "\ud800", "\udc00", '"', "d", "8"),
    });
    const values = fc.array(fc.oneof(value, text), { minLength: 20, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(values, async (all) => {
        const texts = all.flatMap(passes);
        const rows = await store.rows<{ back: unknown }>(
          "select t::jsonb as back from unnest($1::text[]) with ordinality u (t, n) order by n",
          [texts],
        );
        const backs = rows.map((row) => JSON.stringify(row.back));
        expect(backs.map((one) => JSON.parse(one))).toEqual(texts.map((one) => JSON.parse(one)));
      }),
      { numRuns: 30 },
    );
  });
});

describe("what was thrown", () => {
  test("name, message, code, data and cause are kept", () => {
    const error = Object.assign(new TypeError("no", { cause: new Error("why") }), {
      code: "E_NO",
      data: { n: 1 },
    });
    expect(errorToJson(error)).toMatchObject({
      name: "TypeError",
      message: "no",
      code: "E_NO",
      data: { n: 1 },
      cause: "why",
      stack: expect.stringContaining("json.test.ts"),
    });
  });

  test("anything at all can be stored, and is bounded", async () => {
    const store = await freshStore();
    const ring: Record<string, unknown> = {};
    ring.ring = ring;
    const all: unknown[] = [
      null,
      undefined,
      "text",
      5n,
      Symbol("s"),
      () => 1,
      ring,
      new Error("a\u0000b\ud800"),
      new Error("x".repeat(100_000)),
      Object.assign(new Error("data"), { data: { n: 1n }, code: "\u0000" }),
      Object.assign(new Error("cause"), { cause: ring }),
    ];
    for (const thrown of all) {
      const json = JSON.stringify(errorToJson(thrown));
      expect(json.length).toBeLessThan(20_000);
      await store.rows("select $1::jsonb", [json]);
    }
  });
});
