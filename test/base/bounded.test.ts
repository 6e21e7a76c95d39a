import { describe, expect, test } from "vitest";
import { errorToJson } from "../../src/base/error-json.ts";
import { PawlError, printable, shown, toError } from "../../src/base/errors.ts";
import { toJson } from "../../src/base/json.ts";
import { jsonLogger } from "../../src/base/log.ts";
import { causesOf, messageOf } from "../../src/base/thrown.ts";
import { conditionText } from "../../src/outbox/operator/routes/where.ts";
import { requestBody } from "../../src/requests/dispatch/body-spec.ts";
import { keepMasked, maskSecrets } from "../../src/secrets/keep-masked.ts";
import { refuseForeignSeals, resealAll } from "../../src/secrets/seal.ts";

const boom = (): never => {
  throw new Error("a trap");
};
const TRAPS: ProxyHandler<object> = {
  get: boom,
  getPrototypeOf: boom,
  getOwnPropertyDescriptor: boom,
  has: boom,
  ownKeys: boom,
};

function nested(depth: number, more: (value: unknown) => unknown): unknown {
  let value: unknown = {};
  for (let i = 0; i < depth; i += 1) value = more(value);
  return value;
}

function cyclic(): object {
  const value: Record<string, unknown> = {};
  value.self = value;
  return value;
}

const VALUES: readonly (readonly [string, () => unknown])[] = [
  ["objects 100,000 deep", () => nested(100_000, (value) => ({ value }))],
  ["lists 100,000 deep", () => nested(100_000, (value) => [value])],
  ["a cycle", cyclic],
  [
    "200,000 fields",
    () => Object.fromEntries(Array.from({ length: 200_000 }, (_, i) => [`k${i}`, i])),
  ],
  ["a million items", () => Array.from({ length: 1_000_000 }, (_, i) => i)],
  ["a proxy that throws", () => new Proxy({}, TRAPS)],
  ["a proxy that throws, inside", () => ({ inside: new Proxy({}, TRAPS) })],
  ["a typed array of 100 MB", () => new Uint8Array(100_000_000)],
  ["a Buffer of 100 MB", () => Buffer.alloc(100_000_000)],
  ["a typed array of 100 MB, inside", () => ({ a: { b: new Float64Array(12_500_000) } })],
  ["a Map inside", () => ({ a: new Map([[1, 2]]) })],
];

/** Where nothing may fail: what a foreign value is reported with. */
const REPORTS: readonly (readonly [string, (value: never) => unknown])[] = [
  ["a message", shown],
  ["the message of what was thrown", messageOf],
  ["a cause", (value) => causesOf(Object.assign(new Error("x"), { cause: value }))],
  ["an error", toError],
  ["a recorded error", errorToJson],
  ["the data of an error", (value) => errorToJson(Object.assign(new Error("x"), { data: value }))],
  ["data for people", (value) => printable({ value })],
  [
    "an error as JSON",
    (value) => JSON.stringify(new PawlError("invalid_option", "x", { data: { value } })),
  ],
  ["a log line", (value) => jsonLogger("info", () => undefined).info({ value }, "x")],
  ["a log line's own data", (value) => jsonLogger("info", () => undefined).info(value, "x")],
];

const LIMITS = { what: "payload of job", bytesMax: 1_048_576 };

/** Where it may be refused, in words. */
const CHECKS: readonly (readonly [string, (value: never) => unknown])[] = [
  ["a payload", (value) => toJson(value, LIMITS)],
  ["a result", (value) => toJson(value, { ...LIMITS, isLossy: true })],
  ["the body of a request", (value) => requestBody({ body: value, envelope: false })],
];

/** What people and apps write, which is never wide: no deeper than it may be. */
const CONFIGS: readonly (readonly [string, (value: never) => unknown])[] = [
  ["a configuration that is shown", maskSecrets],
  ["a configuration that is edited", (value) => keepMasked(value, value, value)],
  ["the seals of a configuration", (value) => refuseForeignSeals(value, "x")],
  ["a configuration under a new key", resealAll],
];

/** Of this process's own time: alone on the machine they take half a second at most, and what is quadratic takes minutes. */
const MS_MAX = 30_000;

function timed(work: () => unknown): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1_000;
}

const isWide = (name: string) => /fields|items/.test(name);

describe.each(VALUES)("%s", (name, make) => {
  test.each(REPORTS)("is reported as %s", (_, report) => {
    const value = make() as never;
    expect(timed(() => report(value))).toBeLessThan(MS_MAX);
  });

  test.each(isWide(name) ? CHECKS : [...CHECKS, ...CONFIGS])(
    "is taken or refused as %s, at once",
    (_, check) => {
      const value = make() as never;
      let thrown: unknown;
      const ms = timed(() => {
        try {
          check(value);
        } catch (error) {
          thrown = error;
        }
      });
      expect(ms).toBeLessThan(MS_MAX);
      expect(thrown).not.toBeInstanceOf(RangeError);
      expect(thrown).not.toBeInstanceOf(TypeError);
    },
  );
});

test.each([
  ["deeper than 500 levels", nested(501, (value) => [value]), "invalid_option"],
  ["a Map", { a: new Map() }, "invalid_option"],
  ["not a number", { a: Number.NaN }, "invalid_option"],
  [
    "beyond the largest payload",
    "x"
      .repeat(64)
      .split("")
      .map(() => "y".repeat(1_048_577)),
    "payload_too_large",
  ],
] as const)("a request's body that is %s is refused as a payload is", (_, body, code) => {
  expect(() => requestBody({ body, envelope: false })).toThrow(expect.objectContaining({ code }));
});

test.each(VALUES.slice(0, 2))("a route's condition of %s is shown in part", (_, make) => {
  const where = { payload: make() };
  expect(conditionText({ where, match: null })?.length).toBeLessThan(10_000);
});
