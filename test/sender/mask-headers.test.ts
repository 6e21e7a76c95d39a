import { expect, test } from "vitest";
import { maskHeaders } from "../../src/sender/mask-headers.ts";

test.each([
  "authorization",
  "Authorization",
  "proxy-authorization",
  "cookie",
  "Set-Cookie",
  "x-api-key",
  "apikey",
  "x-amz-security-token",
  "webhook-signature",
  "x-hub-signature-256",
  "x-client-secret",
  "x-password",
  "x-session-id",
  "x-auth",
])("the value of %s is not kept", (name) => {
  expect(maskHeaders({ [name]: "hunter2" })).toEqual({ [name]: "***" });
});

test("what is no secret is kept, without control characters", () => {
  const headers = {
    "content-type": "text/plain",
    "idempotency-key": "evt_1",
    "www-authenticate": "Bearer",
    "retry-after": "5",
    server: "a\u0000b\u001b[31m",
  };
  expect(maskHeaders(headers)).toEqual({ ...headers, server: "a\ufffdb\ufffd[31m" });
});

test("the query of a redirect is masked", () => {
  expect(
    maskHeaders({ location: "https://u:p@host.example/x?code=1#f", "content-location": "/y?k=1" }),
  ).toEqual({ location: "https://host.example/x?…", "content-location": "/y?…" });
});

test("long values and many headers are cut, and the rest is counted", () => {
  const many = Object.fromEntries(
    Array.from({ length: 60 }, (_, i) => [`x-${i}`, "v".repeat(900)]),
  );
  const masked = maskHeaders(many);
  expect(Object.keys(masked)).toHaveLength(51);
  expect(masked["x-0"]).toHaveLength(500);
  expect(masked["…"]).toBe("10 more");
});
