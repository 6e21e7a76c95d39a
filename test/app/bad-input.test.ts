import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  type AppOptions,
  connect,
  defineApp,
  defineJob,
  env,
  nullDestination,
  on,
  PawlError,
  webhook,
} from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";

const job = defineJob({
  name: "send-email",
  input: z.object({ to: z.string() }),
  run: () => undefined,
});
const anything = defineJob({ name: "anything", input: z.any(), run: () => undefined });
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

function errorOf(call: () => unknown): PawlError {
  try {
    call();
  } catch (error) {
    if (error instanceof PawlError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("definitions", () => {
  const cases: [what: string, call: () => unknown, code: string, message: RegExp][] = [
    [
      "an unknown option",
      () => defineApp({ job: [] } as AppOptions),
      "invalid_option",
      /no option `job`; did you mean "jobs"/,
    ],
    [
      "a job on an unknown queue",
      () => defineApp({ jobs: [{ ...job, queue: "hihg" }] }),
      "unknown_queue",
      /"send-email".*"hihg".*did you mean "high"/,
    ],
    [
      "two jobs of one name",
      () => defineApp({ jobs: [job, { ...job }] }),
      "duplicate_name",
      /two are named "send-email"/,
    ],
    [
      "a route to nowhere",
      () => defineApp({ destinations: { erp: nullDestination() }, routes: [on("*").to("epr")] }),
      "unknown_destination",
      /"epr"; did you mean "erp"/,
    ],
    [
      "a queue's bad attempts",
      () => defineApp({ queues: { high: { retry: { attempts: 0 } } } }),
      "invalid_option",
      /^queues\.high: expected `retry.attempts`.*from 1.*got 0/,
    ],
    [
      "a bad duration",
      () => defineApp({ queues: { high: { retry: { delay: "soon" } } } }),
      "invalid_option",
      /^queues\.high: expected `retry.delay`.*got "soon"/,
    ],
    [
      "a bad queue name",
      () => defineApp({ queues: { "Not Good": {} } }),
      "invalid_option",
      /queue's name.*"Not Good"/,
    ],
    [
      "a job without a schema",
      () => defineJob({ name: "x", input: {} as never, run: () => 1 }),
      "invalid_option",
      /"x".*Standard Schema/,
    ],
    [
      "a job without a name",
      () => defineJob({ name: "", input: z.any(), run: () => 1 }),
      "invalid_option",
      /got ""/,
    ],
    ["a wrong URL", () => webhook({ url: "ftp://x", secret: SECRET }), "invalid_url", /ftp/],
    [
      "a short secret",
      () => webhook({ url: "https://x.example", secret: "whsec_aGk=" }),
      "invalid_option",
      /secret/,
    ],
    ["a bad pattern", () => on("order placed"), "invalid_option", /"order placed"/],
    ["a bad variable name", () => env("not a name"), "invalid_option", /environment variable/],
    [
      "a bad payload limit",
      () => defineApp({ maxPayloadBytes: 1 }),
      "invalid_option",
      /`maxPayloadBytes`.*got 1/,
    ],
  ];
  test.each(cases)(
    "R112: %s is refused with its place, its value and a remedy",
    (_what, call, code, message) => {
      const error = errorOf(call);
      expect(error.code).toBe(code);
      expect(error.message).toMatch(message);
      expect(error.message).not.toContain("MfKQ9r8");
    },
  );
});

describe("payloads", () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = [deep];
  const cases: [what: string, input: unknown, code: string, message: RegExp][] = [
    ["a bigint", { n: 1n }, "payload_not_json", /payload of job "anything".*BigInt/i],
    ["a circle", circle, "payload_not_json", /circular/],
    ["\\u0000", { text: "a\u0000b" }, "payload_not_json", /\\u0000/],
    ["half a surrogate pair", { text: "\ud800" }, "payload_not_json", /surrogate/],
    [
      "too many bytes",
      "x".repeat(1_048_576),
      "payload_too_large",
      /1048578 bytes, the limit is 1048576/,
    ],
    ["too many bytes in few characters", "€".repeat(400_000), "payload_too_large", /1200002 bytes/],
    ["100,000 levels", deep, "payload_not_json", /more than 500 levels/],
  ];
  test.each(cases)(
    "R112: a payload with %s is refused before anything is written",
    async (_what, input, code, message) => {
      const { url } = await freshDatabase();
      const pawl = await connect(defineApp({ jobs: [job, anything] }), {
        databaseUrl: url,
        log: silentLogger,
      });
      const error = await pawl.enqueueMany(anything, ["fine", input]).then(
        () => undefined,
        (thrown: PawlError) => thrown,
      );
      expect(error?.code).toBe(code);
      expect(error?.message).toMatch(message);
      expect(await pawl.store.rows("select 1 from pawl.task")).toEqual([]);
      await pawl.close();
    },
  );

  test("R112: what only looks like an escape of \\u0000 is stored as it is", async () => {
    const { url } = await freshDatabase();
    const pawl = await connect(defineApp({ jobs: [anything] }), {
      databaseUrl: url,
      log: silentLogger,
    });
    const { id } = await pawl.enqueue(anything, { path: "C:\\u0000", pair: "😀" });
    expect((await pawl.task(id))?.payload).toEqual({ path: "C:\\u0000", pair: "😀" });
    await pawl.close();
  });

  test("R65, R112: an unknown kind, a schema mismatch and bad options are refused by the typed API", async () => {
    const { url } = await freshDatabase();
    const pawl = await connect(defineApp({ jobs: [job] }), { databaseUrl: url, log: silentLogger });
    await expect(pawl.enqueue(anything, 1)).rejects.toMatchObject({ code: "unknown_kind" });
    await expect(pawl.enqueue(job, { to: 1 } as never)).rejects.toMatchObject({
      code: "invalid_payload",
    });
    await expect(pawl.enqueue(job, { to: "a" }, { priority: 4 })).rejects.toThrow(
      /`priority`.*from 0 to 3, got 4/,
    );
    await expect(
      pawl.enqueue(job, { to: "a" }, { delay: "1s", runAt: new Date() }),
    ).rejects.toThrow(/give one/);
    await expect(pawl.enqueue(job, { to: "a" }, { runAt: new Date("x") })).rejects.toThrow(
      /valid Date/,
    );
    await expect(pawl.record("bad name", { aggregate: ["a", 1], payload: 1 })).rejects.toThrow(
      /"bad name"/,
    );
    await expect(pawl.record("x", { aggregate: "a" as never, payload: 1 })).rejects.toThrow(
      /\[type, id\]/,
    );
    await expect(pawl.work({ queues: ["hihg"] })).rejects.toMatchObject({ code: "unknown_queue" });
    await expect(pawl.work({ concurency: 3 } as never)).rejects.toThrow(
      /did you mean "concurrency"/,
    );
    await expect(pawl.enqueue(job, { to: "a" }, { dely: "1s" } as never)).rejects.toThrow(
      /did you mean "delay"/,
    );
    await expect(connect(pawl.app, { url } as never)).rejects.toThrow(/connect: no option `url`/);
    await expect(pawl.work({ concurrency: 0 })).rejects.toThrow(/`concurrency`.*got 0/);
    expect(
      await pawl.store.rows("select 1 from pawl.task union all select 1 from pawl.event"),
    ).toEqual([]);
    await pawl.close();
  });
});

describe("databases", () => {
  const app = defineApp({ jobs: [job] });

  test("R112: a database that is not there says which variable to check", async () => {
    const refused = connect(app, {
      databaseUrl: "postgresql://x@127.0.0.1:1/x",
      log: silentLogger,
    });
    await expect(refused).rejects.toMatchObject({ code: "database_unreachable" });
    await expect(refused).rejects.toThrow(/DATABASE_URL/);
  });

  test("R112: a URL of something else shows no password", async () => {
    const refused = connect(app, {
      databaseUrl: "mysql://root:hunter2@host/db",
      log: silentLogger,
    });
    await expect(refused).rejects.toMatchObject({ code: "invalid_url" });
    await expect(refused).rejects.not.toThrow(/hunter2/);
  });

  test("R112: a database without the schema names the command that makes it", async () => {
    const { url } = await freshDatabase({ migrated: false });
    const refused = connect(app, { databaseUrl: url, log: silentLogger });
    await expect(refused).rejects.toMatchObject({ code: "schema_missing" });
    await expect(refused).rejects.toThrow(/pawl migrate/);
  });

  test("R112: a role without rights is told so", async () => {
    const { url } = await freshDatabase();
    const admin = await connect(app, { databaseUrl: url, log: silentLogger });
    const role = `pawl_poor_${randomBytes(6).toString("hex")}`;
    await admin.store.rows(`create role ${role} login password 'poor'`);
    const poorUrl = url.replace(/^(postgres(?:ql)?:\/\/)[^@/]*@/, `$1${role}:poor@`);
    const refused = connect(app, { databaseUrl: poorUrl, log: silentLogger });
    await expect(refused).rejects.toMatchObject({ code: "database_permission" });
    await admin.store.rows(`drop role ${role}`);
    await admin.close();
  });
});
