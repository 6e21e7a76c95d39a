import { Webhook } from "standardwebhooks";
import { expect, test, vi } from "vitest";
import { env, flow, nullDestination, type Pawl } from "../../src/index.ts";
import { defineDestinationType } from "../../src/outbox/destinations/index.ts";
import { freePort } from "../sender/local-servers.ts";
import { until } from "../support/until.ts";
import { receiver, SECRET, shop, storedText, withMasterKey } from "./operators-support.ts";

withMasterKey();

const ADA = { by: "ada", why: "erp moved" };

function addErp(pawl: Pawl, url: string, config: Record<string, unknown> = {}, name = "erp") {
  const all = { url, secret: SECRET, ...config };
  return pawl.destinations.add({ name, type: "webhook", config: all }, ADA);
}

const refused = (code: string, ...parts: string[]) =>
  expect.objectContaining({
    code,
    message: expect.stringMatching(new RegExp(parts.join(".*"), "s")),
  });

test("R82: an operator adds, changes and removes a destination; what code defines is told apart and refuses", async () => {
  const { pawl } = await shop();
  const added = await addErp(pawl, "http://127.0.0.1:9/hooks?token=hidden", { order: "aggregate" });
  expect(added).toMatchObject({
    name: "erp",
    type: "webhook",
    owner: "operator",
    state: "on",
    order: "aggregate",
    config: { url: "http://127.0.0.1:9/hooks?…", secret: "stored" },
    waiting: 0,
    notes: [],
  });
  const list = await pawl.destinations.list();
  expect(list.map(({ name, owner }) => [name, owner])).toEqual([
    ["audit", "code of app shop"],
    ["erp", "operator"],
  ]);
  const changed = await pawl.destinations.edit(
    "erp",
    { "headers.x-tenant": "a", timeout: "5s", order: null },
    ADA,
  );
  expect(changed).toMatchObject({ order: "none", timeoutMs: 5_000, config: { timeout: "5s" } });
  expect(changed.config.secret).toBe("stored");

  const byCode = refused("owned_by_code", 'in the code of app "shop"');
  await expect(pawl.destinations.edit("audit", { url: "x" })).rejects.toThrow(byCode);
  await expect(pawl.destinations.rotate("audit")).rejects.toThrow(byCode);
  await expect(pawl.destinations.remove("audit")).rejects.toThrow(byCode);
  expect(await pawl.destinations.pause("audit", ADA)).toEqual({ cancelled: 0 });
  expect(await pawl.destinations.show("audit")).toMatchObject({
    state: "off",
    reason: "off by ada: erp moved",
  });
  expect(await pawl.destinations.resume("audit")).toBe(true);
  expect(await pawl.destinations.test("audit")).toMatchObject({ accepted: true });

  await pawl.destinations.remove("erp", ADA);
  expect(await pawl.destinations.show("erp")).toBeUndefined();
  const audit = await pawl.store.rows<{ action: string; by: string; why: string }>(
    "select action, by, why from pawl.audit where target = 'destination:erp' order by id",
  );
  expect(audit).toEqual(
    ["destinations.add", "destinations.edit", "destinations.remove"].map((action) => ({
      action,
      ...ADA,
    })),
  );
});

test("R82: what would fail at every delivery is refused when it is said, with what is near, and nothing is there", async () => {
  const { pawl } = await shop();
  const add = (type: string, config: Record<string, unknown>, name = "erp") =>
    expect(pawl.destinations.add({ name, type, config })).rejects;
  await add("webhok", {}).toThrow(refused("unknown_destination_type", 'did you mean "webhook"'));
  await add("webhook", { url: "ftp://a", secret: SECRET }).toThrow(refused("invalid_url", "ftp:"));
  await add("webhook", { url: "https://u:hidden@a.example", secret: SECRET }).toThrow(
    expect.not.objectContaining({ message: expect.stringContaining("hidden") }),
  );
  await add("webhook", { url: "http://10.0.0.1/", secret: SECRET }).toThrow(
    refused("address_forbidden", "10.0.0.1"),
  );
  await add("webhook", { url: "https://a.example", secret: "hidden" }).toThrow(
    refused("invalid_option", "webhook secret: expected whsec_"),
  );
  await add("webhook", { url: "https://a.example", secret: SECRET, retry: "0x 1s" }).toThrow(
    refused("invalid_option", "retry.attempts"),
  );
  await add("webhook", { url: "https://a.example", secret: SECRET }, "Not A Name").toThrow(
    refused("invalid_option", "destination's name"),
  );
  await add("null", { url: "x" }).toThrow(refused("invalid_option", "no field `url`"));
  await add("null", [] as never).toThrow(refused("invalid_option", "object"));
  expect((await pawl.destinations.list()).map((one) => one.name)).toEqual(["audit"]);
  await addErp(pawl, "https://a.example");
  await add("null", {}).toThrow(refused("duplicate_name", '"erp" is there already'));
  await add("null", {}, "audit").toThrow(refused("duplicate_name", '"audit"'));
  await expect(pawl.destinations.edit("epr", {})).rejects.toThrow(
    refused("unknown_destination", 'did you mean "erp"'),
  );
  await expect(pawl.destinations.pause("epr")).rejects.toThrow('did you mean "erp"');
  await expect(pawl.destinations.pause("erp", { until: new Date(0) })).rejects.toThrow(
    "in the future",
  );
  await expect(
    pawl.destinations.add({ name: "b", type: "null", confg: {} } as never),
  ).rejects.toThrow('did you mean "config"');
});

test("R94: no table, audit row or list holds a typed secret in the open, and it still signs", async () => {
  const { pawl } = await shop();
  const at = await receiver();
  await addErp(pawl, `${at.url}/hooks?token=t0`, { headers: { authorization: "Bearer hidden" } });
  await pawl.destinations.edit("erp", {
    secret: "***",
    headers: { authorization: "stored", a: "1" },
  });
  const stored = await storedText(pawl);
  expect(stored).not.toMatch(/whsec_|Bearer/);
  expect(stored).toContain('"context":"destination:erp"');
  expect(JSON.stringify(await pawl.destinations.list())).not.toMatch(/whsec_|Bearer|t0|v1:/);
  expect(await pawl.destinations.test("erp")).toMatchObject({ accepted: true });
  const [request] = at.received;
  expect(request?.headers).toMatchObject({ authorization: "Bearer hidden", a: "1" });
  expect(() =>
    new Webhook(SECRET).verify(request?.body ?? "", request?.headers ?? {}),
  ).not.toThrow();
});

test("R94: a sealed secret that is copied from another destination is refused", async () => {
  const { pawl } = await shop();
  await addErp(pawl, "https://a.example");
  await addErp(pawl, "https://b.example", {}, "other");
  await pawl.store.rows(
    "update pawl.destination set config = (select config from pawl.destination where name = 'erp') where name = 'other'",
  );
  const foreign = /stored for destination:erp; enter the secret again/;
  await expect(pawl.destinations.test("other")).rejects.toThrow(foreign);
  await expect(pawl.destinations.edit("other", { timeout: "5s" })).rejects.toThrow(foreign);
});

test("R94: a reference whose variable is only on the workers is accepted with a note", async () => {
  const { pawl } = await shop();
  const { notes } = await addErp(pawl, "https://a.example", { secret: "env:PAWL_TEST_NOT_HERE" });
  expect(notes).toEqual([expect.stringContaining("PAWL_TEST_NOT_HERE is not set")]);
  vi.stubEnv("PAWL_TEST_NOT_HERE", "not a secret of webhooks");
  await expect(pawl.destinations.edit("erp", { timeout: "5s" })).rejects.toThrow("webhook secret");
});

test("R82: test shows the signed request as it was sent and the answer, and records nothing", async () => {
  const { pawl } = await shop();
  const at = await receiver();
  await addErp(pawl, `${at.url}/hooks?token=hidden`, {
    headers: { "x-tenant": "a", "x-api-key": "hidden" },
  });
  const result = await pawl.destinations.test("erp", {
    event: { name: "order.placed", payload: { n: 1 } },
  });
  const [request] = at.received;
  expect(result).toMatchObject({
    destination: "erp",
    accepted: true,
    event: { name: "order.placed" },
    isRolledBack: false,
    error: null,
  });
  const [exchange] = result.exchanges;
  expect(exchange?.request).toMatchObject({
    method: "POST",
    url: `${at.url}/hooks?…`,
    body: request?.body,
    headers: {
      "webhook-signature": request?.headers["webhook-signature"],
      "webhook-id": result.event.id,
      "x-outbox-destination-key": "erp",
      "x-tenant": "a",
      "x-api-key": "stored",
    },
  });
  expect(exchange?.answer).toMatchObject({
    status: 200,
    body: "thanks",
    headers: { "set-cookie": "***" },
    timings: { totalMs: expect.any(Number) },
  });
  expect(JSON.stringify(result)).not.toContain("hidden");
  expect(() =>
    new Webhook(SECRET).verify(request?.body ?? "", request?.headers ?? {}),
  ).not.toThrow();
  const [counts] = await pawl.store.rows(
    "select (select count(*)::int from pawl.event) as events, (select count(*)::int from pawl.task) as tasks, (select count(*)::int from pawl.finished) as finished",
  );
  expect(counts).toEqual({ events: 0, tasks: 0, finished: 0 });
});

test("R82: test of a receiver that refuses, or is not there, says so and throws nothing", async () => {
  const { pawl } = await shop();
  const at = await receiver(500);
  await addErp(pawl, at.url);
  expect(await pawl.destinations.test("erp")).toMatchObject({
    accepted: false,
    exchanges: [{ answer: { status: 500, body: "thanks" } }],
    error: { code: "delivery_failed", message: expect.stringContaining("answered 500") },
  });
  await pawl.destinations.edit("erp", {
    url: `http://127.0.0.1:${await freePort()}/`,
    secret: SECRET,
  });
  expect(await pawl.destinations.test("erp")).toMatchObject({
    accepted: false,
    exchanges: [{ answer: null }],
    error: { code: "http_failed", data: { reason: "refused", sent: "no" } },
  });
  await expect(pawl.destinations.test("erp", { event: "nonsense" })).rejects.toThrow(
    refused("event_not_found", "nonsense"),
  );
});

test("R82: a recorded event is tested under a new id, so that no receiver takes it for the recorded one", async () => {
  const { pawl } = await shop();
  const at = await receiver();
  await addErp(pawl, at.url);
  const { id } = await pawl.record("order.placed", { aggregate: ["order", 7], payload: { n: 7 } });
  const result = await pawl.destinations.test("erp", { event: id });
  expect(result.event).toMatchObject({ name: "order.placed" });
  expect(result.event.id).not.toBe(id);
  expect(JSON.parse(at.received[0]?.body ?? "{}")).toMatchObject({ payload: { n: 7 } });
});

test("R82: what a test writes inside Pawl is rolled back", async () => {
  const { pawl } = await shop({
    destinations: {
      inside: flow(async (event, { tx }) => {
        await tx.query(
          "insert into pawl.setting (name, value) values ('seen', to_jsonb($1::text))",
          [event.name],
        );
      }),
      again: flow({ name: "order.again" }),
    },
    routes: [],
  });
  for (const name of ["inside", "again"]) {
    expect(await pawl.destinations.test(name)).toMatchObject({
      accepted: true,
      isRolledBack: true,
    });
  }
  const left = await pawl.store.rows(
    "select name from pawl.setting where name = 'seen' union all select name from pawl.event",
  );
  expect(left).toEqual([]);
});

test("R82: a type of the app's own is added, masked, tested and closed like Pawl's", async () => {
  const closed: string[] = [];
  const type = defineDestinationType({
    type: "memo",
    label: "Memo",
    fields: {
      to: { kind: "text", label: "To", required: true },
      key: { kind: "secret", label: "Key", required: true },
    },
    define: (config) => ({
      type: "memo",
      config: { to: config.to },
      timeoutMs: 60_000,
      deliver: async () => ({ summary: `noted for ${String(config.to)}` }),
      close: async () => void closed.push(String(config.to)),
    }),
  });
  const { pawl } = await shop({ destinationTypes: [type] });
  await pawl.destinations.add({ name: "memo", type: "memo", config: { to: "ada", key: "hidden" } });
  expect((await pawl.destinations.show("memo"))?.config).toEqual({ to: "ada", key: "stored" });
  expect(await pawl.destinations.test("memo")).toMatchObject({ summary: "noted for ada" });
  expect(closed).toEqual(["ada"]);
  await expect(pawl.destinations.rotate("memo")).rejects.toThrow("pawl destinations edit");
  expect(await storedText(pawl)).not.toContain("hidden");
});

test("R94: rotate gives a new secret once, both sign during the overlap, and then only the new one", async () => {
  const { pawl } = await shop();
  const at = await receiver();
  await addErp(pawl, at.url);
  const { secret, oldUntil } = await pawl.destinations.rotate("erp", { overlap: "1h", ...ADA });
  expect(secret).toMatch(/^whsec_/);
  expect(oldUntil?.getTime()).toBeGreaterThan(Date.now());
  const verify = (key: string) => {
    const request = at.received.at(-1);
    return () => new Webhook(key).verify(request?.body ?? "", request?.headers ?? {});
  };
  await pawl.destinations.test("erp");
  expect(verify(SECRET)).not.toThrow();
  expect(verify(secret ?? "")).not.toThrow();
  expect(await storedText(pawl)).not.toContain("whsec_");
  expect((await pawl.destinations.show("erp"))?.config.secret).toEqual([
    "stored",
    { secret: "stored", until: oldUntil?.toISOString() },
  ]);
  await pawl.destinations.edit("erp", { timeout: "5s" });
  await pawl.destinations.test("erp");
  expect(verify(SECRET)).not.toThrow();

  const second = await pawl.destinations.rotate("erp", { overlap: 0 });
  await pawl.destinations.test("erp");
  expect(verify(second.secret ?? "")).not.toThrow();
  expect(verify(secret ?? "")).toThrow();
  expect(second.oldUntil).toBeNull();

  vi.stubEnv("PAWL_TEST_NEXT", SECRET);
  const third = await pawl.destinations.rotate("erp", {
    secret: env("PAWL_TEST_NEXT"),
    overlap: 0,
  });
  expect(third.secret).toBeNull();
  await pawl.destinations.test("erp");
  expect(verify(SECRET)).not.toThrow();
});

test("R94: an ed25519 secret is rotated to another one, and its public key is given", async () => {
  const { pawl } = await shop();
  const { generateWebhookSecret } = await import("../../src/webhooks/sign.ts");
  await addErp(pawl, "https://a.example", { secret: generateWebhookSecret("v1a") });
  expect(await pawl.destinations.rotate("erp")).toMatchObject({
    secret: expect.stringMatching(/^whsk_/),
    publicKey: expect.stringMatching(/^whpk_/),
  });
});

test("R82: two changes at once of one destination both count", async () => {
  const { pawl } = await shop();
  await addErp(pawl, "https://a.example");
  await Promise.all(
    Array.from({ length: 8 }, (_, i) =>
      pawl.destinations.edit("erp", { [`headers.h${i}`]: String(i) }),
    ),
  );
  const info = await pawl.destinations.show("erp");
  expect(Object.keys(info?.config.headers as object)).toHaveLength(8);
});

test("R96: a destination whose breaker has opened says so, and until when", async () => {
  const { pawl } = await shop({ destinations: {}, routes: [] });
  const at = await receiver(500);
  await addErp(pawl, at.url, {
    breaker: { failures: 1, window: "10s", open: "1h" },
    retry: "3x 1h",
  });
  await pawl.routes.add({ pattern: "order.*", to: "erp" });
  await pawl.record("order.placed", { aggregate: ["order", 1], payload: {} });
  const worker = await pawl.work();
  const info = await until("it is open", async () => {
    const found = await pawl.destinations.show("erp");
    return found?.state === "open" ? found : undefined;
  });
  await worker.stop();
  expect(info).toMatchObject({ until: expect.any(Date), reason: expect.stringContaining("500") });
  await pawl.destinations.resume("erp");
  expect((await pawl.destinations.show("erp"))?.state).toBe("on");
});

test("R82: a destination that code defines in place of an operator's removed one is the code's", async () => {
  const { pawl } = await shop({ destinations: { one: nullDestination() }, routes: [] });
  expect(await pawl.destinations.show("one")).toMatchObject({ application: "shop" });
  expect(await pawl.destinations.show("two")).toBeUndefined();
  await pawl.destinations.add({ name: "two", type: "null", active: false });
  expect((await pawl.destinations.show("two"))?.state).toBe("off");
  await pawl.destinations.remove("two");
  await pawl.destinations.add({ name: "two", type: "null" });
  expect((await pawl.destinations.show("two"))?.state).toBe("on");
});
