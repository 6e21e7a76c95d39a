import { describe, expect, test } from "vitest";
import {
  LOCAL_KINDS,
  parseScope,
  queueOfScope,
  queueScope,
  scopeText,
} from "../../src/base/scope.ts";

describe("scopes", () => {
  test.each([
    ["all", "all", undefined],
    ["queue:low", "queue:low", "low"],
    ["queue:a:b", "queue:a:b", "a:b"],
    ["destination:erp", "destination:erp", "destination:erp"],
    ["queue:destination:erp", "destination:erp", "destination:erp"],
    ["queue:destination:", "queue:destination:", "destination:"],
    ["source:orders", "source:orders", undefined],
    // a queue may have such a name: it is no source
    ["queue:source:orders", "queue:source:orders", "source:orders"],
    ["route:3", "route:3", undefined],
  ])("R103a: %s is printed as %s, and its queue is %s", (text, printed, queue) => {
    const scope = parseScope(text);
    expect(scope && scopeText(scope)).toBe(printed);
    expect(queueOfScope(text)).toBe(queue);
    if (queue !== undefined) expect(queueScope(queue)).toBe(printed);
  });

  test.each([
    "",
    "low",
    "queue:",
    "queue",
    "ALL",
    "toString:x",
    "constructor:x",
    "process:x",
    " all",
  ])("%j names none", (text) => {
    expect(parseScope(text)).toBeUndefined();
    expect(queueOfScope(text)).toBeUndefined();
  });

  test("a route is held for the whole fleet only", () => {
    expect(LOCAL_KINDS).toEqual(["queue", "destination", "source"]);
  });
});
