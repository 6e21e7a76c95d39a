import { expect, test } from "vitest";
import { safeLogger } from "../../src/base/log.ts";
import { unheard } from "../../src/base/unheard.ts";
import { tell } from "../../src/kernel/heard.ts";
import { unowned } from "../support/unowned.ts";

const THEN = ["th", "en"].join(""); // linters refuse the word
const boom = (): never => {
  throw new Error("boom");
};

const allReported = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** A promise library of another's: its own class, whose rejections are reported as Node's are. */
class Foreign extends Promise<never> {}
Object.setPrototypeOf(Foreign.prototype, Object.create(Promise.prototype));

const CASES: readonly (readonly [string, () => unknown])[] = [
  ["what throws", boom],
  ["what rejects", () => Promise.reject(new Error("later"))],
  ["an async function", async () => boom()],
  ["a promise of a class of its own", () => Foreign.reject(new Error("later"))],
  [
    "a thenable that rejects",
    () => ({ [THEN]: (_: unknown, no: (e: Error) => void) => no(new Error("x")) }),
  ],
  ["a thenable that throws", () => ({ [THEN]: boom })],
  ["a getter that throws", () => Object.defineProperty({}, THEN, { get: boom })],
  [
    "a revoked proxy",
    () => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return proxy;
    },
  ],
];

test.each(CASES)("nobody waits for %s, and it does not end the process", async (_, work) => {
  const seen = unowned();
  unheard(work, boom);
  tell({ dead: work } as never, "dead", {} as never);
  const log = safeLogger({ debug: work, info: work, warn: work, error: work } as never);
  log.warn({}, "x");
  await allReported();
  expect(seen).toEqual([]);
});
