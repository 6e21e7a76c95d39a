/** Steps that write a request and wait for its end. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  type AnyProcess,
  connect,
  defineApp,
  defineProcess,
  type Pawl,
  type RunBefore,
} from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { LONG_LEASE } from "../support/kernel.ts";
import { untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const input = z.object({ order: z.number() });
const BASE = { version: 1, input, retry: { attempts: 2, delay: 0 } } as const;
const resultOf = async (pawl: Pawl, id: string) => (await pawl.task(id))?.result;

/** A receiver that answers what `status` says, and counts. */
async function receiver(): Promise<{ url: string; status: { code: number }; seen: string[] }> {
  const status = { code: 202 };
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(request.url ?? "");
    response.writeHead(status.code).end("taken");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, status, seen };
}

async function pawlWith(processes: readonly AnyProcess[], options: object = {}): Promise<Pawl> {
  const app = defineApp({ processes, http: { allow: ["127.0.0.1"] }, ...options });
  const { url } = await freshDatabase();
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  await pawl.store.rows(LONG_LEASE);
  return pawl;
}

const notifies = (url: string, options: object = {}) =>
  defineProcess({
    ...BASE,
    name: "notifies",
    steps: (s) =>
      s
        .send("notify", {
          request: ({ input: { order } }) => ({
            method: "POST",
            url: `${url}/orders/${order}`,
            body: "order",
            attempts: 1,
          }),
          ...options,
        })
        .call("end", ({ outputs: { notify } }) => {
          const code: number | undefined = notify.result?.status;
          // @ts-expect-error no such field
          const no: unknown = notify.result?.code;
          return { code, no, ...notify, result: null };
        }),
  });

test("a run waits for its request, which is sent once, and reads how it ended", async () => {
  const { url, seen } = await receiver();
  const process = notifies(url);
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { order: 7 });
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toMatchObject({ status: "done", code: 202, error: null });
  expect(seen).toEqual(["/orders/7"]);
});

test("a run whose request is dead waits on and says so; what retries the request lets it go on", async () => {
  const { url, seen, status } = await receiver();
  status.code = 500;
  const process = notifies(url);
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { order: 7 });
  await pawl.work();
  const { run } = await until("its request is dead", async () => {
    const shown = await pawl.processes.show(id);
    const isTold = shown?.run.status === "waiting"; // it looks at each end, also at one that is none
    return isTold && shown.run.waitsForTask?.status === "dead" && shown;
  });
  expect(run).toMatchObject({
    status: "waiting",
    waitsFor: null,
    waitsForTask: { queue: "requests", kind: expect.stringContaining("request:127.0.0.1") },
  });
  status.code = 200;
  await pawl.dead.retry([run.waitsForTask?.id ?? ""]);
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toMatchObject({ id: run.waitsForTask?.id, code: 200 });
  expect(seen).toHaveLength(2);
});

test("with `continue` a dead request lets the run go on, with what was wrong; a removed one does always", async () => {
  const { url, status } = await receiver();
  status.code = 500;
  const goesOn = notifies(url, { onDead: "continue" });
  const pawl = await pawlWith([goesOn]);
  const { id } = await pawl.start(goesOn, { order: 7 });
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toMatchObject({
    status: "dead",
    result: null,
    error: expect.stringContaining("500"),
  });

  const waits = notifies(url);
  const other = await pawlWith([waits]);
  const { id: second } = await other.start(waits, { order: 8 });
  await other.work();
  const request = await until("its request is dead", async () => {
    const task = (await other.processes.show(second))?.run.waitsForTask;
    return task?.status === "dead" && task;
  });
  await other.dead.remove([request.id]);
  await untilStatus(other, second, "done");
  expect(await resultOf(other, second)).toMatchObject({ id: request.id, status: "removed" });
});

test("after its timeout a run goes on while its request is still tried", async () => {
  const { url } = await receiver();
  const process = notifies(url, { timeout: "1ms" });
  const pawl = await pawlWith([process], { requests: {} });
  await pawl.off("queue:requests", { why: "not yet" });
  const { id } = await pawl.start(process, { order: 7 });
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toMatchObject({ status: "timeout", result: null, error: null });
  expect(await pawl.requests.list()).toMatchObject([{ state: "ready" }]);
});

/** A run that waits for its request, which is dead; its worker has stopped. */
async function waitsForDead(url: string): Promise<{ pawl: Pawl; id: string }> {
  const process = notifies(url);
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { order: 7 });
  const worker = await pawl.work();
  await until("it is dead", async () => (await pawl.dead.list()).length === 1);
  await untilStatus(pawl, id, "waiting");
  await worker.stop();
  return { pawl, id };
}

async function nextVersion(before: Pawl, processes: readonly AnyProcess[]): Promise<Pawl> {
  const app = defineApp({ processes, http: { allow: ["127.0.0.1"] } });
  const pawl = await connect(app, { databaseUrl: before.databaseUrl, log: silentLogger });
  onTestFinished(() => pawl.close());
  await pawl.work();
  return pawl;
}
const MIGRATES = {
  name: "notifies",
  version: 2,
  migrate: { 1: ({ step }: RunBefore) => ({ step }) },
} as const;

test("a run that goes on in another version waits for the same request, and sends no second one", async () => {
  const { url, seen, status } = await receiver();
  status.code = 500;
  const { pawl: before, id } = await waitsForDead(url);
  const pawl = await nextVersion(before, [
    defineProcess({
      ...BASE,
      ...MIGRATES,
      steps: (s) =>
        s
          .send("notify", {
            request: () => ({ method: "POST", url: `${url}/again`, body: "again", attempts: 1 }),
          })
          .call("end", ({ outputs: { notify } }) => notify),
    }),
  ]);
  expect((await pawl.processes.migrate("notifies", { from: 1 })).count).toBe(1);
  expect((await untilStatus(pawl, id, "waiting")).run.version).toBe(2);
  status.code = 202;
  await pawl.dead.retry({ all: true });
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toMatchObject({ status: "done" });
  expect(seen).toEqual(["/orders/7", "/orders/7"]);
});

test("a step that was a `send` and is a `child` now starts its child: it does not take the request for it", async () => {
  const { url, status } = await receiver();
  status.code = 500;
  const { pawl: before, id } = await waitsForDead(url);
  const sub = defineProcess({ ...BASE, name: "sub", steps: (s) => s.call("one", () => 1) });
  const pawl = await nextVersion(before, [
    sub,
    defineProcess({
      ...BASE,
      ...MIGRATES,
      steps: (s) => s.child("notify", { process: sub, input: ({ input: given }) => given }),
    }),
  ]);
  expect((await pawl.processes.migrate("notifies", { from: 1 })).count).toBe(1);
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toMatchObject({ status: "done", output: 1 });
});

test("a request that cannot be written fails the step by its policy, and nothing is sent", async () => {
  const tries: number[] = [];
  const process = defineProcess({
    ...BASE,
    name: "bad",
    steps: (s) =>
      s.send("notify", {
        request: ({ attempt }) => {
          tries.push(attempt);
          return { method: "POST", url: "ftp://x", body: "a" };
        },
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { order: 1 });
  await pawl.work();
  const { run } = await untilStatus(pawl, id, "error");
  expect(run.error?.message).toContain("ftp://x");
  expect(tries).toEqual([1, 2]);
  expect(await pawl.requests.list()).toEqual([]);
});

test("options that a `send` does not have, or of another kind, are refused where they stand", () => {
  expect(() => notifies("http://x", { onDead: "stop" })).toThrow("`onDead`");
  expect(() => notifies("http://x", { request: {} })).toThrow("`request`");
  expect(() => notifies("http://x", { timeout: 0 })).toThrow("`timeout`");
  expect(() => notifies("http://x", { to: "erp" })).toThrow("to");
});
