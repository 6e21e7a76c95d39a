import { describe, expect, test } from "vitest";
import {
  LOCAL_KINDS,
  parseScope,
  queueScope,
  scopeText,
  tasksOfScope,
} from "../../src/base/scope.ts";

describe("scopes", () => {
  test.each([
    ["all", "all", {}],
    ["queue:low", "queue:low", { queue: "low" }],
    ["queue:a:b", "queue:a:b", { queue: "a:b" }],
    ["destination:erp", "destination:erp", { queue: "destination:erp" }],
    ["queue:destination:erp", "destination:erp", { queue: "destination:erp" }],
    ["queue:destination:", "queue:destination:", { queue: "destination:" }],
    ["source:orders", "source:orders", {}],
    // a queue may have such a name: it is no source
    ["queue:source:orders", "queue:source:orders", { queue: "source:orders" }],
    ["kind:send:mail", "kind:send:mail", { kind: "send:mail" }],
    ["process:order", "process:order", { queue: "processes", kind: "order" }],
    ["queue:process:order", "queue:process:order", { queue: "process:order" }],
    ["route:3", "route:3", {}],
    ["command:import", "command:import", { queue: "commands", kind: "import" }],
  ])("R103a: %s is printed as %s, and its tasks are %j", (text, printed, held) => {
    const scope = parseScope(text);
    expect(scope && scopeText(scope)).toBe(printed);
    expect(tasksOfScope(text)).toEqual(held);
    const { queue, kind } = tasksOfScope(text);
    if (queue !== undefined && kind === undefined) expect(queueScope(queue)).toBe(printed);
  });

  test.each([
    "",
    "low",
    "queue:",
    "queue",
    "ALL",
    "toString:x",
    "constructor:x",
    "process:",
    "step:x",
    " all",
  ])("%j names none", (text) => {
    expect(parseScope(text)).toBeUndefined();
    expect(tasksOfScope(text)).toEqual({});
  });

  test("a route is held for the whole fleet only", () => {
    expect(LOCAL_KINDS).toEqual([
      "queue",
      "kind",
      "process",
      "destination",
      "source",
      "schedule",
      "command",
      "group",
    ]);
  });
});
