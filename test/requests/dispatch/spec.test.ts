import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { PawlError } from "../../../src/base/errors.ts";
import { defineApp } from "../../../src/index.ts";
import { includesStatus, statusCodes, stopCodes } from "../../../src/requests/dispatch/codes.ts";
import { verdictOf } from "../../../src/requests/dispatch/judge.ts";
import { readPayload } from "../../../src/requests/dispatch/payload.ts";
import { requestsBehaviour, requestsLimit } from "../../../src/requests/dispatch/queue.ts";
import { checkRequest, type RequestSpec } from "../../../src/requests/dispatch/spec.ts";

const SPEC = { method: "POST", url: "https://crm.example/a", body: "x" } as const;

function check(spec: Partial<Record<keyof RequestSpec, unknown>>) {
  return checkRequest({ ...SPEC, ...spec } as RequestSpec, []).payload;
}

function refusal(run: () => unknown): PawlError {
  try {
    run();
  } catch (error) {
    return error as PawlError;
  }
  throw new Error("it was taken");
}

describe("what is refused at the call", () => {
  const cases: [field: string, spec: Partial<Record<keyof RequestSpec, unknown>>][] = [
    ["method", { method: "HEAD" }],
    ["method", { method: "patch" }],
    ["method", { method: undefined }],
    ["url", { url: "crm.example/a" }],
    ["url", { url: "ftp://crm.example/a" }],
    ["url", { url: "https://user:pw@crm.example/a" }],
    ["url", { url: 7 }],
    ["url", { url: `https://crm.example/${"a".repeat(9_000)}` }],
    ["body", { body: undefined }],
    ["body", { body: { a: 1 } }],
    ["body", { body: 1n, envelope: false }],
    ["jwt", { jwt: { claims: {}, key: "k" } }],
    ["jwt.key", { body: undefined, jwt: { claims: {} } }],
    ["jwt.ttl", { body: undefined, jwt: { claims: {}, key: "k", ttl: "10ms" } }],
    ["exp", { body: undefined, jwt: { claims: { exp: 1 }, key: "k" } }],
    ["envelope", { envelope: "no" }],
    ["contentType", { contentType: "text/plain" }],
    ["contentType", { contentType: "text\r\nx: y", envelope: false }],
    ["success", { success: [] }],
    ["success", { success: 202 }],
    ["success", { success: [99] }],
    ["success", { success: [600] }],
    ["success", { success: ["2x"] }],
    ["success", { success: ["300-200"] }],
    ["stop", { stop: [404.5] }],
    ["stop", { stop: ["6xx"] }],
    ["stop", { stop: [null] }],
    ["expiresAt", { expiresAt: 1_700_000_000 }],
    ["expiresAt", { expiresAt: new Date(Number.NaN) }],
    ["expiresIn", { expiresIn: "0s" }],
    ["expiresIn", { expiresIn: "1h", expiresAt: new Date() }],
    ["attempts", { attempts: 0 }],
    ["attempts", { attempts: 32_001 }],
    ["interval", { interval: "soon" }],
    ["timeout", { timeout: "11m" }],
    ["runAt", { runAt: "now" }],
    ["tenant.company", { tenant: { company: "" } }],
    ["tenant.plugin", { tenant: { plugin: { id: 1 } } }],
    ["retries", { retries: 3 } as never],
  ];
  test.each(cases)("R1: a wrong `%s` is refused and named: %o", (field, spec) => {
    const error = refusal(() => check(spec));
    expect(["invalid_option", "invalid_url"]).toContain(error.code);
    expect([error.data.option, error.message]).toEqual([field, expect.stringContaining(field)]);
    expect(error.message).not.toContain("pw");
  });

  test("R1: a private host is refused at the call unless the app permits it", () => {
    const spec = { ...SPEC, url: "http://127.0.0.1/a" } as const;
    expect(refusal(() => checkRequest(spec, [])).code).toBe("address_forbidden");
    expect(checkRequest(spec, ["127.0.0.1"]).payload.host).toBe("127.0.0.1");
  });

  test("the app's options are checked, and its queue is not taken by another", () => {
    expect(refusal(() => defineApp({ requests: { perHost: 0 } })).message).toContain("perHost");
    expect(refusal(() => defineApp({ requests: { limit: 3 } as never })).code).toBe(
      "invalid_option",
    );
    expect(refusal(() => defineApp({ queues: { requests: {} } })).message).toContain("requests");
    expect(refusal(() => defineApp({ keys: { crm: { secret: "short" } } })).message).not.toContain(
      "short",
    );
  });
});

describe("codes", () => {
  test("R2: single codes and ranges, in any spelling", () => {
    const codes = statusCodes([202, "204", "3xx", "4XX", "500-599", 202], "success");
    expect(codes).toEqual([202, 204, "3xx", "4xx", "500-599"]);
    const included = [200, 202, 204, 300, 399, 418, 500, 599].filter((status) =>
      includesStatus(codes, status),
    );
    expect(included).toEqual([202, 204, 300, 399, 418, 500, 599]);
  });

  test("R2: 418 is a stop code once, also when it is listed and when a payload is read again", () => {
    expect(stopCodes([404], "stop")).toEqual([418, 404]);
    expect(stopCodes([418, "418", 410], "stop")).toEqual([418, 410]);
    const payload = check({ stop: [410] });
    expect(readPayload(JSON.parse(JSON.stringify(payload))).stop).toEqual([418, 410]);
    expect(readPayload({ ...payload, stop: [] }).stop).toEqual([418]);
  });

  test("R3: success goes before stop, stop before retry", () => {
    const codes = { success: ["2xx", 404], stop: [418, "4xx"] };
    const verdicts = [200, 404, 418, 410, 500, 301].map((status) => verdictOf(status, codes));
    expect(verdicts).toEqual(["success", "success", "stop", "stop", "retry", "retry"]);
  });
});

describe("attempts and times", () => {
  test("R4: attempts are the time to the expiry divided by the interval, at least 1; without expiry 1440", () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    const attempts = (spec: Parameters<typeof check>[0]) => check(spec).attempts;
    const inMs = (ms: number) => new Date(Date.now() + ms);
    expect(attempts({})).toBe(1_440);
    expect(attempts({ interval: "10s" })).toBe(1_440);
    expect(attempts({ expiresIn: "24h" })).toBe(1_440);
    expect(attempts({ expiresAt: inMs(86_400_000) })).toBe(1_440);
    expect(attempts({ expiresIn: "300s", interval: "10s" })).toBe(30);
    expect(attempts({ expiresAt: inMs(300_000), interval: "10s" })).toBe(30);
    expect(attempts({ expiresAt: new Date(Math.floor(Date.now() / 1_000 + 86_400) * 1_000) })).toBe(
      1_440,
    );
    expect(attempts({ expiresIn: "299s", interval: "10s" })).toBe(29);
    expect(attempts({ expiresIn: "90s" })).toBe(1);
    expect(attempts({ expiresIn: "5s" })).toBe(1);
    expect(attempts({ expiresAt: inMs(-5_000) })).toBe(1);
    expect(attempts({ expiresIn: "1s", interval: "100ms" })).toBe(10);
    expect(attempts({ expiresAt: inMs(7_200_000), runAt: inMs(3_600_000) })).toBe(60);
    expect(attempts({ expiresIn: "10d", interval: "1s" })).toBe(32_000);
    expect(attempts({ expiresIn: "24h", attempts: 3 })).toBe(3);
  });

  test("R4: interval and timeout are 60 s and 30 s unless given", () => {
    expect(check({})).toMatchObject({ intervalMs: 60_000, timeoutMs: 30_000, envelope: true });
    expect(check({ interval: "10s", timeout: 500 })).toMatchObject({
      intervalMs: 10_000,
      timeoutMs: 500,
    });
  });

  test("R6: the limit is 100, per host 10, with a breaker; the variable goes before the option", () => {
    const behaviour = requestsBehaviour({});
    expect(behaviour).toMatchObject({ concurrency: 100, kindConcurrency: 10 });
    expect(behaviour.breaker).not.toBeNull();
    expect(requestsBehaviour({ breaker: false, perHost: 3, concurrency: 7 })).toMatchObject({
      breaker: null,
      kindConcurrency: 3,
      concurrency: 7,
    });
    try {
      process.env.PAWL_REQUESTS_LIMIT = "25";
      expect(requestsLimit(behaviour).concurrency).toBe(25);
      process.env.PAWL_REQUESTS_LIMIT = "many";
      expect(refusal(() => requestsLimit(behaviour)).code).toBe("invalid_environment");
    } finally {
      delete process.env.PAWL_REQUESTS_LIMIT;
    }
    expect(requestsLimit(behaviour).concurrency).toBe(100);
  });
});

test("a payload that was written by hand and cannot be used says which field", () => {
  const good = check({});
  for (const [name, value] of Object.entries({
    method: "HEAD",
    url: "x",
    body: 7,
    attempts: 0,
    intervalMs: null,
    success: ["x"],
    jwt: {},
  })) {
    expect(() => readPayload({ ...good, [name]: value })).toThrow(name);
  }
  for (const value of [null, 1, "x", [], {}]) expect(() => readPayload(value)).toThrow("payload");
});
