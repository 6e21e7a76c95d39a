/** What is enqueued is what the handler gets: nothing is lost in silence on the way through JSON. */

import { describe, expect, test } from "vitest";
import { z } from "zod";
import { shown } from "../../src/base/errors.ts";
import { jsonForm, toJson } from "../../src/base/json.ts";
import { RawJson } from "../../src/base/json-text.ts";
import { payloadTexts, readEnqueue, sharedJson, tasksJson } from "../../src/queue/enqueue.ts";
import { type AnyJob, defineJob } from "../../src/queue/job.ts";

const limits = { what: 'payload of job "a"', bytesMax: 1_048_576 };
const jobWith = (input: z.ZodType): AnyJob =>
  defineJob({ name: "a", input, run: () => undefined }) as AnyJob;

class Money {
  readonly #cents = 5;
  get cents(): number {
    return this.#cents;
  }
}
class Point {
  x = 1;
}
class Decimal {
  toJSON(): string {
    return "1.50";
  }
}
const deep = (levels: number, inside: unknown = 0): unknown => {
  let value = inside;
  for (let i = 0; i < levels; i += 1) value = i % 2 === 0 ? [value] : { a: value };
  return value;
};
const ring: { self?: unknown } = {};
ring.self = { again: [ring] };
let twice: unknown = [1];
for (let i = 0; i < 60; i += 1) twice = [twice, twice];

describe("a payload", () => {
  test.each<[string, unknown, string]>([
    ["NaN", { items: [{}, { price: Number.NaN }] }, "payload.items[1].price is NaN"],
    ["Infinity", [-Infinity], "payload[0] is -Infinity"],
    ["a boxed NaN", { a: Object(Number.NaN) }, "payload.a is NaN"],
    ["undefined in a list", { a: [undefined] }, "payload.a[0] is undefined"],
    ["a hole in a list", { a: Object.assign([1], { 2: 2 }) }, "payload.a[1] is a hole"],
    ["a function", { a: { run: () => 1 } }, "payload.a.run is a function"],
    ["a symbol", { a: Symbol("s") }, "payload.a is a symbol"],
    ["a symbol as a key", { a: { [Symbol("s")]: 1 } }, "payload.a has a symbol as a key"],
    ["a bigint", { a: { "b c": [1n] } }, 'payload.a["b c"][0] is the bigint 1n'],
    ["a boxed bigint", { a: Object(1n) }, "payload.a is of the class BigInt"],
    ["a Map", { a: new Map([[1, 2]]) }, "payload.a is of the class Map"],
    ["a Set", new Set([1]), "payload is of the class Set"],
    ["a WeakMap", [new WeakMap()], "payload[0] is of the class WeakMap"],
    ["a regular expression", { a: /x/ }, "payload.a is of the class RegExp"],
    [
      "an error",
      { a: Object.assign(new TypeError("no"), { code: 1 }) },
      "payload.a is of the class TypeError",
    ],
    [
      "a promise that was not awaited",
      { a: Promise.resolve(1) },
      "payload.a is of the class Promise",
    ],
    ["bytes", { a: new Uint8Array(2) }, "payload.a is of the class Uint8Array"],
    ["64-bit integers", { a: new BigInt64Array(2) }, "payload.a is of the class BigInt64Array"],
    ["a buffer of bytes", { a: new ArrayBuffer(2) }, "payload.a is of the class ArrayBuffer"],
    [
      "parameters of a URL",
      { a: new URLSearchParams("a=1") },
      "payload.a is of the class URLSearchParams",
    ],
    [
      "an object with everything in private fields",
      { a: new Money() },
      "payload.a is of the class Money",
    ],
    ["an iterator", { a: [1].values() }, "payload.a is of the class"],
    ["an invalid Date", { a: new Date(Number.NaN) }, "payload.a is an invalid Date"],
    ["a cycle", { a: ring }, "is circular"],
  ])("R113: %s is refused, with its path", (_, value, message) => {
    expect(() => toJson(value, limits)).toThrow(
      expect.objectContaining({
        code: "payload_not_json",
        message: expect.stringContaining(message),
      }),
    );
  });

  test.each<[string, unknown, unknown]>([
    ["a Date", { a: new Date(0) }, { a: "1970-01-01T00:00:00.000Z" }],
    ["a URL", { a: new URL("https://x.example/") }, { a: "https://x.example/" }],
    ["a number class with toJSON", [new Decimal()], ["1.50"]],
    ["a Buffer", Buffer.from("a"), { type: "Buffer", data: [97] }],
    ["an object of a class", { a: new Point() }, { a: { x: 1 } }],
    ["an undefined property", { a: undefined, b: 1 }, { b: 1 }],
    ["an object without a prototype", Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
    ["boxed values", [Object(1), Object("a"), Object(false)], [1, "a", false]],
    [
      "the same part twice",
      [ring.self === undefined ? 1 : 1, [limits, limits]],
      [1, [limits, limits]],
    ],
  ])("%s passes as its JSON", (_, value, json) => {
    const { text, isSame } = jsonForm(value, limits);
    expect(JSON.parse(text)).toEqual(json);
    if (isSame) expect(value).toEqual(JSON.parse(text));
  });

  test("a key named __proto__ is data", () => {
    const value = JSON.parse('{"__proto__": {"a": 1}, "b": 2}');
    expect(toJson(value, limits)).toBe('{"__proto__":{"a":1},"b":2}');
  });

  test("R113: what is too deep or too large ends as that, whatever it is made of", () => {
    expect(toJson(deep(500), limits)).toHaveLength(JSON.stringify(deep(500)).length);
    for (const value of [deep(501), deep(100_000), { toJSON: () => deep(501) }]) {
      expect(() => toJson(value, limits)).toThrow(
        expect.objectContaining({
          code: "payload_not_json",
          message: expect.stringContaining("500 levels"),
        }),
      );
      expect(() => toJson(value, { ...limits, isLossy: true })).toThrow("500 levels");
    }
    expect(() => toJson(new RawJson(`${"[".repeat(501)}${"]".repeat(501)}`), limits)).toThrow(
      "500 levels",
    );
    expect(() => toJson(new RawJson('{"a":[1e131071]}'), limits)).toThrow("1000 digits");
    expect(() => toJson(twice, limits)).toThrow("the limit is 1048576");
    expect(() => toJson(Object.assign([], { length: 1e9 }), { ...limits, isLossy: true })).toThrow(
      "the limit",
    );
  });

  test("the limit is of the text that PostgreSQL makes of it", () => {
    const refused = (value: unknown, bytesMax: number) =>
      expect(() => toJson(value, { what: "payload", bytesMax }), shown(value));
    for (const [value, bytes] of [
      [1e300, 301],
      [-1.5e-7, 11],
      [[1, 2, { a: 1, b: [] }], 25],
    ] as const) {
      refused(value, bytes).not.toThrow();
      refused(value, bytes - 1).toThrow(`the limit is ${bytes - 1}`);
    }
  });
});

describe("an input", () => {
  test("one of many that is wrong is named by its place in the call, a single one is not", async () => {
    const job = jobWith(z.object({ n: z.number() }));
    const inputs = [...Array.from({ length: 3 }, (_, n) => ({ n })), { n: "x" }];
    await expect(payloadTexts(job, inputs, { bytesMax: 1e6, first: 1_001 })).rejects.toMatchObject({
      code: "invalid_payload",
      message: expect.stringMatching(/^task no\. 1004 of the call: job "a": .*n: .*number/),
      data: { kind: "a", input: '{"n":"x"}' },
    });
    await expect(
      payloadTexts(job, [{ n: 1 }, { n: 1n }], { bytesMax: 1e6, first: 1 }),
    ).rejects.toThrow(/^task no\. 2 of the call: .*payload of job "a"/);
    await expect(payloadTexts(job, [{ n: "x" }], { bytesMax: 1e6 })).rejects.toThrow(/^job "a": /);
  });

  test("a Date that its schema wants as a Date is refused when it is enqueued, as it will be a text", async () => {
    const job = jobWith(z.object({ at: z.date() }));
    await expect(payloadTexts(job, [{ at: new Date() }], { bytesMax: 1e6 })).rejects.toMatchObject({
      code: "invalid_payload",
      message: expect.stringMatching(/at: .*a Date is a text there.*z\.iso\.datetime\(\)/),
    });
  });

  test("what its schema makes of it is not stored: the input itself is, as JSON", async () => {
    const at = new Date(0);
    const stored = ['{"at":"1970-01-01T00:00:00.000Z"}'];
    expect(
      await payloadTexts(jobWith(z.object({ at: z.coerce.date() })), [{ at }], { bytesMax: 1e6 }),
    ).toEqual(stored);
    expect(
      await payloadTexts(
        jobWith(z.object({ at: z.iso.datetime(), n: z.number().default(1) })),
        [{ at }],
        { bytesMax: 1e6 },
      ),
    ).toEqual(stored);
  });

  test.each(["key", "lane"] as const)(
    "R113: a %s that cuts an emoji is refused before it is sent",
    (name) => {
      const title = `${"a".repeat(19)}😀`;
      const job = {
        ...jobWith(z.object({ title: z.string() })),
        [name]: ({ title: text }: { title: string }) => text.slice(0, 20),
      } as AnyJob;
      const given = { shared: sharedJson(job, {}, 1e6), options: {} };
      expect(() => tasksJson(job, [{ title }], ["{}"], given)).toThrow(
        expect.objectContaining({
          code: "invalid_option",
          message: expect.stringContaining(`expected \`${name}\``),
        }),
      );
      expect(() => tasksJson(job, [{ title: "a\0" }], ["{}"], given)).toThrow(
        "PostgreSQL can store",
      );
      expect(tasksJson(job, [{ title: "😀".repeat(10) }], ["{}"], given)).toContain(
        "😀".repeat(10),
      );
    },
  );

  test("functions of key and lane get the input as it was given", () => {
    const job = {
      ...jobWith(z.any()),
      key: ({ at }: { at: Date }) => String(at.getTime()),
    } as AnyJob;
    const given = { shared: sharedJson(job, {}, 1e6), options: {} };
    expect(tasksJson(job, [{ at: new Date(5) }], ["{}"], given)).toContain('"key":"5"');
  });

  test("meta is an object of plain data", () => {
    const job = jobWith(z.any());
    expect(() => readEnqueue(job, { meta: [1] })).toThrow("expected `meta` to be an object");
    expect(() => sharedJson(job, { meta: { at: Number.NaN } }, 1e6)).toThrow("meta.at is NaN");
  });
});
