/** What a message names: the thing that is wrong, where it stands, and nothing else. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { PawlError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/log.ts";
import { loadConfig } from "../../src/cli/load-config.ts";
import { checkPage } from "../../src/inbox/contract.ts";
import {
  type AppOptions,
  connect,
  defineApp,
  env,
  file,
  httpSource,
  on,
  type Pawl,
  rabbitmq,
  rabbitmqStreamSource,
  webhook,
} from "../../src/index.ts";
import { deliveriesOf } from "../../src/outbox/sql.ts";
import { defineKey, signJwt } from "../../src/requests/keys/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const { url } = await freshDatabase();
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async function connected(options: AppOptions): Promise<Pawl> {
  const app = defineApp({ name: "messages", ...options });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  return pawl;
}

describe("a variable or file that is missing is told with what refers to it", () => {
  const erp = (more: object) =>
    webhook({ url: "https://erp.example/hooks", secret: SECRET, ...more });
  test.each<[string, AppOptions, RegExp]>([
    [
      "a header",
      { destinations: { erp: erp({ headers: { "x-token": env("PAWL_TEST_NONE") } }) } },
      /^destination "erp": webhook header "x-token": the environment variable PAWL_TEST_NONE is not set/,
    ],
    [
      "a secret in a file",
      { destinations: { erp: erp({ secret: file("/nowhere/erp") }) } },
      /^destination "erp": .*\/nowhere\/erp/,
    ],
    [
      "a broker",
      { destinations: { crm: rabbitmq({ url: env("PAWL_TEST_NONE"), queue: "q" }) } },
      /^destination "crm": .*PAWL_TEST_NONE/,
    ],
    ["a key", { keys: { crm: { secret: env("PAWL_TEST_NONE") } } }, /^key "crm": .*PAWL_TEST_NONE/],
    [
      "a stream",
      { sources: [rabbitmqStreamSource({ name: "s", url: env("PAWL_TEST_NONE"), stream: "s" })] },
      /^source "s".*PAWL_TEST_NONE/,
    ],
    [
      "a feed",
      {
        sources: [
          httpSource({
            name: "f",
            url: "https://feed.example",
            page: "id",
            headers: { "x-key": env("PAWL_TEST_NONE") },
          }),
        ],
      },
      /^source "f".*"x-key".*PAWL_TEST_NONE/,
    ],
  ])("at the start: %s", async (_, options, message) => {
    const pawl = await connected(options);
    await expect(pawl.work()).rejects.toMatchObject({
      code: "invalid_environment",
      message: expect.stringMatching(message),
    });
  });

  test("at a delivery, when it went missing since the start", async () => {
    vi.stubEnv("PAWL_TEST_HEADER", "one");
    onTestFinished(() => void vi.unstubAllEnvs());
    const pawl = await connected({
      destinations: { late: erp({ headers: { "x-token": env("PAWL_TEST_HEADER") } }) },
      routes: [on("late.*").to("late")],
    });
    await pawl.work();
    vi.stubEnv("PAWL_TEST_HEADER", "");
    const { id } = await pawl.record("late.one", { aggregate: ["a", 1], payload: {} });
    const failed = await until("the delivery failed", async () => {
      const [row] = await deliveriesOf(pawl.store, id);
      return row?.error ?? undefined;
    });
    expect(JSON.stringify(failed)).toContain('destination \\"late\\": webhook header');
  });

  test("a host that is refused names its destination or source", () => {
    expect(() =>
      defineApp({ destinations: { erp: webhook({ url: "http://10.0.0.1/", secret: SECRET }) } }),
    ).toThrow(/^destination "erp": /);
    expect(() =>
      defineApp({ sources: [httpSource({ name: "f", url: "http://10.0.0.1/", page: "id" })] }),
    ).toThrow(/^source "f": /);
  });
});

describe("a config that cannot be loaded is told with its file and line:", () => {
  test.each<[string, Record<string, string>, RegExp]>([
    [
      "it throws",
      { "pawl.config.ts": "const a: number = 1;\n\nthrow new TypeError('no good');\n" },
      /TypeError: no good \(at .*\/pawl\.config\.ts:3:\d+\)/,
    ],
    [
      "a function of it throws",
      { "pawl.config.ts": "function boom(): never {\n  throw new Error('no good');\n}\nboom();\n" },
      /no good \(at .*\/pawl\.config\.ts:[24]:\d+\)/,
    ],
    [
      "its syntax is wrong",
      { "pawl.config.ts": "export default {\n  a: 1\n  b: 2,\n};\n" },
      /Unexpected token.*\/pawl\.config\.ts:3:\d+/,
    ],
    [
      "a file that it imports is wrong",
      { "pawl.config.ts": 'import "./jobs.ts";\n', "jobs.ts": "const x = ;\n" },
      /\/jobs\.ts:1:\d+/,
    ],
    [
      "JavaScript's syntax is wrong",
      { "pawl.config.mjs": "export default {\n  a: 1\n  b: 2,\n};\n" },
      /\/pawl\.config\.mjs:3:\d+/,
    ],
    [
      "it rejects",
      {
        "pawl.config.ts":
          "const a = 1;\nawait Promise.reject(new Error('later'));\nexport default a;\n",
      },
      /later \(at .*\/pawl\.config\.ts:2:\d+\)/,
    ],
    ["it throws a text", { "pawl.config.ts": "throw 'a text';\n" }, /failed: Error: a text/],
    ["an import is missing", { "pawl.config.ts": '\nimport "./nowhere.ts";\n' }, /nowhere/],
  ])("%s", async (_, files, message) => {
    const folder = await mkdtemp(join(tmpdir(), "pawl-config-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const config = join(folder, Object.keys(files)[0] ?? "");
    const failed = loadConfig(config);
    await expect(failed).rejects.toMatchObject({ code: "config_failed" });
    await expect(failed).rejects.toThrow(message);
    await expect(failed).rejects.not.toThrow(/\n/);
  });

  test("what Pawl refuses keeps its code, and says which line of the config has it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "pawl-config-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const config = join(folder, "pawl.config.ts");
    const index = new URL("../../src/index.ts", import.meta.url).pathname;
    await writeFile(
      config,
      `import { defineApp } from "${index}";\n\nexport default defineApp({\n  nmae: "x",\n});\n`,
    );
    const failed = loadConfig(config);
    await expect(failed).rejects.toThrow(/pawl\.config\.ts:3:\d+/);
    await expect(failed).rejects.toThrow(/no option `nmae`/);
  });
});

describe("a bigint is refused with its path", () => {
  test("in the body and the claims of a request, and in claims that are signed", async () => {
    const pawl = await connected({ keys: { crm: { secret: "s".repeat(64) } } });
    const to = { method: "POST", url: "https://erp.example" } as const;
    const sends = [
      { ...to, envelope: false, body: { rows: [{ id: 5n }] } },
      { ...to, jwt: { key: "crm", claims: { body: { id: 5n } } } },
    ];
    for (const spec of sends)
      await expect(pawl.request(spec)).rejects.toThrow(/\.id is the bigint 5n/);
    const key = defineKey("crm", { secret: "s".repeat(64) });
    await expect(signJwt({ key, claims: { body: { id: 5n } } })).rejects.toThrow(
      /claims\.body\.id is the bigint 5n/,
    );
    await expect(
      pawl.request({ ...to, envelope: false, body: { at: Number.NaN } }),
    ).rejects.toThrow(/body\.at/);
  });

  test("in the payload, the meta and what a page of a source keeps", async () => {
    const pawl = await connected({});
    const aggregate = ["order", 1] as const;
    await expect(pawl.record("a.b", { aggregate, payload: { id: 5n } })).rejects.toThrow(
      /payload\.id is the bigint/,
    );
    await expect(pawl.record("a.b", { aggregate, payload: 1, meta: { id: 5n } })).rejects.toThrow(
      /meta\.id is the bigint/,
    );
    const asked = { cursor: "number", after: "0", limit: 10, payloadBytesMax: 10_000 } as const;
    const state = { id: 5n } as never;
    expect(() => checkPage({ events: [], state }, asked)).toThrow(/state\.id is the bigint/);
    expect(checkPage({ events: [{ id: "1", payload: { id: 5n } }] }, asked).events).toMatch(
      /payload\.id is the bigint/,
    );
  });
});

test("an error without data has none in its JSON", () => {
  expect(JSON.stringify(new PawlError("database_error", "gone"))).toBe(
    '{"code":"database_error","message":"gone"}',
  );
  expect(new PawlError("database_error", "gone", { data: { a: 1 } }).toJSON()).toHaveProperty(
    "data",
  );
});

test("of a task with one wrong field only the rule of that field is told", async () => {
  const pawl = await connected({});
  const tasks = { key: "", ref: "", lane: "", ttl_ms: -1, run_at: "x", meta: [1] };
  for (const [field, value] of Object.entries(tasks)) {
    const json = JSON.stringify([{ kind: "a", queue: "low", [field]: value }]);
    const failed = await pawl.store
      .rows("select pawl.enqueue($1)", [json])
      .catch((e: unknown) => e);
    const others = Object.keys(tasks).filter((one) => one !== field);
    expect(String(failed)).toContain(`bad ${field}`);
    for (const other of others) expect(String(failed)).not.toMatch(new RegExp(`\\b${other}\\b`));
  }
});
