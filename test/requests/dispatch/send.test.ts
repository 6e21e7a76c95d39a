import { jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import { silentLogger } from "../../../src/base/log.ts";
import { attemptsOf } from "../../../src/kernel/operator/sql.ts";
import type { HandlerContext } from "../../../src/kernel/task.ts";
import { Recoverable } from "../../../src/kernel/thrown.ts";
import { requestHandler } from "../../../src/requests/dispatch/handler.ts";
import { keyRing } from "../../../src/requests/dispatch/key-ring.ts";
import { checkRequest } from "../../../src/requests/dispatch/spec.ts";
import { openSender } from "../../../src/sender/sender.ts";
import { openStore } from "../../../src/store/store.ts";
import { requestVerifier } from "../../../src/webhooks/index.ts";
import { freePort } from "../../sender/local-servers.ts";
import { app, ended, failed, receiver, SECRET } from "./support.ts";

const KEY = new TextEncoder().encode(SECRET);

describe("what is sent", () => {
  test("R9: the envelope holds the body, the creation and the attempt, as JSON with every method", async () => {
    const { url, received } = await receiver([{ status: 200 }]);
    const pawl = await app();
    await pawl.work();
    const before = Math.floor(Date.now() / 1_000) - 5;
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"] as const) {
      const { id } = await pawl.request({
        method,
        url: `${url}/a?b=1`,
        body: "a.b.c",
        attempts: 7,
      });
      expect(await ended(pawl, id)).toMatchObject({ state: "done", attempt: 1 });
      const last = received.at(-1);
      expect(last).toMatchObject({ method, path: "/a?b=1" });
      expect(last?.headers["content-type"]).toBe("application/json");
      const body = JSON.parse(last?.body ?? "");
      expect(body).toEqual({
        request: "a.b.c",
        __task: {
          createdAt: expect.any(Number),
          attempt: { number: 1, limit: 7, interval: 60 },
        },
      });
      expect(body.__task.createdAt).toBeGreaterThanOrEqual(before);
      expect(body.__task.createdAt).toBeLessThanOrEqual(Math.ceil(Date.now() / 1_000) + 5);
    }
    expect(received).toHaveLength(5);
  });

  test("R9: sent plain it is the body alone, of the type that fits it", async () => {
    const { url, received } = await receiver([{ status: 200 }]);
    const pawl = await app();
    await pawl.work();
    const plain = { method: "POST", url, envelope: false } as const;
    const bodies = [
      { body: "žluťoučký\n" },
      { body: { a: [1] } },
      { body: "<a/>", contentType: "application/xml" },
      {},
    ];
    for (const body of bodies) await ended(pawl, (await pawl.request({ ...plain, ...body })).id);
    expect(received.map((one) => [one.headers["content-type"], one.body])).toEqual([
      ["text/plain; charset=utf-8", "žluťoučký\n"],
      ["application/json", '{"a":[1]}'],
      ["application/xml", "<a/>"],
      [undefined, ""],
    ]);
  });

  test("R10: a JWT is signed anew at each try, with the same jti; a public library verifies it", async () => {
    const { url, received } = await receiver([{ status: 500 }, { status: 202 }]);
    const pawl = await app();
    await pawl.work();
    const claims = { iss: "plugin", aud: "crm", cid: 5, body: { duration: 12 } };
    const sent = { claims, key: "crm", ttl: "1h" };
    const { id } = await pawl.request({ method: "PATCH", url, jwt: sent, interval: "1100ms" });
    await ended(pawl, id);
    const tokens = received.map((one) => JSON.parse(one.body).request as string);
    expect(new Set(tokens).size).toBe(2);
    const verified = await Promise.all(tokens.map((token) => jwtVerify(token, KEY)));
    for (const { payload, protectedHeader } of verified) {
      expect(protectedHeader.alg).toBe("HS512");
      expect(payload).toMatchObject(claims);
      expect(payload.jti).toBe(received[0]?.headers["idempotency-key"]);
    }
    expect(verified[1]?.payload.iat).toBeGreaterThan(verified[0]?.payload.iat ?? 0);
    const verifier = requestVerifier({ keys: SECRET, issuer: "plugin", audience: "crm" });
    const seen = await verifier.verify(received[1]?.body ?? "");
    expect([seen.claims.body, seen.task?.attempt.number]).toEqual([claims.body, 2]);
    // nothing of the key lies in the database
    const task = await pawl.task(id);
    expect(JSON.stringify(task)).not.toContain(SECRET);
  });

  test("R1: the ttl of a JWT sets the expiry unless one is given, and no token outlives the request", async () => {
    const { url, received } = await receiver([{ status: 500 }]);
    const pawl = await app();
    const spec = { method: "POST", url } as const;
    const jwt = { claims: {}, key: "crm", ttl: "1h" };
    const byTtl = await pawl.request({ ...spec, jwt });
    const expiresAt = new Date(Date.now() + 250_000);
    const byDate = await pawl.request({ ...spec, jwt, expiresAt });
    const byTime = await pawl.request({
      ...spec,
      jwt: { claims: {}, key: "crm" },
      expiresIn: "250s",
      interval: "10m", // it ends with its first try
    });
    const [first, second] = [await pawl.task(byTtl.id), await pawl.task(byDate.id)];
    expect(lifeMs(first)).toBe(3_600_000);
    expect(second?.expiresAt?.getTime()).toBe(expiresAt.getTime());
    await pawl.work();
    await Promise.all([failed(pawl, byTtl.id), failed(pawl, byDate.id), ended(pawl, byTime.id)]);
    const exps = received.map((one) => {
      const [, payload = ""] = (JSON.parse(one.body).request as string).split(".");
      return JSON.parse(Buffer.from(payload, "base64url").toString()) as { exp: number };
    });
    expect(exps).toHaveLength(3);
    const latest = Math.max(...exps.map((one) => one.exp)) * 1_000;
    expect(latest).toBeLessThanOrEqual(first?.expiresAt?.getTime() ?? 0);
    expect(exps.map((one) => one.exp)).toContain(Math.floor(expiresAt.getTime() / 1_000));
  });

  test("R1: a request in a transaction is there with its rows or not at all", async () => {
    const { url, received } = await receiver([{ status: 200 }]);
    const pawl = await app();
    const spec = { method: "POST", url, body: "b" } as const;
    await expect(
      pawl.transaction(async (tx) => {
        await pawl.request(spec, { tx });
        throw new Error("no");
      }),
    ).rejects.toThrow("no");
    const { id } = await pawl.transaction((tx) => pawl.request(spec, { tx }));
    await pawl.work();
    await ended(pawl, id);
    expect(received).toHaveLength(1);
    const { query } = pawl.store as unknown as { query: never };
    await expect(pawl.request(spec, { tx: { query } })).rejects.toMatchObject({
      code: "not_a_transaction",
    });
  });
});

describe("how it ends", () => {
  test("R8: success goes to history, with the answer", async () => {
    const headers = { "set-cookie": "session=1", "x-a": "b" };
    const { url } = await receiver([{ status: 202, headers, body: "thanks" }]);
    const pawl = await app();
    await pawl.work();
    const { id } = await pawl.request({ method: "POST", url, body: "x", success: [202] });
    const task = await ended(pawl, id);
    expect(task).toMatchObject({
      state: "done",
      result: { status: 202, response: "thanks", headers: { "set-cookie": "***", "x-a": "b" } },
    });
  });

  test("R8: a stop code, an expiry and spent attempts are dead letters, each with its reason", async () => {
    const { url, received } = await receiver((one) => ({
      status: one.path === "/stop" ? 404 : 500,
      body: "nothing here",
    }));
    const pawl = await app();
    await pawl.work();
    const spec = { method: "POST", body: "x", interval: "20ms" } as const;
    const stop = await pawl.request({ ...spec, url: `${url}/stop`, stop: [404] });
    const spent = await pawl.request({ ...spec, url: `${url}/spent`, attempts: 3 });
    const late = await pawl.request({
      ...spec,
      url: `${url}/late`,
      expiresIn: "1s",
      interval: "10s",
    });
    expect(await ended(pawl, stop.id)).toMatchObject({
      state: "dead",
      reason: "stop-code",
      attempt: 1,
      error: { data: { status: 404, body: "nothing here" } },
    });
    expect(await ended(pawl, spent.id)).toMatchObject({ reason: "attempts", attempt: 3 });
    expect(await attemptsOf(pawl.store, spent.id)).toMatchObject([
      { attempt: 1, outcome: "retry", error: { data: { status: 500 } } },
      { attempt: 2, outcome: "retry", error: { data: { status: 500 } } },
    ]);
    expect(received.filter((one) => one.path === "/spent")).toHaveLength(3);
    expect(await ended(pawl, late.id)).toMatchObject({ state: "dead" });
  });

  test("R3: a try whose next one would come after the expiry ends as expired at once", async () => {
    const { url, received } = await receiver([{ status: 500 }]);
    const pawl = await app();
    await pawl.work();
    const expiresAt = new Date(Date.now() + 3_600_000);
    const { id } = await pawl.request({
      method: "POST",
      url,
      body: "x",
      expiresAt,
      interval: "2h",
      attempts: 5,
    });
    expect(await ended(pawl, id)).toMatchObject({ state: "dead", reason: "expired", attempt: 1 });
    expect(received).toHaveLength(1);
  });

  test("R3: an expired request is never sent", async () => {
    const { url, received } = await receiver([{ status: 200 }]);
    const pawl = await app();
    const { id } = await pawl.request({
      method: "POST",
      url,
      body: "x",
      expiresAt: new Date(Date.now() - 1_000),
    });
    await pawl.work();
    expect(await ended(pawl, id)).toMatchObject({ state: "dead", reason: "expired", attempt: 0 });
    expect(received).toHaveLength(0);
  });

  test("R2: 418 stops whatever is listed", async () => {
    const { url, received } = await receiver([{ status: 418 }]);
    const pawl = await app();
    await pawl.work();
    const { id } = await pawl.request({ method: "POST", url, body: "x" });
    const task = await ended(pawl, id);
    expect(task).toMatchObject({ state: "dead", reason: "stop-code" });
    expect(task.error?.message).toContain("archived");
    expect((task.payload as { stop: unknown }).stop).toEqual([418]);
    expect(received).toHaveLength(1);
  });

  test("R3: a code that is success and stop at once is success; 410 without being listed is tried again", async () => {
    const { url } = await receiver((one) => ({ status: Number(one.path?.slice(1)) }));
    const pawl = await app();
    await pawl.work();
    const spec = { method: "POST", body: "x", attempts: 1 } as const;
    const both = await pawl.request({
      ...spec,
      url: `${url}/404`,
      success: ["2xx", 404],
      stop: ["400-499"],
    });
    const gone = await pawl.request({ ...spec, url: `${url}/410` });
    const range = await pawl.request({ ...spec, url: `${url}/503`, stop: ["500-599"] });
    expect((await ended(pawl, both.id)).state).toBe("done");
    expect((await ended(pawl, gone.id)).reason).toBe("attempts");
    expect((await ended(pawl, range.id)).reason).toBe("stop-code");
  });
});

describe("what fails", () => {
  test("R11: refused connections, timeouts and broken answers are failed attempts with a clear reason", async () => {
    const slow = await receiver(() => new Promise(() => undefined));
    const gone = `http://127.0.0.1:${await freePort()}`;
    const pawl = await app();
    await pawl.work();
    const spec = { method: "POST", body: "x", interval: "1h" } as const;
    const refused = await pawl.request({ ...spec, url: gone });
    const timeout = await pawl.request({ ...spec, url: slow.url, timeout: "200ms" });
    const tls = await pawl.request({ ...spec, url: slow.url.replace("http:", "https:") });
    expect((await failed(pawl, refused.id)).error).toMatchObject({
      message: expect.stringContaining("connection refused"),
      data: { reason: "refused", sent: "no", durationMs: expect.any(Number) },
    });
    expect((await failed(pawl, timeout.id)).error).toMatchObject({
      message: expect.stringContaining("within 200 ms"),
      data: { reason: "timeout" },
    });
    expect((await failed(pawl, tls.id)).error?.data).toMatchObject({ reason: "tls" });
  });

  test("R11: a secret that is missing uses up no attempt, is said, and the request goes out once it is there", async () => {
    const { url, received } = await receiver([{ status: 200 }]);
    process.env.PAWL_TEST_CRM = SECRET;
    const pawl = await app({ keys: { crm: { secret: { env: "PAWL_TEST_CRM" } } } });
    await pawl.work();
    delete process.env.PAWL_TEST_CRM;
    const jwt = { claims: {}, key: "crm" };
    const { id } = await pawl.request({ method: "POST", url, jwt, attempts: 1, interval: "1s" });
    const waiting = await failed(pawl, id, 0);
    expect(waiting.error?.message).toContain("PAWL_TEST_CRM");
    expect(received).toHaveLength(0);
    process.env.PAWL_TEST_CRM = SECRET;
    expect(await ended(pawl, id)).toMatchObject({ state: "done", attempt: 1 });
    delete process.env.PAWL_TEST_CRM;
  });

  test("R11: a database that is away uses up no attempt", async () => {
    const { url, received } = await receiver([{ status: 200 }]);
    const away = openStore({ url: `postgresql://127.0.0.1:${await freePort()}/gone` });
    const http = openSender({ allow: ["127.0.0.1"] });
    const handler = requestHandler({
      executor: away,
      http,
      keys: keyRing(away, new Map(), () => undefined),
    });
    const context = {
      taskId: "1",
      attempt: 1,
      createdAt: new Date(Date.now() - 10_000),
      signal: new AbortController().signal,
      log: silentLogger,
    } as HandlerContext;
    const bodies = [
      { body: "x", expiresIn: "5s" }, // over by this clock: the database is asked
      { jwt: { claims: {}, key: "an operator's" } },
    ];
    for (const body of bodies) {
      const { payload } = checkRequest({ method: "POST", url, ...body }, ["127.0.0.1"]);
      await expect(handler.run(payload, context)).rejects.toBeInstanceOf(Recoverable);
    }
    expect(received).toHaveLength(0);
    await http.close();
    await away.close();
  });

  test("R11: what the receiver asks with Retry-After makes the interval longer, never shorter", async () => {
    const { url } = await receiver((one) => ({
      status: 500,
      headers: { "retry-after": one.path === "/long" ? "3600" : "0" },
    }));
    const pawl = await app();
    await pawl.work();
    const spec = { method: "POST", body: "x", interval: "10m" } as const;
    for (const [path, waitMs] of [["/long", 3_600_000] as const, ["/short", 600_000] as const]) {
      const { id } = await pawl.request({ ...spec, url: `${url}${path}` });
      const task = await failed(pawl, id);
      const [attempt] = await attemptsOf(pawl.store, id);
      expect(task.runAt.getTime() - (attempt?.endedAt.getTime() ?? 0)).toBe(waitMs);
    }
  });

  test("R5: what an attempt keeps is bounded and still there when the receiver answers with a flood", async () => {
    const headers = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`x-h${i}`, "v".repeat(300)]),
    );
    const { url } = await receiver([{ status: 500, headers, body: "💥\"'\n".repeat(20_000) }]);
    const pawl = await app();
    await pawl.work();
    const { id } = await pawl.request({ method: "POST", url, body: "x" });
    const data = (await failed(pawl, id)).error?.data as { status: number; body: string };
    expect(data.status).toBe(500);
    expect(data.body).toContain("💥");
  });
});

function lifeMs(task: { expiresAt: Date | null; createdAt: Date } | undefined): number {
  return (task?.expiresAt?.getTime() ?? 0) - (task?.createdAt.getTime() ?? 0);
}
