import { afterEach, expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, type Pawl } from "../../src/index.ts";
import { addKey, keyRows } from "../../src/requests/dispatch/sql.ts";
import { isSealed, seal, unseal } from "../../src/secrets/seal.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase } from "../support/database.ts";
import { hereJson } from "./here.ts";

const OLD = `old:${Buffer.alloc(32, 1).toString("base64")}`;
const NEW = `new:${Buffer.alloc(32, 2).toString("base64")}`;
const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const ACT = { by: "ada" };

afterEach(() => {
  delete process.env.PAWL_SECRET_KEY;
});

/** A key and a destination whose secrets were sealed with the old master key, and a key of the environment. */
async function secretsUnderOldKey(): Promise<{ pawl: Pawl; url: string }> {
  const { url } = await freshDatabase();
  const app = defineApp({ http: { allow: ["127.0.0.1"] } });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  atEnd(() => pawl.close());
  process.env.PAWL_SECRET_KEY = OLD;
  const key = { algorithm: "HS512", kid: undefined } as const;
  await addKey(pawl.store, { ...key, name: "crm", secret: seal("z".repeat(64), "key:crm") }, ACT);
  await addKey(pawl.store, { ...key, name: "env", secret: { env: "CRM_KEY" } }, ACT);
  const config = { url: "https://erp.example/hooks", secret: SECRET };
  await pawl.destinations.add({ name: "erp", type: "webhook", config });
  return { pawl, url };
}

const reseal = (url: string) => hereJson(url, "keys", "reseal", "--why", "a new master key");

test("R94: what was sealed with an older master key is sealed anew, the rest is left, and it is on record", async () => {
  const { pawl, url } = await secretsUnderOldKey();
  process.env.PAWL_SECRET_KEY = `${NEW},${OLD}`;
  const resealed = ["key crm", "destination erp"];
  expect(await reseal(url)).toEqual({ action: "reseal", resealed });
  expect(await reseal(url)).toEqual({ action: "reseal", resealed: [] });

  process.env.PAWL_SECRET_KEY = NEW; // the old one is gone
  const keys = await keyRows(pawl.store);
  const [crm] = keys.find((one) => one.name === "crm")?.secrets ?? [];
  expect(isSealed(crm) && unseal(crm)).toBe("z".repeat(64));
  expect(keys.find((one) => one.name === "env")?.secrets).toEqual([{ env: "CRM_KEY" }]);
  const [row] = await pawl.store.rows<{ config: { secret: unknown } }>(
    "select config from pawl.destination where name = 'erp'",
  );
  const secret = [row?.config.secret].flat()[0];
  expect(isSealed(secret) && unseal(secret)).toBe(SECRET);
  const { audit } = await hereJson<{ audit: object[] }>(url, "audit", "--limit", "1");
  expect(audit).toMatchObject([
    { action: "keys.reseal", why: "a new master key", detail: { resealed } },
  ]);
});

test("R94: where one master key of several is not there, the others are sealed anew, and the exit code says that something was changed", async () => {
  const { pawl, url } = await secretsUnderOldKey();
  process.env.PAWL_SECRET_KEY = `lost:${Buffer.alloc(32, 3).toString("base64")}`;
  const secret = seal("y".repeat(64), "key:lost");
  await addKey(pawl.store, { algorithm: "HS512", kid: undefined, name: "lost", secret }, ACT);
  process.env.PAWL_SECRET_KEY = `${NEW},${OLD}`;
  const resealed = ["key crm", "destination erp"];
  const refused = { exitCode: 1, code: "not_resealed", data: { resealed } };
  await expect(reseal(url)).rejects.toMatchObject(refused);
  const { audit } = await hereJson<{ audit: object[] }>(url, "audit", "--target", "keys");
  expect(audit).toMatchObject([{ action: "keys.reseal", detail: { resealed } }]);
  // nothing is left that could be: now it is true that nothing was changed
  await expect(reseal(url)).rejects.toMatchObject({ exitCode: 2, code: "invalid_environment" });
});

test("R94: where the older key is not there, it says which secrets it cannot open, and changes none of them", async () => {
  const { pawl, url } = await secretsUnderOldKey();
  const before = await keyRows(pawl.store);
  process.env.PAWL_SECRET_KEY = NEW;
  await expect(reseal(url)).rejects.toMatchObject({
    code: "invalid_environment",
    message: expect.stringMatching(
      /2 could not be opened \(.*key:crm.*destination:erp.*sealed again: none/,
    ),
  });
  expect(await keyRows(pawl.store)).toEqual(before);
});
