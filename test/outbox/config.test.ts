import { randomBytes } from "node:crypto";
import { beforeEach, expect, test, vi } from "vitest";
import {
  type Config,
  maskConfig,
  readConfig,
  sealConfig,
  withChanges,
} from "../../src/outbox/destinations/config.ts";
import type { ConfigFields } from "../../src/outbox/destinations/fields.ts";
import { BUILT_IN_TYPES } from "../../src/outbox/destinations/registry.ts";
import { webhookType } from "../../src/outbox/destinations/webhook-type.ts";
import { keepMasked } from "../../src/secrets/keep-masked.ts";
import { env, readSecret, type SecretRef } from "../../src/secrets/secret.ts";

const WHERE = 'destination "erp"';
const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const FIELDS: ConfigFields = {
  text: { kind: "text", label: "Text" },
  secret: { kind: "secret", label: "Secret" },
  flag: { kind: "boolean", label: "Flag" },
  count: { kind: "number", label: "Count", min: 1, max: 9 },
  names: { kind: "list", label: "Names" },
  order: { kind: "choice", label: "Order", choices: ["none", "aggregate"] },
  timeout: { kind: "duration", label: "Timeout" },
  headers: { kind: "map", label: "Headers" },
  retry: { kind: "retry", label: "Retries" },
  rate: { kind: "rate", label: "Rate" },
  breaker: { kind: "breaker", label: "Breaker" },
};

beforeEach(() => {
  vi.unstubAllEnvs();
  vi.stubEnv("PAWL_SECRET_KEY", randomBytes(32).toString("base64"));
});

const read = (config: Config) => readConfig(FIELDS, config, WHERE);
const one = (name: string, value: unknown) => read({ [name]: value })[name];

test("R82: what a person types means the same as what code writes", () => {
  expect(one("rate", "50/s")).toEqual({ limit: 50, per: "1s" });
  expect(one("rate", "10/30s burst 5")).toEqual({ limit: 10, per: "30s", burst: 5 });
  const retry = { attempts: 10, delay: "60s", factor: 2, max: "12h" };
  expect(one("retry", "10x 60s ×2 max 12h")).toEqual(retry);
  expect(one("retry", "10x 60s x2 max 12h")).toEqual(retry);
  expect(one("retry", { attempts: "10", delay: "60s", factor: "2", max: "12h" })).toEqual(retry);
  expect(one("retry", "1s,10s,1m")).toEqual({ delays: ["1s", "10s", "1m"] });
  expect(one("retry", "5x 10s +30s until 1d")).toMatchObject({ step: "30s", until: "1d" });
  expect(one("breaker", "off")).toBe(false);
  expect(one("breaker", "on")).toEqual({});
  expect(one("breaker", { failures: "5", window: "30s" })).toEqual({ failures: 5, window: "30s" });
  expect(one("timeout", "10s")).toBe("10s");
  expect(one("timeout", 10)).toBe(10);
  expect(one("count", "3")).toBe(3);
  expect(one("flag", "yes")).toBe(true);
  expect(one("names", "a, b")).toEqual(["a", "b"]);
  expect(one("headers", ["x-tenant: a", "x-key=env:KEY"])).toEqual({
    "x-tenant": "a",
    "x-key": { env: "KEY" },
  });
  expect(one("secret", "env:ERP_SECRET")).toEqual({ env: "ERP_SECRET" });
  expect(one("secret", "file:/run/erp")).toEqual({ file: "/run/erp" });
});

test.each([
  ["count", "10", "from 1 to 9"],
  ["timeout", "10", "10s for seconds or 10ms for milliseconds"],
  ["retry", "10x 60 x2", "60s for seconds or 60ms for milliseconds"],
  ["retry", { attempts: 3, delays: "1,10" }, "1s for seconds"],
  ["breaker", { window: "30" }, "30s for seconds"],
  ["count", "three", "from 1 to 9"],
  ["count", Number.NaN, "from 1 to 9"],
  ["flag", "maybe", "true or false"],
  ["order", "agregate", 'did you mean "aggregate"?'],
  ["timeout", "soon", "timeout"],
  ["rate", "many", "50/s"],
  ["rate", "0/s", "rate.limit"],
  ["retry", { constructor: "1" }, "no option `constructor`"],
  ["names", { a: "b" }, "a list of texts"],
  ["rate", { limitt: 5 }, "limitt"],
  ["retry", "often", "10x 60s x2 max 12h"],
  ["retry", "0x 60s", "retry.attempts"],
  ["retry", { atempts: 3 }, "atempts"],
  ["breaker", "sometimes", "breaker.<part>"],
  ["breaker", { ratio: 7 }, "ratio"],
  ["names", "a,,b", "none of them empty"],
  ["headers", "nonsense", "x-tenant: a"],
  ["headers", { a: { b: 1 } }, "headers.a"],
  ["text", "", "1 to 10000"],
  ["text", 5, "a text"],
  ["secret", "", "env:NAME"],
  ["secret", 5, "env:NAME"],
  ["secret", "***", "this is how a stored one is shown"],
  ["secret", "stored", "this is how a stored one is shown"],
])("R82: %s: %j is refused and the message says what is expected", (name, value, expected) => {
  expect(() => read({ [name]: value })).toThrow(
    expect.objectContaining({ code: "invalid_option", message: expect.stringContaining(expected) }),
  );
});

test("R82: a field that is not known is answered with the nearest, a missing one with what it is", () => {
  const change = (changes: Config) => () =>
    withChanges(webhookType.fields, {}, { changes, where: WHERE });
  expect(change({ secrett: "x" })).toThrow('no field `secrett`; did you mean "secret"?');
  expect(change({ "url.host": "x" })).toThrow("`url` has no parts");
  expect(change({ "hedaers.a": "x" })).toThrow('did you mean "headers"?');
  expect(change({ __proto__x: 1, toString: 1 })).toThrow("no field");
  expect(() => readConfig(webhookType.fields, { url: "https://a.example/" }, WHERE)).toThrow(
    "`secret` is missing: Signing secret",
  );
});

test("R82: one part is changed and the others stay; null takes away", () => {
  const base = { retry: { attempts: 3, delay: "1s" }, headers: { a: "1" }, text: "x" };
  const changed = (changes: Config) => withChanges(FIELDS, base, { changes, where: WHERE });
  expect(changed({ "retry.attempts": "5" })).toMatchObject({
    retry: { attempts: "5", delay: "1s" },
  });
  expect(changed({ "headers.x.y": "2", text: null })).toEqual({
    retry: base.retry,
    headers: { a: "1", "x.y": "2" },
  });
  expect(changed({ "headers.a": null })).toMatchObject({ headers: {} });
  expect(base).toEqual({ retry: { attempts: 3, delay: "1s" }, headers: { a: "1" }, text: "x" });
});

test("R94: secrets that are typed in are stored encrypted, and no message or read shows them", () => {
  const given = {
    url: "https://a.example/hooks?token=hidden",
    secret: [SECRET, "env:OLD"],
    headers: { authorization: "Bearer hidden", "x-tenant": "a", "x-ref": "env:REF" },
  };
  const { fields } = webhookType;
  const stored = sealConfig(fields, readConfig(fields, given, WHERE), "destination:erp");
  expect(JSON.stringify(stored)).not.toMatch(/whsec_|Bearer/);
  expect(maskConfig(fields, stored)).toEqual({
    url: "https://a.example/hooks?…",
    secret: ["stored", "env:OLD"],
    headers: { authorization: "stored", "x-tenant": "a", "x-ref": "env:REF" },
  });
  expect(JSON.stringify(maskConfig(undefined, stored))).not.toMatch(/hidden|v1:/);
  const [secret] = stored.secret as SecretRef[];
  expect(readSecret(secret ?? "", "test")).toBe(SECRET);
});

test("R94: a typed secret without a master key is refused with what to do, and not shown", () => {
  vi.stubEnv("PAWL_SECRET_KEY", "");
  const store = () => sealConfig(FIELDS, { secret: "hidden" }, "destination:erp");
  expect(store).toThrow(expect.objectContaining({ code: "invalid_environment" }));
  expect(store).toThrow(/PAWL_SECRET_KEY.*env:NAME or file:/);
  expect(store).not.toThrow("hidden");
  expect(sealConfig(FIELDS, { secret: env("A") }, "destination:erp")).toEqual({
    secret: { env: "A" },
  });
});

test("R94: a config that is written back as it was shown keeps every secret", () => {
  const { fields } = webhookType;
  const given = {
    url: "https://a.example/?k=hidden",
    secret: SECRET,
    headers: { cookie: "hidden", a: "1" },
  };
  const stored = sealConfig(fields, readConfig(fields, given, WHERE), "destination:erp");
  const shown = maskConfig(fields, stored);
  expect(keepMasked(shown, stored, shown)).toEqual(stored);
  const part = withChanges(fields, shown, { changes: { "headers.a": "2" }, where: WHERE });
  expect(keepMasked(part, stored, shown)).toEqual({
    ...stored,
    headers: { ...(stored.headers as Config), a: "2" },
  });
});

test("R82: every built-in type describes fields of known kinds", () => {
  for (const { fields } of BUILT_IN_TYPES) {
    for (const [name, field] of Object.entries(fields)) {
      expect(field.label, name).not.toBe("");
      expect(() => readConfig({ [name]: field }, { [name]: Symbol("nonsense") }, WHERE)).toThrow(
        expect.objectContaining({ code: "invalid_option" }),
      );
    }
  }
});

test("R94: a secret that was rotated out signs until its time, and no longer", () => {
  vi.useFakeTimers({ now: new Date("2030-01-01T00:00:00Z"), toFake: ["Date"] });
  try {
    const seen: unknown[] = [];
    const [type] = BUILT_IN_TYPES.filter((known) => known.type === "webhook");
    const definition = type?.define({
      url: "https://a.example/",
      secret: [env("NEW"), { secret: env("OLD"), until: "2030-01-01T01:00:00Z" }],
    });
    vi.stubEnv("NEW", SECRET);
    const missing = () => {
      try {
        definition?.check?.();
        seen.push("ok");
      } catch (error) {
        seen.push((error as { data?: { variable?: string } }).data?.variable);
      }
    };
    missing();
    vi.setSystemTime(new Date("2030-01-01T01:00:00Z"));
    missing();
    expect(seen).toEqual(["OLD", "ok"]);
  } finally {
    vi.useRealTimers();
  }
});
