/**
 * `off` at the same moment as steps that start something: items of a list, another run, a request. Once `off` has returned none of it starts;
 * when it is on again all of it ends, each exactly once.
 */

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineProcess, type Pawl } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { type DatabaseProxy, databaseProxy } from "../support/database-proxy.ts";
import { LONG_LEASE } from "../support/kernel.ts";
import { untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const input = z.object({});
const BASE = { version: 1, input, retry: { attempts: 1 } } as const;
const SCOPES = ["all", "group:drill"] as const;

/** What has started, in order: `item 3`, `child`, `request`. */
let starts: string[] = [];
/** Code of a step that has begun, and waits here. */
let inside = 0;
let gate: Promise<void> | undefined;
let open: () => void = () => undefined;

const pass = async (): Promise<void> => {
  inside += 1;
  await gate;
};

function close(): void {
  inside = 0;
  gate = new Promise((resolve) => {
    open = resolve;
  });
}

let server: Server;
let person: Pawl;
let behind: Pawl;
let proxy: DatabaseProxy;

const ITEMS = ["0", "1", "2", "3", "4", "5"];
const mails = defineProcess({
  ...BASE,
  name: "mails",
  steps: (s) =>
    s
      .call("first", () => undefined)
      .each("send", {
        items: () => ITEMS,
        concurrency: 2,
        run: async (item) => {
          starts.push(`item ${item}`);
          await pass();
        },
      }),
});
const invoice = defineProcess({
  ...BASE,
  name: "invoice",
  steps: (s) => s.call("write", () => void starts.push("child")),
});
const order = defineProcess({
  ...BASE,
  name: "order",
  steps: (s) =>
    s
      .call("first", () => undefined)
      .child("invoice", {
        process: invoice,
        input: async () => {
          await pass();
          return {};
        },
      }),
});
const notify = defineProcess({
  ...BASE,
  name: "notify",
  steps: (s) =>
    s
      .call("first", () => undefined)
      .send("tell", {
        request: async () => {
          await pass();
          const { port } = server.address() as AddressInfo;
          return { method: "POST" as const, url: `http://127.0.0.1:${port}/`, body: "x" };
        },
      }),
});

/** Each with what it starts, and the row after which it would start it. */
const RACES = {
  each: { process: mails, all: ITEMS.map((item) => `item ${item}`), step: "send", began: true },
  child: { process: order, all: ["child"], step: "first", began: false },
  send: { process: notify, all: ["request"], step: "first", began: false },
} as const;
const CASES = SCOPES.flatMap((scope) =>
  Object.entries(RACES).map(([name, race]) => [scope, name, race] as const),
);

beforeAll(async () => {
  server = createServer((_request, response) => {
    starts.push("request");
    response.writeHead(202).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const app = defineApp({
    name: "shop",
    processes: [mails, invoice, order, notify],
    http: { allow: ["127.0.0.1"] },
    groups: {
      drill: [
        "process:mails",
        "process:order",
        "process:invoice",
        "process:notify",
        "queue:requests",
      ],
    },
  });
  const { url } = await freshDatabase();
  proxy = await databaseProxy(url);
  person = await connect(app, { databaseUrl: url, log: silentLogger });
  await person.store.rows(LONG_LEASE);
  behind = await connect(app, { databaseUrl: proxy.url, log: silentLogger });
});

afterAll(async () => {
  open();
  await Promise.all([person.close(), behind.close()]);
  server.close();
});

/** Off, until it is given back; then on, until all has ended: each once. */
async function heldThenDone(scope: string, id: string, all: readonly string[]): Promise<void> {
  await person.switches.off(scope, { by: "ada", wait: true });
  const before = [...starts];
  for (let looks = 0; looks < 5; looks += 1) await person.switches.list();
  expect(starts).toEqual(before);
  expect(await person.on(scope)).toBe(true);
  await untilStatus(person, id, "done");
  expect(starts.toSorted()).toEqual([...all]);
}

test.each(CASES)(
  "R103b: %s off while the answer that lets a step `%s` begin is on its way: it has not begun, and afterwards all comes once",
  async (scope, _name, { process, all, step, began }) => {
    starts = [];
    gate = undefined;
    const worker = await behind.work();
    onTestFinished(async () => {
      await worker.stop();
    });
    // the row is written, and its worker has not heard so
    const answer = proxy.holdAnswerTo(began ? `"step":"${step}"` : "record_steps_v1");
    const { id } = await person.start(process, {});
    await until("its row is written", async () => {
      const { steps = [] } = (await person.processes.show(id)) ?? {};
      return answer.isHeld && steps.some((row) => row.step === step);
    });
    await person.off(scope, { by: "ada", why: "a drill" });
    answer.release();
    await until("it is given back", async () => (await person.task(id))?.state !== "running");
    expect(starts).toEqual([]);
    await heldThenDone(scope, id, all);
  },
);

test.each(CASES)(
  "R103b: %s off while code of a step `%s` runs: that ends, and nothing more starts until it is on",
  async (scope, name, { process, all }) => {
    starts = [];
    close();
    const worker = await behind.work();
    onTestFinished(async () => {
      open();
      await worker.stop();
    });
    const { id } = await person.start(process, {});
    const running = name === "each" ? 2 : 1;
    await until("its code runs", () => inside === running);
    const before = [...starts];
    expect(await person.switches.off(scope, { by: "ada" })).toMatchObject({ running: 1 });
    open();
    await person.switches.off(scope, { by: "ada", wait: true });
    expect(starts).toEqual(before); // two items had begun; no child and no request
    gate = undefined;
    await heldThenDone(scope, id, all);
  },
);
