/** What the keys of operators may refer to: what the app lists, when they are made and at each signing. */

import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { addKey } from "../../../src/requests/dispatch/sql.ts";
import type { SecretRef } from "../../../src/secrets/secret.ts";
import { hereJson } from "../../cli/here.ts";
import { freshDatabase } from "../../support/database.ts";
import { until } from "../../support/until.ts";
import { app, ended, receiver, SECRET } from "./support.ts";

const CONFIG = join(import.meta.dirname, "fixture/pawl.config.ts");
const ACT = { by: "ada@host" };

afterEach(() => {
  vi.unstubAllEnvs();
});

const refused = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: { code: string; message: string }) => error,
  );

test("R115: `keys add` and `rotate` refuse what the app does not list, and Pawl's own and the database's always", async () => {
  const { url } = await freshDatabase();
  vi.stubEnv("PAWL_TEST_CRM_KEY", SECRET);
  vi.stubEnv("PAWL_TEST_ONE_COPY", url);
  const cli = (...args: string[]) => hereJson(url, ...args, "--config", CONFIG);
  await cli("keys", "add", "partner", "--secret", "env:PAWL_TEST_ONE");
  const refs = {
    "env:CRM_KEY": /operators: \{ env: \["CRM_KEY"\] \}/,
    "file:/etc/hostname": /operators: \{ files: \["\/etc\/hostname"\] \}/,
    "env:PAWL_SECRET_KEY": /operators may never use it/,
    "env:DATABASE_URL": /operators may never use it/,
    "env:PGPASSWORD": /operators may never use it/,
    "env:PAWL_TEST_ONE_COPY": /operators may never use it/,
    "file:/proc/self/environ": /operators may never use it/,
  };
  for (const [ref, message] of Object.entries(refs)) {
    for (const args of [
      ["add", "other"],
      ["rotate", "partner"],
    ]) {
      const error = await refused(cli("keys", ...args, "--secret", ref));
      expect(error, ref).toMatchObject({
        code: "invalid_option",
        message: expect.stringMatching(message),
      });
      expect(error?.message).toMatch(/^key "(?:other|partner)": `secret` refers to /);
    }
  }
});

async function signing(secret: SecretRef, operators?: { env?: string[]; files?: string[] }) {
  const { url, received } = await receiver([{ status: 200 }]);
  const pawl = await app({ keys: {}, requests: {}, ...(operators && { operators }) });
  const key = { name: "partner", algorithm: "HS512", kid: undefined, secret } as const;
  await addKey(pawl.store, key, ACT);
  const { id } = await pawl.request({
    method: "POST",
    url,
    jwt: { key: "partner", claims: {} },
    interval: "1s",
  });
  await pawl.work();
  const refusal = () =>
    until("its try was refused", async () => {
      const task = await pawl.task(id);
      return JSON.stringify(task ?? {}).includes("the app does not let operators use") && task;
    });
  return { pawl, id, received, refusal };
}

test("R115: a key that refers to what the app does not list signs nothing, uses up no attempt, and says so", async () => {
  vi.stubEnv("PARTNER_KEY", SECRET);
  const { received, refusal } = await signing({ env: "PARTNER_KEY" });
  expect(await refusal()).toMatchObject({ attempt: 0 });
  expect(received).toHaveLength(0);
});

test("R115: a key that refers to what the app lists signs", async () => {
  vi.stubEnv("PARTNER_KEY", SECRET);
  const { pawl, id, received } = await signing({ env: "PARTNER_KEY" }, { env: ["PARTNER_*"] });
  expect(await ended(pawl, id)).toMatchObject({ state: "done" });
  expect(received).toHaveLength(1);
});

test("R115: a file in a folder that is listed, which has become a link out of it, signs nothing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "pawl-keys-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "secret"), SECRET);
  const listed = await mkdtemp(join(tmpdir(), "pawl-listed-"));
  onTestFinished(() => rm(listed, { recursive: true, force: true }));
  await symlink(join(folder, "secret"), join(listed, "partner"));
  const { received, refusal } = await signing(
    { file: join(listed, "partner") },
    { files: [listed] },
  );
  await refusal();
  expect(received).toHaveLength(0);
});
