import { decodeJwt } from "jose";
import { afterEach, describe, expect, test, vi } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { checkRequest } from "../../src/requests/dispatch/spec.ts";
import { defineKey, signForSending } from "../../src/requests/keys/index.ts";
import { openSender } from "../../src/sender/sender.ts";
import { deferred, httpServer } from "../sender/local-servers.ts";

const key = defineKey("crm", { secret: "s".repeat(64) });

describe("R10: a token is valid for at least a second when it is sent", () => {
  test.each([
    [1_000, 0],
    [1_000, 1],
    [1_000, 500],
    [1_000, 751],
    [1_000, 999],
    [1_001, 999],
    [1_999, 0],
    [60_000, 400],
  ])("ttl %i ms, signed %i ms after a full second", async (ttlMs, afterMs) => {
    const nowMs = 1_750_000_000_000 + afterMs;
    const { token, sendByMs } = await signForSending({ claims: {}, key, ttlMs, nowMs });
    const { iat = 0, exp = 0 } = decodeJwt(token);
    expect(iat).toBe(1_750_000_000);
    expect(exp * 1_000 - nowMs).toBeGreaterThanOrEqual(Math.max(ttlMs - 1_000, 1_250));
    expect(exp * 1_000 - nowMs).toBeLessThanOrEqual(Math.max(ttlMs, 2_250));
    expect(sendByMs).toBe(exp * 1_000 - 1_000);
  });

  test.each([0, 300, 999, -5_000])("%i ms before its expiry none is signed", async (leftMs) => {
    const nowMs = 1_750_000_000_000;
    const signing = signForSending({ claims: {}, key, nowMs, expiresAtMs: nowMs + leftMs });
    await expect(signing).rejects.toMatchObject({ code: "invalid_option" });
  });

  test("a request that expires with its token has time to be sent", () => {
    const jwt = { claims: {}, key: "crm", ttl: "1s" } as const;
    const { payload } = checkRequest({ method: "POST", url: "https://a.example/", jwt }, []);
    expect(payload).toMatchObject({ expiresInMs: 3_000, jwt: { ttlMs: 1_000 } });
  });
});

describe("R10: what took too long to connect", () => {
  afterEach(() => vi.useRealTimers());

  test("is not written with a token that has run out", async () => {
    const requests: string[] = [];
    const server = await httpServer((request, response) => {
      requests.push(request.url ?? "");
      response.end();
    });
    const asked = deferred<() => void>();
    let isHeld = true;
    const sender = openSender({
      allow: ["localhost"],
      lookup: (_name, _options, callback) => {
        const answer = (): void => callback(null, [{ address: "127.0.0.1", family: 4 }]);
        if (isHeld) asked.resolve(answer);
        else answer();
      },
    });
    const { port } = new URL(server.url);
    const sendByMs = Date.now() + 60_000;
    const request = { url: `http://localhost:${port}/`, method: "POST", headers: {}, body: "x" };
    const sending = sender
      .send({ ...request, timeoutMs: 60_000, sendByMs })
      .catch((error: unknown) => error);
    const answer = await asked.promise;
    vi.useFakeTimers({ toFake: ["Date"], now: sendByMs + 1 });
    answer();
    const error = (await sending) as PawlError;
    expect(error).toBeInstanceOf(PawlError);
    expect(error.data).toMatchObject({ sent: "no", reason: "timeout" });
    expect(error.message).toMatch(/expire too soon/);
    expect(requests).toEqual([]);
    vi.useRealTimers();
    isHeld = false;
    expect(await sender.send({ ...request, timeoutMs: 60_000 })).toMatchObject({ status: 200 });
    await sender.close();
    await server.close();
  });
});
