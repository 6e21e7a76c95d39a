/** Requests and keys from code: the same verbs as on the command line. */

import { beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { silentLogger } from "../../../src/base/log.ts";
import { connect, type Pawl } from "../../../src/index.ts";
import { freshDatabase } from "../../support/database.ts";
import { present } from "../../support/present.ts";
import config from "../dispatch/fixture/pawl.config.ts";
import { receiver, SECRET } from "../dispatch/support.ts";

beforeAll(() => {
  process.env.PAWL_TEST_CRM_KEY = SECRET;
});

async function client(): Promise<Pawl> {
  const { url } = await freshDatabase();
  const pawl = await connect(config, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  return pawl;
}

test("R112: code lists, shows, stops and retries requests by the same verbs", async () => {
  const pawl = await client();
  const spec = { method: "POST", url: "https://crm.example/in?token=t", body: "x" } as const;
  const { id } = await pawl.request({ ...spec, tenant: { company: 5 } });
  expect(await pawl.requests.list({ company: "5" })).toMatchObject([{ id, url: spec.url }]);
  const { request, tries } = await present(pawl.requests.show(id));
  expect(request).toMatchObject({ id, state: "ready", url: spec.url, body: "x", jwt: null });
  expect(request.why).toContain("no live worker");
  expect(tries).toEqual([]);
  await expect(pawl.requests.retry(id)).rejects.toThrow(`request ${id}: is not a dead request`);
  expect(await pawl.requests.show("77")).toBeUndefined();
  const stopped = { dryRun: false, stopped: [id], requested: [] };
  expect(await pawl.requests.stop([id], { why: "ordered twice" })).toEqual(stopped);
  expect(JSON.stringify(await pawl.audit.list())).toContain("ordered twice");
});

test("R7 R112: code makes one try of one request now, due or not, and is told how it ended", async () => {
  const pawl = await client();
  const { url, received } = await receiver([{ status: 200 }, { status: 500 }]);
  const runAt = new Date(Date.now() + 3_600_000);
  const spec = { method: "POST", url, body: "x", runAt } as const;
  const [first, second] = [await pawl.request(spec), await pawl.request(spec)];
  expect(await pawl.requests.run(first.id)).toMatchObject({ id: first.id, sent: true, attempt: 1 });
  await expect(pawl.requests.run(second.id)).rejects.toMatchObject({ code: "request_not_sent" });
  await expect(pawl.requests.run(first.id)).rejects.toMatchObject({ code: "request_over" });
  expect(received).toHaveLength(2);
});

test("R7: a client that closes gives back the request that it is sending, uncounted", async () => {
  const pawl = await client();
  let asked = () => {};
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const { url } = await receiver(async () => {
    asked();
    await new Promise(() => {});
    return { status: 200 };
  });
  const { id } = await pawl.request({ method: "POST", url, body: "x" });
  const run = pawl.requests.run(id).catch((error: unknown) => error);
  await isAsked;
  await pawl.close();
  expect(await run).toMatchObject({
    code: "request_not_sent",
    message: expect.stringContaining("was given back"),
  });
});

test("R112: code adds, rotates and removes keys by the same verbs, and no answer or error holds a secret", async () => {
  const pawl = await client();
  const master = Buffer.alloc(32, 5).toString("base64");
  const plain = "z".repeat(64);
  await expect(pawl.keys.add("p5", { secret: plain })).rejects.toMatchObject({
    code: "invalid_environment",
  });
  vi.stubEnv("PAWL_SECRET_KEY", master);
  onTestFinished(() => void vi.unstubAllEnvs());
  const added = { key: "p5", algorithm: "HS512", secret: "stored" };
  expect(await pawl.keys.add("p5", { secret: plain, why: "a partner" })).toEqual(added);
  expect(await pawl.keys.rotate("p5", { secret: "y".repeat(64), kid: "k2" })).toEqual({
    key: "p5",
  });
  expect(await pawl.keys.list()).toMatchObject([
    { name: "crm", by: "code", secrets: ["env:PAWL_TEST_CRM_KEY"], changed: null },
    { name: "p5", kid: "k2", secrets: ["stored", "stored"], changed: expect.any(Date) },
  ]);
  const stored = await pawl.store.rows("select * from pawl.key");
  expect(JSON.stringify(stored)).not.toMatch(/z{64}|y{64}/);
  expect(await pawl.keys.reseal()).toEqual({ resealed: [] });
  await expect(pawl.keys.rotate("crm", { secret: plain })).rejects.toMatchObject({
    code: "owned_by_code",
  });
  const bare = plain as unknown as { secret: string };
  const misplaced: Error = await pawl.keys.add("p6", bare).catch((thrown) => thrown);
  expect(misplaced.message).toMatch(/^keys.add: expected an object of options/);
  expect(misplaced.message).not.toContain(plain.slice(0, 20));
  const odd = { secret: [plain] as unknown as string };
  const error: Error = await pawl.keys.add("p6", odd).catch((thrown) => thrown);
  expect(error.message).toMatch(/expected `secret` to be a text/);
  expect(JSON.stringify(error) + error.message).not.toContain(plain);
  expect(await pawl.keys.remove("p5")).toEqual({ key: "p5" });
  await expect(pawl.keys.remove("p5")).rejects.toMatchObject({ code: "key_not_found" });
});
