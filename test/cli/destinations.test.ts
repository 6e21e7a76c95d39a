import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { Webhook } from "standardwebhooks";
import { beforeAll, expect, test } from "vitest";
import type { DestinationInfo } from "../../src/outbox/operator/destinations/describe.ts";
import type { TestResult } from "../../src/outbox/operator/destinations/test-delivery.ts";
import { MASTER_KEY, receiver, SECRET, withMasterKey } from "../outbox/operators-support.ts";
import { freshDatabase, type TestDatabase } from "../support/database.ts";
import { type ErrorDocument, MAIN, newFolder, PAWL, pawl, pawlJson } from "./cli.ts";
import { here, hereJson } from "./here.ts";

withMasterKey();

const ENV = { PAWL_SECRET_KEY: MASTER_KEY, ERP_SECRET: SECRET };

/** A project whose app may reach the loopback, in which nothing is defined. */
function project(): string {
  const folder = newFolder();
  writeFileSync(
    path.join(folder, "pawl.config.ts"),
    `import { defineApp } from ${JSON.stringify(PAWL)};\nexport default defineApp({ name: "shop", http: { allow: ["127.0.0.1"] } });\n`,
  );
  return folder;
}

const SECRET_REF = "env:ERP_SECRET";
const ERP = ["destinations", "add", "erp", "--type", "webhook", "--secret", SECRET_REF];

test("R82: a webhook is added, looked at, changed and removed from the command line without a line of JSON", async () => {
  const { url } = await freshDatabase();
  const cli = (...args: string[]) => here(url, ...args);
  const one = async () =>
    (await hereJson<{ destination: DestinationInfo }>(url, "destinations", "show", "erp"))
      .destination;
  const added = await cli(
    ...ERP,
    "--url",
    "https://erp.example/hooks?token=hidden",
    "--header",
    "x-tenant: a",
    "--order",
    "aggregate",
    "--concurrency",
    "5",
    "--rate",
    "50/s",
    "--timeout",
    "10s",
    "--retry",
    "10x 60s ×2 max 12h",
    "--set",
    "breaker.failures=5",
    "--by",
    "ada",
  );
  expect(added).toMatch(/^destination "erp": added\nnote: .*ERP_SECRET is not set/);
  expect(await one()).toMatchObject({
    owner: "operator",
    order: "aggregate",
    timeoutMs: 10_000,
    config: {
      url: "https://erp.example/hooks?…",
      secret: "env:ERP_SECRET",
      headers: { "x-tenant": "a" },
      concurrency: 5,
      rate: { limit: 50, per: "1s" },
      retry: { attempts: 10, delay: "60s", factor: 2, max: "12h" },
      breaker: { failures: 5 },
    },
  });
  const list = await cli("destinations", "list");
  expect(list).toMatch(/^NAME +TYPE +OWNER +STATE +WAITING +RUNNING +DEAD +OLDEST$/m);
  expect(list).toMatch(/^erp +webhook +operator +on +0 +0 +0 +-$/m);
  expect(await cli("destinations", "show", "erp")).toMatch(
    /url +https:\/\/erp\.example\/hooks\?…$/m,
  );

  await cli(
    "destinations",
    "edit",
    "erp",
    "--set",
    "retry.attempts=3",
    "--unset",
    "rate",
    "--header",
    "x-b=2",
  );
  const { config } = await one();
  expect(config).toMatchObject({
    retry: { attempts: 3, delay: "60s" },
    headers: { "x-tenant": "a", "x-b": "2" },
  });
  expect(config).not.toHaveProperty("rate");

  await cli("destinations", "pause", "erp", "--why", "erp down", "--until", "30m");
  expect(await cli("destinations", "list")).toMatch(/^erp .* off until \S+Z /m);
  expect(await cli("destinations", "resume", "erp")).toBe('destination "erp": on');
  expect(await cli("destinations", "resume", "erp")).toBe('destination "erp": was not off');
  expect(await cli("destinations", "pause", "erp", "--drop")).toContain("dropping; 0 deliveries");
  await expect(cli("destinations", "remove", "erp")).rejects.toThrow("add --yes");
  expect(await cli("destinations", "remove", "erp", "--yes")).toContain("removed");
  expect(await cli("destinations", "list")).toBe("none");
});

test("R82: the types and their fields are listed, with how each is written", async () => {
  const { url } = await freshDatabase();
  expect(await here(url, "destinations", "types")).toMatch(
    /^webhook +Webhook \(signed POST\) +url, secret/m,
  );
  const fields = await here(url, "destinations", "types", "webhook");
  expect(fields).toMatch(/^retry +no +"10x 60s x2 max 12h"/m);
  expect(fields).toMatch(/^order +no +none \| aggregate \| all +none/m);
  await expect(here(url, "destinations", "types", "webhok")).rejects.toThrow(
    'did you mean "webhook"?',
  );
});

const twice = (...args: string[]) => [...args, ...args];

/** What is refused changes nothing. */
let shared: TestDatabase;
beforeAll(async () => {
  shared = await freshDatabase();
});

test.each([
  [["add", "erp", "--type", "webhok"], 'did you mean "webhook"?'],
  [["add", "erp", "--type", "webhook", "--set", "urll=x"], 'did you mean "url"?'],
  [["add", "erp", "--type", "webhook", "--set", "url"], "field=value"],
  [["add", "erp", "--type", "webhook", "--header", "nonsense"], "name: value"],
  [["add", "erp", "--type", "webhook", "--url", "https://a.example"], "`secret` is missing"],
  [["add", "erp", "--type", "null", "--url", "https://a.example"], "no field `url`"],
  [["add", "erp", "--type", "null", "--secret-stdin"], "has no secret"],
  [["add", "erp", "--type", "webhook", "--url", "a", "--set", "url=b"], "`url` is given twice"],
  [["add", "erp", "--type", "webhook", ...twice("--set", "rate=5/s")], "`rate` is given twice"],
  [["add", "erp", "--type", "webhook", ...twice("--header", "x-a: 1")], "`headers.x-a` is given"],
  [["add", "erp", "--type", "webhook", "--secret", "a", "--secret-stdin"], "`secret` is given"],
  [["add", "erp", "--type", "webhook", "--set", "url=a", "--url-stdin"], "`url` is given twice"],
  [["edit", "erp", "--timeout", "5"], 'no destination "erp"'],
  [["rotate", "erp", "--overlap", "soon"], "--overlap"],
  [["test", "erp", "--event", "7"], "UUID"],
  [["test", "erp", "--payload", "{"], "JSON"],
])("R82: destinations %j is refused: %s", async (args, message) => {
  await expect(here(shared.url, "destinations", ...args)).rejects.toThrow(message);
});

test("R94: a secret from stdin is stored sealed, signs, and stands nowhere in the output", async () => {
  const { url } = await freshDatabase();
  const cwd = project();
  const at = await receiver();
  const added = await withStdin(`${SECRET}\n`, { url, cwd }, [
    "destinations",
    "add",
    "erp",
    "--type",
    "webhook",
    "--url",
    at.url,
    "--set",
    "timeout=5m",
    "--secret-stdin",
  ]);
  expect(added).toMatchObject({ code: 0, stdout: 'destination "erp": added\n', stderr: "" });

  const tested = await pawl(["destinations", "test", "erp"], { url, cwd, env: ENV });
  expect(tested.code).toBe(0);
  expect(tested.stdout).toMatch(/^POST http:\/\/127\.0\.0\.1/);
  expect(tested.stdout).toMatch(/^webhook-signature: v1,/m);
  expect(tested.stdout).toContain("erp accepted the event: 200 in");
  const [request] = at.received;
  expect(() =>
    new Webhook(SECRET).verify(request?.body ?? "", request?.headers ?? {}),
  ).not.toThrow();

  const typed = await pawl(["destinations", "edit", "erp", "--secret", SECRET], {
    url,
    cwd,
    env: ENV,
  });
  expect(typed.code).toBe(0);
  expect(typed.stderr).toContain("prefer env:NAME, file:/path or --secret-stdin");
  const keyless = await pawl(["destinations", "edit", "erp", "--secret", SECRET], { url, cwd });
  expect(keyless).toMatchObject({ code: 2, stderr: expect.stringContaining("PAWL_SECRET_KEY") });
  expect(JSON.stringify([added, tested, typed, keyless])).not.toContain(SECRET);
});

test("R94: rotate prints a new secret once; both sign, and show tells until when", async () => {
  const { url } = await freshDatabase();
  const cwd = project();
  const at = await receiver();
  await pawl([...ERP, "--url", at.url], { url, cwd, env: ENV });
  const { json } = await pawlJson<{ secret: string }>(["destinations", "rotate", "erp"], {
    url,
    cwd,
    env: ENV,
  });
  expect((await pawl(["destinations", "test", "erp"], { url, cwd, env: ENV })).code).toBe(0);
  const [request] = at.received;
  for (const key of [SECRET, json.secret]) {
    expect(() =>
      new Webhook(key).verify(request?.body ?? "", request?.headers ?? {}),
    ).not.toThrow();
  }
  const shown = await here(url, "destinations", "show", "erp");
  expect(shown).toMatch(/secret +stored, env:ERP_SECRET \(until \S+Z\)/);
  expect(shown).not.toContain(json.secret);
});

test("R82: test ends with 1 when the receiver refuses, and with --json the error holds the exchange", async () => {
  const { url } = await freshDatabase();
  const cwd = project();
  const at = await receiver(503);
  await pawl([...ERP, "--url", at.url], { url, cwd, env: ENV });
  const text = await pawl(["destinations", "test", "erp"], { url, cwd, env: ENV });
  expect(text).toMatchObject({ code: 1, stdout: expect.stringContaining("503 (") });
  const { code, json } = await pawlJson<ErrorDocument>(["destinations", "test", "erp"], {
    url,
    cwd,
    env: ENV,
  });
  expect(code).toBe(1);
  expect(json.error.code).toBe("delivery_failed");
  expect((json.error.data as unknown as TestResult).exchanges[0]?.answer?.status).toBe(503);
});

test("R97: without an app that permits it, a destination at a private address is refused", async () => {
  const { url } = await freshDatabase();
  const added = await pawl([...ERP, "--url", "http://127.0.0.1:8080/"], { url, env: ENV });
  expect(added).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("127.0.0.1 is loopback"),
  });
});

async function withStdin(
  input: string,
  { url, cwd }: { url: string; cwd: string },
  args: readonly string[],
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, DATABASE_URL: url, ...ENV };
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    env,
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += String(chunk);
  });
  child.stderr.on("data", (chunk) => {
    stderr += String(chunk);
  });
  child.stdin.end(input);
  await once(child, "close");
  return { code: child.exitCode, stdout, stderr };
}

test("R94: a URL that is a secret comes from stdin or by its name, and stays when its mask is written back", async () => {
  const { url } = await freshDatabase();
  const cwd = project();
  const at = await receiver();
  const hook = `${at.url}/services/T0/hunter2`;
  const cli = (...args: string[]) => pawl(["destinations", ...args], { url, cwd, env: ENV });
  const add = ["add", "slack", "--type", "webhook", "--secret", "env:ERP_SECRET"];
  const added = await withStdin(`${hook}\n`, { url, cwd }, ["destinations", ...add, "--url-stdin"]);
  expect(added).toMatchObject({ code: 0, stderr: "" });
  const shown = await cli("show", "slack");
  expect(shown.stdout).toContain(`${at.url}/services/…`);
  expect(await cli("edit", "slack", "--url", `${at.url}/services/…`)).toMatchObject({ code: 0 });
  const other = await cli("edit", "slack", "--url", "https://hooks.slack.com/services/…");
  expect(other).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("write the value in full"),
  });
  expect(await cli("test", "slack")).toMatchObject({ code: 0 });
  const unlisted = await cli("edit", "slack", "--url", "env:SLACK_URL", "--secret", SECRET_REF);
  expect(unlisted).toMatchObject({ code: 2, stderr: expect.stringContaining("operators: { env:") });
  const both = await cli("edit", "slack", "--url-stdin", "--url", hook);
  expect(both).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("--url-stdin is given together with"),
  });
  const typed = await cli("edit", "slack", "--url", `${hook}/2`);
  expect(typed.stderr).toContain("pawl: url: the command line");
  expect(JSON.stringify([added, shown, other, unlisted, both, typed])).not.toContain("hunter2");
  expect(at.received.map((one) => one.path)).toEqual(["/services/T0/hunter2"]);
});
