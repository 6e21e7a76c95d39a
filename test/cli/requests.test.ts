import path from "node:path";
import { jwtVerify } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, type Pawl } from "../../src/index.ts";
import config from "../requests/dispatch/fixture/pawl.config.ts";
import { ended, failed, receiver, SECRET } from "../requests/dispatch/support.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";
import { type ErrorDocument, MAIN, pawlProcess } from "./cli.ts";
import { here, hereJson } from "./here.ts";

const CONFIG = path.join(import.meta.dirname, "../requests/dispatch/fixture/pawl.config.ts");

beforeAll(() => {
  process.env.PAWL_TEST_CRM_KEY = SECRET;
});

interface Project {
  url: string;
  pawl: Pawl;
  cli: <T = Record<string, unknown>>(...args: string[]) => Promise<T>;
}

async function project(run: (project: Project) => Promise<void>): Promise<void> {
  const { url } = await freshDatabase({ longLeases: true });
  const pawl = await connect(config, { databaseUrl: url, log: silentLogger });
  const cli = <T>(...args: string[]) => hereJson<T>(url, ...args, "--config", CONFIG);
  try {
    await run({ url, pawl, cli });
  } finally {
    await pawl.close();
  }
}

const refused = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: { code: string; exitCode: number; message: string }) => error,
  );

describe("pawl requests run", () => {
  test("R7: exactly the named request is sent, due or not, and no other", () =>
    project(async ({ pawl, cli }) => {
      const { url, received } = await receiver([{ status: 200 }]);
      const spec = { method: "POST", body: "x" } as const;
      const others = await Promise.all([1, 2, 3].map(() => pawl.request({ ...spec, url })));
      const runAt = new Date(Date.now() + 3_600_000);
      const { id } = await pawl.request({ ...spec, url: `${url}/this`, runAt });
      const answer = await cli("requests", "run", id);
      expect(answer).toMatchObject({ id, sent: true, attempt: 1 });
      expect(received.map((one) => one.path)).toEqual(["/this"]);
      expect((await pawl.task(id))?.state).toBe("done");
      for (const other of others) expect((await pawl.task(other.id))?.state).toBe("ready");
      // and the others are still found by a worker
      await pawl.work();
      for (const other of others) expect((await ended(pawl, other.id)).state).toBe("done");
      expect(received).toHaveLength(4);
    }));

  test("R7: a try that failed exits 1 and is tried again in its time by a worker", () =>
    project(async ({ pawl, cli }) => {
      const { url, received } = await receiver([{ status: 500 }, { status: 500 }, { status: 200 }]);
      const { id } = await pawl.request({ method: "POST", url, body: "x", interval: "1s" });
      for (const attempt of [1, 2]) {
        const error = await refused(cli("requests", "run", id));
        expect(error).toMatchObject({ code: "request_not_sent", exitCode: 1 });
        expect(error?.message).toContain("answered 500");
        expect(await failed(pawl, id, attempt)).toMatchObject({ attempt });
      }
      await pawl.work();
      expect(await ended(pawl, id)).toMatchObject({ state: "done", attempt: 3 });
      const envelopes = received.map((one) => JSON.parse(one.body).__task.attempt.number);
      expect(envelopes).toEqual([1, 2, 3]);
    }));

  test("R7: spent attempts exit 1; a stop code, an expiry, an end and an unknown id exit 2", () =>
    project(async ({ pawl, cli }) => {
      const { url, received } = await receiver((one) => ({ status: Number(one.path?.slice(1)) }));
      const spec = { method: "POST", body: "x", attempts: 1 } as const;
      const spent = await pawl.request({ ...spec, url: `${url}/500` });
      const stopped = await pawl.request({ ...spec, url: `${url}/418` });
      const expired = await pawl.request({ ...spec, url: `${url}/200`, expiresAt: new Date() });
      expect(await refused(cli("requests", "run", spent.id))).toMatchObject({
        exitCode: 1,
        message: expect.stringContaining("used up"),
      });
      expect(await refused(cli("requests", "run", stopped.id))).toMatchObject({ exitCode: 2 });
      expect(await refused(cli("requests", "run", expired.id))).toMatchObject({ exitCode: 2 });
      expect(await refused(cli("requests", "run", stopped.id))).toMatchObject({
        code: "request_over",
        message: expect.stringContaining("stop-code"),
      });
      expect(await refused(cli("requests", "run", "999999"))).toMatchObject({ exitCode: 2 });
      expect(received.map((one) => one.path)).toEqual(["/500", "/418"]);
      const reasons = await Promise.all(
        [spent, stopped, expired].map(async ({ id }) => (await pawl.task(id))?.reason),
      );
      expect(reasons).toEqual(["attempts", "stop-code", "expired"]);
    }));

  test("R7: what is off, or being sent by a worker, is not sent a second time", () =>
    project(async ({ pawl, cli }) => {
      let answer: (() => void) | undefined;
      const held = new Promise<void>((resolve) => {
        answer = resolve;
      });
      const { url, received } = await receiver(async () => {
        await held;
        return { status: 200 };
      });
      const { id } = await pawl.request({ method: "POST", url, body: "x", timeout: "10m" });
      await cli("off", "queue:requests");
      expect(await refused(cli("requests", "run", id))).toMatchObject({
        code: "request_not_sent",
        message: expect.stringContaining("off"),
      });
      await cli("on", "queue:requests");
      await pawl.work();
      await until("it is being sent", () => received.length === 1);
      expect(await refused(cli("requests", "run", id))).toMatchObject({
        message: expect.stringContaining("right now"),
      });
      answer?.();
      expect(await ended(pawl, id)).toMatchObject({ state: "done", attempt: 1 });
      expect(received).toHaveLength(1);
    }));

  test("R7: the exit codes of the real command are 0, 1 and 2", () =>
    project(async ({ url: databaseUrl, pawl }) => {
      const { url } = await receiver((one) => ({ status: Number(one.path?.slice(1)) }));
      const options = { url: databaseUrl, env: { PAWL_TEST_CRM_KEY: SECRET } };
      const jwt = { claims: { cid: 1 }, key: "crm" };
      const ids = await Promise.all(
        ["200", "500", "418"].map((status) =>
          pawl.request({ method: "POST", url: `${url}/${status}`, jwt }),
        ),
      );
      const runs = ids.map(({ id }) =>
        pawlProcess(["requests", "run", id, "--config", CONFIG], options),
      );
      const codes = (await Promise.all(runs)).map((one) => one.code);
      expect(codes).toEqual([0, 1, 2]);
      const { code, stdout } = await pawlProcess(
        ["requests", "run", "nonsense", "--config", CONFIG, "--json"],
        options,
      );
      const { error }: ErrorDocument = JSON.parse(stdout);
      expect([code, error.code]).toEqual([2, "invalid_option"]);
    }));
});

describe("looking", () => {
  test("R13: requests are listed and filtered by company, plugin, host and status", () =>
    project(async ({ url: databaseUrl, pawl, cli }) => {
      const { url, host } = await receiver([{ status: 200 }]);
      const spec = { method: "GET", url: `${url}/?token=secret`, body: "" } as const;
      const sent = [
        await pawl.request({ ...spec, tenant: { company: 5, plugin: "pbx-1" } }),
        await pawl.request({ ...spec, tenant: { company: "5", plugin: "chat" } }),
        await pawl.request({ ...spec, tenant: { company: 6 } }),
        await pawl.request(spec),
      ].map((one) => one.id);
      const ids = async (...args: string[]) =>
        (await cli<{ requests: { id: string }[] }>("requests", "list", ...args)).requests.map((r) =>
          sent.indexOf(r.id),
        );
      for (const state of ["ready", "done"]) {
        if (state === "done") {
          await pawl.work();
          for (const id of sent) await ended(pawl, id);
        }
        expect(await ids()).toEqual([3, 2, 1, 0]);
        expect(await ids("--company", "5")).toEqual([1, 0]);
        expect(await ids("--company", "5", "--plugin", "chat", "--status", state)).toEqual([1]);
        expect(await ids("--plugin", "pbx-1")).toEqual([0]);
        expect(await ids("--host", host, "--limit", "2")).toEqual([3, 2]);
        expect(await ids("--host", "elsewhere.example")).toEqual([]);
        expect(await ids("--status", "dead")).toEqual([]);
      }
      const text = await here(databaseUrl, "requests", "list", "--config", CONFIG);
      expect(text).toContain("pbx-1");
      expect(text).not.toContain("secret");
    }));

  test("R5: show tells number, limit, interval, the last answer, and every try", () =>
    project(async ({ url: databaseUrl, pawl, cli }) => {
      const headers = { "x-trace": "t1", "set-cookie": "sid=1" };
      const { url } = await receiver([
        { status: 500, headers, body: "first" },
        { status: 503, headers, body: "second" },
        { status: 200, body: "third" },
      ]);
      const body = "aaaa.bbbb.SIGNATURE";
      const { id } = await pawl.request({
        method: "PUT",
        url,
        body,
        attempts: 9,
        interval: "100ms",
      });
      const worker = await pawl.work();
      await ended(pawl, id);
      const { request, tries } = await cli<{ request: object; tries: object[] }>(
        "requests",
        "show",
        id,
      );
      expect(request).toMatchObject({
        state: "done",
        method: "PUT",
        body: "aaaa.bbbb.***",
        attempt: { number: 3, limit: 9, intervalMs: 100, lastStatus: 200 },
      });
      expect(tries).toMatchObject([
        {
          attempt: 1,
          outcome: "retry",
          status: 500,
          body: "first",
          durationMs: expect.any(Number),
        },
        { attempt: 2, outcome: "retry", status: 503, workerId: expect.any(String) },
        { attempt: 3, outcome: "sent", status: 200, body: "third", at: expect.any(String) },
      ]);
      expect(tries[0]).toMatchObject({ headers: { "x-trace": "t1", "set-cookie": "***" } });
      const text = await here(databaseUrl, "requests", "show", id, "--config", CONFIG);
      expect(text).toContain("3 of 9, every 0.1 s");
      expect(text).not.toContain("SIGNATURE");
      await worker.stop();
    }));

  test("an id that is no request is not shown as one", () =>
    project(async ({ cli }) => {
      expect(await refused(cli("requests", "show", "77"))).toMatchObject({ exitCode: 3 });
      expect(await refused(cli("requests", "list", "--status", "deed"))).toMatchObject({
        message: expect.stringContaining("dead"),
      });
    }));
});

describe("acting", () => {
  test("R7: stop ends a request with its reason in the audit; retry sends a dead one again with fresh attempts", () =>
    project(async ({ pawl, cli }) => {
      const { url, received } = await receiver([{ status: 500 }, { status: 200 }]);
      const spec = { method: "POST", url, body: "x", attempts: 1 } as const;
      const stopped = await pawl.request(spec);
      expect(await cli("requests", "stop", stopped.id, "--why", "ordered twice")).toMatchObject({
        stopped: [stopped.id],
      });
      const audit = await cli<{ audit: object[] }>("audit");
      expect(JSON.stringify(audit)).toContain("ordered twice");
      const { id } = await pawl.request({ ...spec, expiresIn: "1h", interval: "10s" });
      await pawl.work();
      expect((await ended(pawl, id)).state).toBe("dead");
      expect(await refused(cli("requests", "retry", stopped.id))).toMatchObject({ exitCode: 3 });
      expect(await cli("requests", "retry", id)).toMatchObject({ retried: [id] });
      await until("sent", async () => (await pawl.task(id))?.state === "done");
      expect((await pawl.task(id))?.attempt).toBe(1);
      expect(received).toHaveLength(2);
    }));

  test("R7: a dry run of stop and of retry says what they would do, refuses what they refuse, and changes nothing", () =>
    project(async ({ url: databaseUrl, pawl, cli }) => {
      const { url } = await receiver([{ status: 500 }]);
      const spec = { method: "POST", url, body: "x", attempts: 1 } as const;
      const dead = await pawl.request(spec);
      expect(await refused(cli("requests", "run", dead.id))).toMatchObject({ exitCode: 1 });
      const [now, later] = await Promise.all([
        pawl.request(spec),
        pawl.request({ ...spec, runAt: new Date(Date.now() + 3_600_000) }),
      ]);
      const ids = [now.id, later.id];
      const stop = { action: "stop", stopped: ids, requested: [] };
      expect(await cli("requests", "stop", ...ids, "--dry-run")).toEqual({ ...stop, dryRun: true });
      const retry = { action: "retry", retried: [dead.id] };
      const again = await cli("requests", "retry", dead.id, "--dry-run");
      expect(again).toEqual({ ...retry, dryRun: true });
      expect(await here(databaseUrl, "requests", "stop", ...ids, "--dry-run")).toBe(
        "would stop 2 requests",
      );
      for (const args of [
        ["stop", now.id, dead.id],
        ["retry", dead.id, now.id],
      ])
        expect(await refused(cli("requests", ...args, "--dry-run"))).toMatchObject({ exitCode: 3 });
      expect(await cli("audit")).toMatchObject({ audit: [{ action: "requests.run" }] });
      expect(await cli("requests", "stop", ...ids)).toEqual({ ...stop, dryRun: false });
      expect(await cli("requests", "retry", dead.id)).toEqual({ ...retry, dryRun: false });
    }));
});

describe("pawl keys", () => {
  test("R10: a key of an operator signs at once, is rotated, and is nowhere in the clear", () =>
    project(async ({ url: databaseUrl, pawl, cli }) => {
      process.env.PAWL_TEST_OPERATOR = "o".repeat(64);
      process.env.PAWL_TEST_OPERATOR_2 = "p".repeat(64);
      const { url, received } = await receiver([{ status: 200 }]);
      const jwt = { claims: { cid: 7 }, key: "partner" };
      const spec = { method: "POST", url, jwt } as const;
      expect(await refused(pawl.request(spec))).toMatchObject({ code: "invalid_option" });
      await cli("keys", "add", "partner", "--secret", "env:PAWL_TEST_OPERATOR", "--kid", "k1");
      await until("the key is known", () => pawl.request(spec).then(Boolean, () => false));
      await pawl.work();
      await until("sent", () => received.length === 1);
      const verify = (index: number, secret: string) =>
        jwtVerify(
          JSON.parse(received[index]?.body ?? "{}").request,
          new TextEncoder().encode(secret),
        );
      const { payload, protectedHeader } = await verify(0, "o".repeat(64));
      expect([payload.cid, protectedHeader.kid]).toEqual([7, "k1"]);
      await cli("keys", "rotate", "partner", "--secret", "env:PAWL_TEST_OPERATOR_2", "--kid", "k2");
      await until("the new secret signs", async () => {
        await ended(pawl, (await pawl.request(spec)).id);
        return verify(received.length - 1, "p".repeat(64)).then(Boolean, () => false);
      });
      const { keys } = await cli<{ keys: { name: string; secrets: string[]; by: string }[] }>(
        "keys",
        "list",
      );
      expect(keys.map((key) => [key.name, key.secrets])).toEqual([
        ["crm", ["env:PAWL_TEST_CRM_KEY"]],
        ["partner", ["env:PAWL_TEST_OPERATOR_2", "env:PAWL_TEST_OPERATOR"]],
      ]);
      await cli("keys", "remove", "partner", "--why", "left us");
      expect(await refused(cli("keys", "remove", "partner"))).toMatchObject({ exitCode: 3 });
      expect(JSON.stringify(await cli("audit"))).toContain("left us");
      expect(databaseUrl).not.toBe("");
    }));

  test("R10: a secret from stdin is sealed; one on the command line, and a name of the code, are refused", () =>
    project(async ({ url, pawl, cli }) => {
      const plain = "z".repeat(64);
      const argued = await refused(cli("keys", "add", "p2", "--secret", plain));
      expect(argued).toMatchObject({ code: "invalid_option" });
      expect(argued?.message).not.toContain(plain);
      expect(
        await refused(cli("keys", "add", "crm", "--secret", "env:PAWL_TEST_OTHER")),
      ).toMatchObject({ code: "owned_by_code" });
      // both before anybody types a secret
      expect(await refused(cli("keys", "add", "crm"))).toMatchObject({ code: "owned_by_code" });
      expect(await refused(cli("keys", "rotate", "none"))).toMatchObject({ code: "key_not_found" });
      await cli("keys", "add", "p3", "--secret", "file:/run/secrets/p3");
      expect(
        await refused(cli("keys", "add", "p3", "--secret", "env:PAWL_TEST_OTHER")),
      ).toMatchObject({ code: "duplicate_name" });
      const env = {
        PAWL_TEST_CRM_KEY: SECRET,
        PAWL_SECRET_KEY: Buffer.alloc(32, 5).toString("base64"),
      };
      const { code, stdout } = await typed(["keys", "add", "p2"], plain, { url, env });
      expect([code, stdout]).toEqual([0, expect.stringContaining("stored")]);
      const rows = await pawl.store.rows("select * from pawl.key");
      expect(JSON.stringify(rows)).not.toContain(plain);
      expect(JSON.stringify(rows)).toContain("sealed");
      const short = await typed(["keys", "add", "p4"], "short", { url, env });
      expect([short.code, short.stderr]).toEqual([2, expect.stringContaining("64")]);
    }));
});

async function typed(
  args: string[],
  input: string,
  { url, env }: { url: string; env: Record<string, string> },
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { spawn } = await import("node:child_process");
  const child = spawn(process.execPath, [MAIN, ...args, "--config", CONFIG], {
    env: { ...process.env, DATABASE_URL: url, ...env },
  });
  const [stdout, stderr]: string[] = ["", ""];
  const seen = { stdout, stderr };
  child.stdout.on("data", (chunk) => {
    seen.stdout += String(chunk);
  });
  child.stderr.on("data", (chunk) => {
    seen.stderr += String(chunk);
  });
  child.stdin.end(`${input}\n`);
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, stdout: seen.stdout ?? "", stderr: seen.stderr ?? "" };
}
