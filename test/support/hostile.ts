/** Values that foreign code may throw or answer, and that are hard to read. Made anew for each use. */

import vm from "node:vm";
import { shown } from "../../src/base/errors.ts";
import { RetryAfter } from "../../src/index.ts";

const THEN = ["th", "en"].join(""); // linters refuse the word
const boom = (): never => {
  throw new Error("a trap");
};
const TRAPS: ProxyHandler<() => never> = {
  get: boom,
  getPrototypeOf: boom,
  getOwnPropertyDescriptor: boom,
  has: boom,
  ownKeys: boom,
};

function withGetters(): Error {
  const fields = ["stack", "name", "message", "code", "data", "cause", "errors", "then", "toJSON"];
  return Object.defineProperties(
    new Error("hidden"),
    Object.fromEntries(fields.map((field) => [field, { get: boom }])),
  );
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable(new Error("gone"), {});
  revoke();
  return proxy;
}

function aggregate(): AggregateError {
  const refused = (host: string) =>
    Object.assign(new Error(`connect ECONNREFUSED ${host}`), { code: "ECONNREFUSED" });
  const many = Array.from({ length: 1_000 }, (_, n) => refused(`10.0.0.${n}`));
  return Object.assign(new AggregateError([refused("::1:80"), refused("127.0.0.1:80"), ...many]), {
    code: "ECONNREFUSED",
  });
}

function causes(depth: number): Error {
  let error = new Error("deepest");
  for (let i = 0; i < depth; i += 1) error = new Error(`level ${i}`, { cause: error });
  return error;
}

function cyclic(): Error {
  const error = new Error("round");
  return Object.assign(error, { cause: error, self: error });
}

function nested(depth: number): unknown {
  let value: unknown = {};
  for (let i = 0; i < depth; i += 1) value = { value };
  return value;
}

class Named extends Error {
  override get name(): string {
    return boom();
  }
}

class Late extends RetryAfter {
  override readonly delayMs: never;
  constructor(delayMs: unknown) {
    super(1, "later");
    this.delayMs = delayMs as never;
  }
}

const message = (value: unknown) => Object.assign(new Error("x"), { message: value });

/** name, how it is made, what its message must hold */
export const HOSTILE: readonly (readonly [string, () => unknown, string])[] = [
  ["a message that is an object", () => message({ error: "no stock" }), '{"error":"no stock"}'],
  ["a message that is a number", () => message(42), "42"],
  ["a message that is null", () => message(null), "null"],
  ["a message that is a symbol", () => message(Symbol("s")), "Symbol(s)"],
  ["a message that is a cycle", () => message(cyclic()), ""],
  ["a message of 10 MB", () => new Error("y".repeat(10_000_000)), "yyyy"],
  ["a message cut in a pair", () => new Error(`${"z".repeat(7_999)}😀`), "zzz"],
  ["a stack that is an object", () => Object.assign(new Error("s"), { stack: {} }), "s"],
  ["a name that is an array", () => Object.assign(new Error("n"), { name: ["N"] }), "n"],
  ["getters that throw", withGetters, ""],
  ["a name getter that throws", () => new Named("named"), "named"],
  ["a proxy", () => new Proxy(new Error("proxied"), {}), "proxied"],
  ["a proxy that throws", () => new Proxy(new Error("hidden"), TRAPS as ProxyHandler<object>), ""],
  ["a revoked proxy", revoked, ""],
  ["a function proxy", () => new Proxy(boom, TRAPS), "function"],
  ["an error of another realm", () => vm.runInNewContext("new TypeError('abroad')"), "abroad"],
  ["an object without prototype", () => Object.create(null), "thrown: {}"],
  ["toString that throws", () => ({ toString: boom, toJSON: boom, valueOf: boom }), "thrown: "],
  [
    "a tag that throws",
    () => Object.defineProperty({ n: 1n }, Symbol.toStringTag, { get: boom }),
    "",
  ],
  ["a symbol", () => Symbol("bare"), "Symbol(bare)"],
  ["a function", () => boom, "function boom"],
  ["a thenable that throws", () => ({ [THEN]: boom }), "thrown: {}"],
  ["an aggregate", aggregate, "connect ECONNREFUSED ::1:80; connect ECONNREFUSED 127.0.0.1:80"],
  ["a frozen error", () => Object.freeze(new Error("frozen")), "frozen"],
  ["causes without end", () => causes(10_000), "level 9999"],
  ["a cycle of causes", cyclic, "round"],
  ["nested data", () => Object.assign(new Error("deep"), { data: nested(20_000) }), "deep"],
  ["a nested value", () => nested(20_000), "thrown: "],
  ["a million parts", () => Array.from({ length: 300_000 }, () => "part"), 'thrown: ["part"'],
  ...[Number.NaN, Infinity, -1, "abc", 1e300, {}, 1n, null].map(
    (delay) => [`a delay of ${shown(delay)}`, () => new Late(delay), "later"] as const,
  ),
  ["a delay of half a ms", () => new Late(0.4), "later"],
];
