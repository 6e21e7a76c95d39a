import { SignJWT } from "jose";
import { expect, test } from "vitest";
import type { Pawl, RequestSpec } from "../../../src/index.ts";
import type { RequestPayload } from "../../../src/requests/dispatch/payload.ts";
import { movableClock } from "../../support/clock.ts";
import { LONG_LEASE } from "../../support/kernel.ts";
import { until } from "../../support/until.ts";
import { app, ended, failed, receiver, SECRET } from "./support.ts";

const KEY = new TextEncoder().encode(SECRET);
const COMPANY = 5;

/** As the document's plugins make it: the token is finished before the request is. */
function token(body: unknown, ttlS: number): Promise<string> {
  return new SignJWT({ cid: COMPANY, plugin: { alias: "pbx", id: 1 }, body: body as never })
    .setProtectedHeader({ alg: "HS512" })
    .setIssuer("pbx")
    .setExpirationTime(Math.floor(Date.now() / 1_000) + ttlS)
    .sign(KEY);
}

/** The clock is not moved: a turn that has found its worker's lease good may claim after that, and would lose the try. */
async function makeDue(pawl: Pawl): Promise<void> {
  await pawl.store.rows("update pawl.task set run_at = pawl.now() where state = 'scheduled'");
}

const unixS = () => Math.floor(Date.now() / 1_000);

test("R12: CDR records of a PBX: PATCH to the cluster's URI, 24 h, 202, 1440 attempts of a minute", async () => {
  const { url, received } = await receiver([{ status: 503 }, { status: 202 }]);
  const pawl = await app();
  await pawl.work();
  const uri = `${url}/companies/${COMPANY}/CRM/plugin/pbx/cdr`;
  const ttl = 60 * 60 * 24;
  const body = await token([{ callId: "c1", duration: 42 }], ttl);
  const request: RequestSpec = {
    method: "PATCH",
    url: uri,
    body,
    expiresAt: new Date((unixS() + ttl) * 1_000),
    success: [202],
    tenant: { company: COMPANY, plugin: "pbx-1" },
  };
  const { id } = await pawl.request(request);
  const task = await failed(pawl, id);
  const { attempts, intervalMs, timeoutMs, stop } = task.payload as RequestPayload;
  expect({ attempts, intervalMs, timeoutMs, stop }).toEqual({
    attempts: 1_440,
    intervalMs: 60_000,
    timeoutMs: 30_000,
    stop: [418],
  });
  await makeDue(pawl);
  expect(await ended(pawl, id)).toMatchObject({ state: "done", attempt: 2 });
  expect(received[0]).toMatchObject({ method: "PATCH", path: "/companies/5/CRM/plugin/pbx/cdr" });
  expect(JSON.parse(received[1]?.body ?? "")).toMatchObject({
    request: body,
    __task: { attempt: { number: 2, limit: attempts, interval: 60 } },
  });
});

test("R12: statuses of chat messages: 300 s, 200, stop at 404, every 10 s, 30 attempts", async () => {
  const { url, received } = await receiver((one) => ({ status: one.path === "/gone" ? 404 : 500 }));
  const pawl = await app();
  const clock = await movableClock(pawl.store, { isSlow: true });
  await pawl.store.rows(LONG_LEASE);
  const worker = await pawl.work();
  const ttl = 300;
  const data = { id: "m1", status: "delivered" };
  const spec = {
    method: "PATCH",
    jwt: { claims: { cid: COMPANY, body: data }, key: "crm", ttl: `${ttl}s` },
    success: [200],
    stop: [404],
    interval: "10s",
  } as const;
  const gone = await pawl.request({ ...spec, url: `${url}/gone` });
  expect(await ended(pawl, gone.id)).toMatchObject({ reason: "stop-code", attempt: 1 });
  const { id } = await pawl.request({ ...spec, url: `${url}/status` });
  expect((await pawl.task(id))?.payload).toMatchObject({ attempts: 30, intervalMs: 10_000 });
  for (let attempt = 1; attempt < 30; attempt += 1) {
    await failed(pawl, id, attempt);
    await clock.advance(10_000);
    worker.wake();
  }
  const task = await ended(pawl, id);
  expect(task.state).toBe("dead");
  expect(["attempts", "expired"]).toContain(task.reason);
  const tries = received.filter((one) => one.path === "/status");
  expect(tries.length).toBeGreaterThanOrEqual(29);
  expect(tries.length).toBeLessThanOrEqual(30);
});

test("R12: notifications of a logistic: 24 h, 202, stop at 410 because it was removed from the order", async () => {
  const { url, received } = await receiver([{ status: 500 }, { status: 410, body: "removed" }]);
  const pawl = await app();
  const worker = await pawl.work();
  const jwt = await token({ track: "T1" }, 86_400);
  const { id } = await pawl.request({
    method: "PATCH",
    url: `${url}/CRM/plugin/logistic/status`,
    body: jwt,
    expiresAt: new Date((unixS() + 24 * 60 * 60) * 1_000),
    success: [202],
    stop: [410],
  });
  await failed(pawl, id);
  await makeDue(pawl);
  worker.wake();
  expect(await ended(pawl, id)).toMatchObject({
    state: "dead",
    reason: "stop-code",
    attempt: 2,
    error: { data: { status: 410, body: "removed" } },
  });
  await until("two tries", () => received.length === 2);
});
