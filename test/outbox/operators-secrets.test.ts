import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { operatorReferences } from "../../src/outbox/destinations/references.ts";
import { BUILT_IN_TYPES } from "../../src/outbox/destinations/registry.ts";
import type { Delivery } from "../../src/outbox/destinations/types.ts";
import { StoredDestinations } from "../../src/outbox/stored-destinations.ts";
import { deliveryContext } from "../support/delivery.ts";
import { SECRET, shop, withMasterKey } from "./operators-support.ts";

withMasterKey();
afterEach(() => {
  vi.unstubAllEnvs();
});

const WEBHOOK = BUILT_IN_TYPES.find((one) => one.type === "webhook");
const DATABASE = "postgresql://shop:hunter2-of-db@db.example/shop";

function refusal(options: object | undefined, config: Record<string, unknown>): string | undefined {
  if (WEBHOOK === undefined) throw new Error("no webhook");
  try {
    operatorReferences(options, DATABASE).refuse("it", WEBHOOK, config);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

describe("R115: what operators define reads", () => {
  test.each([
    "PAWL_SECRET_KEY",
    "PAWL_SECRET_KEY_FILE",
    "PAWL_OFF",
    "DATABASE_URL",
    "SHOP_DATABASE_URL",
    "PGPASSWORD",
    "PGPASSFILE",
    "POSTGRES_PASSWORD",
    "DB_PASSWORD",
  ])("never %s, whatever the app lists, and wherever it stands", (name) => {
    for (const config of [
      { secret: { env: name } },
      { secret: [{ env: "ERP_SECRET" }, { secret: { env: name }, until: "2999-01-01" }] },
      { headers: { "x-a": { env: name } } },
    ]) {
      expect(refusal({ env: ["*"] }, config)).toMatch(/may never use it/);
    }
  });

  test("never what holds the database's password or our key, under any name", () => {
    vi.stubEnv("HARMLESS", `x ${DATABASE}`);
    vi.stubEnv("OTHER", "hunter2-of-db");
    vi.stubEnv("PAWL_SECRET_KEY", "a-master-key-of-ours");
    vi.stubEnv("COPY", "a-master-key-of-ours");
    for (const name of ["HARMLESS", "OTHER", "COPY"]) {
      const message = refusal({ env: ["*"] }, { headers: { a: { env: name } } });
      expect(message).toMatch(/may never use it/);
      expect(message).not.toMatch(/hunter2|master/);
    }
  });

  test.each<[object | undefined, string, boolean, boolean]>([
    // a signing secret, a header
    [undefined, "ERP_SECRET", true, false],
    [{}, "ERP_SECRET", true, false],
    [{ env: [] }, "ERP_SECRET", false, false],
    [{ env: ["ERP_*"] }, "ERP_SECRET", true, true],
    [{ env: ["ERP_*"] }, "XERP_SECRET", false, false],
    [{ env: ["*_ERP"] }, "TOKEN_ERP", true, true],
    [{ env: ["ERP_SECRET"] }, "ERP_SECRET_2", false, false],
  ])("by %j: %s", (options, name, signs, stands) => {
    expect(refusal(options, { secret: { env: name } }) === undefined).toBe(signs);
    expect(refusal(options, { headers: { a: { env: name } } }) === undefined).toBe(stands);
    const message = refusal({ env: [] }, { headers: { a: { env: name } } });
    expect(message).toContain(`\`headers.a\` refers to env:${name}`);
    expect(message).toContain(`operators: { env: ["${name}"] }`);
  });

  test("files of the folders listed, and no link or path that leads out of them", () => {
    const root = mkdtempSync(join(tmpdir(), "pawl-refs-"));
    const at = (...parts: string[]): string => join(root, ...parts);
    mkdirSync(at("in"));
    mkdirSync(at("inside-not"));
    for (const name of ["in/a", "out", "inside-not/b"]) writeFileSync(at(name), "s".repeat(40));
    symlinkSync(at("in", "a"), at("in", "good"));
    symlinkSync(at("out"), at("in", "bad"));
    symlinkSync(root, at("in", "up"));
    const files = [at("in")];
    const permits = (file: string) =>
      refusal({ files }, { headers: { a: { file } } }) === undefined;
    expect(["in/a", "in/good", "in/not-there"].map((one) => permits(at(one)))).toEqual([
      true,
      true,
      true,
    ]);
    const outside = ["out", "in/bad", "in/up/out", "inside-not/b"].map((one) => at(one));
    for (const one of [...outside, `${at("in")}/../out`, "/proc/self/environ", "/etc/passwd"]) {
      expect(permits(one), one).toBe(false);
    }
    expect(refusal(undefined, { secret: { file: "/run/secrets/erp" } })).toBeUndefined();
    expect(refusal(undefined, { secret: { file: at("in/a") } })).toMatch(/operators: \{ files: /);
    vi.stubEnv("PAWL_SECRET_KEY_FILE", at("in", "good"));
    expect(permits(at("in/a"))).toBe(false);
    rmSync(root, { recursive: true });
  });

  test.each([{ env: "ERP" }, { env: ["A B"] }, { files: [""] }, { environment: [] }])(
    "and the option %j is refused",
    (options) => {
      expect(() => operatorReferences(options as object)).toThrow(/operators/);
    },
  );
});

test("R115: a secret of Pawl is refused when a destination is made, and where a row that was put there delivers", async () => {
  const { pawl } = await shop();
  const config = { url: "http://127.0.0.1:9/", secret: SECRET };
  const stolen = { ...config, headers: { "x-a": "env:PAWL_SECRET_KEY" } };
  const adding = pawl.destinations.add({ name: "thief", type: "webhook", config: stolen });
  await expect(adding).rejects.toThrow(/`headers.x-a` refers to env:PAWL_SECRET_KEY/);
  expect(await pawl.destinations.show("thief")).toBeUndefined();
  await pawl.destinations.add({ name: "thief", type: "webhook", config });
  await expect(
    pawl.destinations.edit("thief", { "headers.x-a": "env:DATABASE_URL" }),
  ).rejects.toThrow(/may never use it/);
  await pawl.store.rows(
    `update pawl.destination set revision = revision + 1,
       config = config || '{"headers": {"x-a": {"env": "PAWL_SECRET_KEY"}}}' where name = 'thief' returning 1`,
  );
  const target = await new StoredDestinations(pawl.store, BUILT_IN_TYPES).ofQueue(
    "destination:thief",
  );
  const delivering = target?.definition.deliver({} as Delivery, deliveryContext());
  await expect(delivering).rejects.toThrow(/refers to env:PAWL_SECRET_KEY/);
});

test("R115: secrets do not go along to another host, and stay for another path", async () => {
  const { pawl } = await shop();
  const url = "https://erp.example/hooks";
  const config = { url, secret: SECRET, headers: { authorization: "Bearer b", "x-tenant": "a" } };
  await pawl.destinations.add({ name: "erp", type: "webhook", config });
  const edit = (changes: Record<string, unknown>) => pawl.destinations.edit("erp", changes);
  await edit({ url: "https://erp.example:443/other?a=b" });
  for (const elsewhere of [
    "https://evil.example/hooks",
    "http://erp.example/hooks",
    "https://erp.example:8443/hooks",
    "https://erp.example.evil/hooks",
  ]) {
    await expect(edit({ url: elsewhere })).rejects.toThrow(/`secret`, `headers.authorization`$/);
    const shown = { url: elsewhere, secret: "stored", "headers.authorization": "***" };
    await expect(edit(shown)).rejects.toThrow(/another host/);
  }
  await expect(edit({ url: "https://evil.example/", secret: SECRET })).rejects.toThrow(
    /: `headers.authorization`$/,
  );
  const moved = await edit({
    url: "https://new.example/",
    secret: SECRET,
    "headers.authorization": null,
  });
  expect(moved.config).toMatchObject({ url: "https://new.example/", headers: { "x-tenant": "a" } });

  const broker = { url: "amqp://a:b@10.0.0.1/", exchange: "e", headers: { "x-token": "t" } };
  await pawl.destinations.add({ name: "mq", type: "rabbitmq", config: broker });
  await pawl.destinations.edit("mq", { url: "amqp://a:c@10.0.0.1/vhost" });
  await expect(pawl.destinations.edit("mq", { url: "amqp://a:c@evil.example/" })).rejects.toThrow(
    /: `headers.x-token`$/,
  );
});
