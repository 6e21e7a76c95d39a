/**
 * One table over all that names something: what PostgreSQL cannot store, or is far too long, is refused by the call, which names
 * the argument, before it is sent; what can be stored is taken. No error of the database, and no transaction of the caller lost.
 */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { PawlError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineJob,
  defineSource,
  httpSource,
  on,
  type Pawl,
  rabbitmq,
  webhook,
} from "../../src/index.ts";
import { fakeSource } from "../../src/testing/index.ts";
import { isFirst, SEEN_TABLE } from "../../src/webhooks/index.ts";
import { here } from "../cli/here.ts";
import { freshDatabase } from "../support/database.ts";

const ODD: Record<string, string> = {
  "a zero": "a\u0000b",
  "half of an emoji": "a\ud800b",
  "1 MiB": "x".repeat(1_048_576),
  "3,000 bytes of what does not compress": Array.from({ length: 1_000 }, (_, i) =>
    String.fromCharCode(0x4e00 + ((i * 7_919) % 20_000)),
  ).join(""),
  nothing: "",
  "control characters": "a\u0007\u001b[31m\nb",
  "a quote": `a'b"c\\`,
};
/** These no call may send. */
const NEVER = ["a zero", "half of an emoji"];
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const EVENT = { aggregate: ["order", 1], payload: {} } as const;

const { url } = await freshDatabase();
const job = defineJob({ name: "a", input: z.object({}), run: () => undefined });
const app = defineApp({
  name: "odd",
  jobs: [job],
  destinations: { erp: webhook({ url: "https://erp.example/", secret: SECRET }) },
  routes: [on("order.*").to("erp")],
  sources: [fakeSource(1, { name: "feed" }).source],
  keys: { crm: { secret: "s".repeat(64) } },
});
let pawl: Pawl;
let task: string;
beforeAll(async () => {
  pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  task = (await pawl.enqueue(job, {})).id;
  await pawl.store.rows(SEEN_TABLE);
});
afterAll(() => pawl.close());

type Call = (odd: string) => unknown;

const REQUEST = { method: "POST", url: "https://erp.example/", body: "b" } as const;

/** What acts for a person. */
const ACTS: Record<string, (act: { by?: string; why?: string }) => unknown> = {
  cancel: (act) => pawl.cancel("999999", act),
  reschedule: (act) => pawl.reschedule(task, { priority: 1, ...act }),
  off: (act) => pawl.off("queue:low", act),
  on: (act) => pawl.on("queue:low", act),
  stopWorkers: (act) => pawl.stopWorkers(act),
  replay: (act) => pawl.replay({ name: "none", ...act }),
  stopReplay: (act) => pawl.stopReplay("1", act),
  "destinations.pause": (act) => pawl.destinations.pause("erp", act),
  "destinations.resume": (act) => pawl.destinations.resume("erp", act),
  "events.record": (act) => pawl.events.record("a.b", EVENT, act),
  "destinations.test": (act) => pawl.destinations.test("nowhere", act),
  "destinations.add": (act) =>
    pawl.destinations.add({ name: "other", type: "job", config: { job: "a" } }, act),
  "destinations.edit": (act) => pawl.destinations.edit("nowhere", {}, act),
  "destinations.rotate": (act) => pawl.destinations.rotate("nowhere", act),
  "destinations.remove": (act) => pawl.destinations.remove("other", act),
  "routes.add": (act) => pawl.routes.add({ pattern: "x.*", to: "erp" }, act),
  "routes.edit": (act) => pawl.routes.edit("9999", {}, act),
  "routes.turnOff": (act) => pawl.routes.turnOff("1", act),
  "routes.turnOn": (act) => pawl.routes.turnOn("1", act),
  "routes.remove": (act) => pawl.routes.remove("9999", act),
  "sources.pause": (act) => pawl.sources.pause("feed", act),
  "sources.resume": (act) => pawl.sources.resume("feed", act),
  "sources.retry": (act) => pawl.sources.retry("feed", act),
  "sources.release": (act) => pawl.sources.release("feed", act),
  "sources.skip": (act) => pawl.sources.skip("feed", { why: "w", to: "5", ...act }),
  "sources.rewind": (act) =>
    pawl.sources.rewind("feed", { why: "w", to: "0", confirm: "feed", ...act }),
  "sources.pruneLog": (act) => pawl.sources.pruneLog(act),
  "inbox.retry": (act) => pawl.inbox.retry(["1"], act),
  "inbox.remove": (act) => pawl.inbox.remove(["1"], { why: "w", ...act }),
};

const CALLS: Record<string, Call> = {
  "task: id": (odd) => pawl.task(odd),
  "event: id": (odd) => pawl.event(odd),
  "why: id": (odd) => pawl.why(odd),
  "result: id": (odd) => pawl.result(odd, { timeout: 1 }),
  "cancel: id": (odd) => pawl.cancel(odd),
  "reschedule: id": (odd) => pawl.reschedule(odd, { priority: 1 }),
  "off: scope": (odd) => pawl.off(odd),
  "off: a queue": (odd) => pawl.off(`queue:${odd}`),
  "on: scope": (odd) => pawl.on(odd),
  "enqueue: key": (odd) => pawl.enqueue(job, {}, { key: odd }),
  "enqueue: lane": (odd) => pawl.enqueue(job, {}, { lane: odd }),
  "enqueue: meta": (odd) => pawl.enqueue(job, {}, { meta: { [odd]: odd } }),
  "enqueue: tenant": (odd) => pawl.enqueue(job, {}, { meta: { tenant: { company: odd } } }),
  "enqueue: an unknown job": (odd) => pawl.enqueue({ ...job, name: odd }, {}),
  "record: name": (odd) => pawl.record(odd, EVENT),
  "record: aggregate type": (odd) => pawl.record("a.b", { ...EVENT, aggregate: [odd, 1] }),
  "record: aggregate id": (odd) => pawl.record("a.b", { ...EVENT, aggregate: ["a", odd] }),
  "record: payload": (odd) => pawl.record("a.b", { ...EVENT, payload: odd }),
  "record: meta": (odd) => pawl.record("a.b", { ...EVENT, meta: { [odd]: 1 } }),
  "sendTo: type": (odd) => pawl.sendTo(odd, "erp", "a.b", EVENT),
  "sendTo: destination": (odd) => pawl.sendTo("webhook", odd, "a.b", EVENT),
  "request: company": (odd) => pawl.request({ ...REQUEST, tenant: { company: odd } }),
  "request: plugin": (odd) => pawl.request({ ...REQUEST, tenant: { plugin: odd } }),
  "request: url": (odd) => pawl.request({ ...REQUEST, url: odd }),
  "request: body": (odd) => pawl.request({ ...REQUEST, body: odd }),
  "request: key": (odd) =>
    pawl.request({ method: "POST", url: "https://erp.example/", jwt: { key: odd, claims: {} } }),
  "request: claims": (odd) =>
    pawl.request({
      method: "POST",
      url: "https://erp.example/",
      jwt: { key: "crm", claims: { [odd]: odd } },
    }),
  "replay: name": (odd) => pawl.replay({ name: odd }),
  "replay: event": (odd) => pawl.replay({ event: odd }),
  "replay: destinations": (odd) => pawl.replay({ name: "a.*", destinations: [odd] }),
  "planReplay: destinations": (odd) => pawl.planReplay({ name: "a.*", destinations: [odd] }),
  "work: queues": (odd) => pawl.work({ queues: [odd] }),
  "work: roles": (odd) => pawl.work({ roles: [odd as "worker"] }),
  "destinations.show": (odd) => pawl.destinations.show(odd),
  "destinations.add: name": (odd) =>
    pawl.destinations.add({ name: odd, type: "job", config: { job: "a" } }),
  "destinations.add: type": (odd) => pawl.destinations.add({ name: "n", type: odd }),
  "destinations.add: a text": (odd) =>
    pawl.destinations.add({ name: "n", type: "job", config: { job: odd } }),
  "destinations.add: a header": (odd) =>
    pawl.destinations.add({
      name: "n",
      type: "webhook",
      config: { url: "https://a.example", headers: { [odd]: odd } },
    }),
  "destinations.add: a url": (odd) =>
    pawl.destinations.add({
      name: "n",
      type: "webhook",
      config: { url: `https://a.example/${odd}` },
    }),
  "destinations.add: an exchange": (odd) =>
    pawl.destinations.add({
      name: "n2",
      type: "rabbitmq",
      config: { url: "amqp://b.example", exchange: odd },
    }),
  "destinations.edit: name": (odd) => pawl.destinations.edit(odd, {}),
  "destinations.test: name": (odd) => pawl.destinations.test(odd),
  "destinations.test: event": (odd) => pawl.destinations.test("erp", { event: odd }),
  "destinations.pause": (odd) => pawl.destinations.pause(odd),
  "destinations.resume": (odd) => pawl.destinations.resume(odd),
  "destinations.rotate": (odd) => pawl.destinations.rotate(odd),
  "destinations.remove": (odd) => pawl.destinations.remove(odd),
  "routes.add: pattern": (odd) => pawl.routes.add({ pattern: odd, to: "erp" }),
  "routes.add: to": (odd) => pawl.routes.add({ pattern: "z.*", to: odd }),
  "routes.add: where": (odd) =>
    pawl.routes.add({ pattern: "z.*", to: "erp", where: { payload: { [odd]: odd } } }),
  "routes.add: match": (odd) =>
    pawl.routes.add({ pattern: "z.*", to: "erp", match: `$.payload.a == ${JSON.stringify(odd)}` }),
  "routes.add: a bare match": (odd) => pawl.routes.add({ pattern: "z.*", to: "erp", match: odd }),
  "routes.test: event": (odd) => pawl.routes.test({ event: odd }),
  "routes.test: name": (odd) => pawl.routes.test({ name: odd }),
  "sources.get": (odd) => pawl.sources.get(odd),
  "sources.why": (odd) => pawl.sources.why(odd),
  "sources.windows": (odd) => pawl.sources.windows({ source: odd }),
  "sources.pause": (odd) => pawl.sources.pause(odd),
  "sources.skip: to": (odd) => pawl.sources.skip("feed", { why: "w", to: odd }),
  "sources.rewind: name": (odd) => pawl.sources.rewind(odd, { why: "w", to: "0", confirm: odd }),
  "sources.rewind: confirm": (odd) =>
    pawl.sources.rewind("feed", { why: "w", to: "0", confirm: odd }),
  "inbox.list": (odd) => pawl.inbox.list({ source: odd }),
  "inbox.show": (odd) => pawl.inbox.show(odd),
  "inbox.retry": (odd) => pawl.inbox.retry([odd]),
  "inbox.remove": (odd) => pawl.inbox.remove([odd], { why: "w" }),
  "isFirst: id": (odd) => pawl.transaction((tx) => isFirst(tx, odd)),
  "isFirst: scope": (odd) => pawl.transaction((tx) => isFirst(tx, "a", { scope: odd })),
  "defineApp: name": (odd) => defineApp({ name: odd }),
  "defineApp: schema": (odd) =>
    connect(defineApp({ name: "x", schema: odd }), { databaseUrl: url, log: silentLogger }),
  "defineApp: a queue": (odd) => defineApp({ queues: { [odd]: {} } }),
  "defineApp: a destination": (odd) =>
    defineApp({ destinations: { [odd]: webhook({ url: "https://a.example", secret: SECRET }) } }),
  "defineApp: a config": (odd) =>
    defineApp({ destinations: { b: rabbitmq({ url: "amqp://b.example", exchange: odd }) } }),
  "defineApp: a key": (odd) => defineApp({ keys: { [odd]: { secret: "s".repeat(64) } } }),
  "defineApp: kid": (odd) => defineApp({ keys: { k: { secret: "s".repeat(64), kid: odd } } }),
  "on: pattern": (odd) => on(odd).to("erp"),
  "on: to": (odd) => defineApp({ routes: [on("a.*").to(odd)] }),
  "defineJob: name": (odd) => defineJob({ name: odd, input: z.object({}), run: () => undefined }),
  "defineJob: queue": (odd) =>
    defineApp({
      jobs: [defineJob({ name: "b", queue: odd, input: z.object({}), run: () => undefined })],
    }),
  "defineSource: name": (odd) => defineSource({ name: odd, fetch: () => Promise.resolve([]) }),
  "defineSource: start": (odd) =>
    defineSource({ name: "s", cursor: "opaque", start: odd, fetch: () => Promise.resolve([]) }),
  "httpSource: name": (odd) => httpSource({ name: odd, url: "https://a.example", page: "id" }),
};
for (const [name, act] of Object.entries(ACTS)) {
  CALLS[`${name}: by`] = (odd) => act({ by: odd });
  CALLS[`${name}: why`] = (odd) => act({ why: odd });
}

async function outcome(run: () => unknown): Promise<PawlError | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    if (error instanceof PawlError) return error;
    throw error;
  }
}

function checkRefusal(error: PawlError | undefined, what: string): void {
  const data = JSON.stringify(error?.data ?? {});
  expect(data, what).not.toMatch(/"sqlstate":"(?!PW)/);
  expect(error?.code, `${what}: ${error?.message}`).not.toBe("database_error");
  expect(error?.message.length ?? 0, `${what}: the message's length`).toBeLessThan(1_500);
  expect(data.length, `${what}: the data's length`).toBeLessThan(3_000);
}

describe.each(Object.entries(CALLS))("%s", (name, call) => {
  test.each(Object.entries(ODD))("%s", async (kind, odd) => {
    const error = await outcome(() => call(odd));
    checkRefusal(error, `${name}, ${kind}`);
    const isUrlPart = /: a? ?url$/.test(name); // a URL escapes it
    if (NEVER.includes(kind) && !isUrlPart)
      expect(error, `${name}, ${kind}`).toBeInstanceOf(PawlError);
  });
});

describe("in the caller's own transaction", () => {
  test.each<
    [
      string,
      (odd: string, tx: Parameters<Parameters<Pawl["transaction"]>[0]>[0]) => Promise<unknown>,
    ]
  >([
    ["enqueue: key", (odd, tx) => pawl.enqueue(job, {}, { key: odd, tx })],
    ["enqueue: lane", (odd, tx) => pawl.enqueue(job, {}, { lane: odd, tx })],
    [
      "record: aggregate",
      (odd, tx) => pawl.record("a.b", { ...EVENT, aggregate: ["a", odd] }, { tx }),
    ],
    ["sendTo: destination", (odd, tx) => pawl.sendTo("webhook", odd, "a.b", EVENT, { tx })],
    [
      "request: company",
      (odd, tx) => pawl.request({ ...REQUEST, tenant: { company: odd } }, { tx }),
    ],
    ["isFirst: id", (odd, tx) => isFirst(tx, odd)],
  ])("%s: the transaction goes on", async (_, call) => {
    for (const kind of NEVER) {
      await pawl.transaction(async (tx) => {
        await expect(call(ODD[kind] ?? "", tx)).rejects.toMatchObject({ name: "PawlError" });
        expect((await tx.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
      });
    }
  });
});

const CLI: string[][] = [
  ["tasks", "list", "--queue", "?"],
  ["tasks", "list", "--kind", "?"],
  ["tasks", "show", "?"],
  ["tasks", "cancel", "1", "--by", "?"],
  ["tasks", "cancel", "1", "--why", "?"],
  ["dead", "list", "--kind", "?"],
  ["dead", "list", "--queue", "?"],
  ["dead", "list", "--error", "?"],
  ["dead", "list", "--lane", "?"],
  ["dead", "remove", "--lane", "?", "--dry-run"],
  ["events", "list", "--name", "?"],
  ["events", "show", "?"],
  ["events", "record", "?", "--aggregate", "a:1"],
  ["events", "record", "a.b", "--aggregate", "a:?"],
  ["deliveries", "list", "--destination", "?"],
  ["destinations", "show", "?"],
  ["destinations", "add", "?", "--type", "job"],
  ["destinations", "remove", "?", "--yes"],
  ["destinations", "pause", "?"],
  ["routes", "list", "--to", "?"],
  ["routes", "add", "a.*", "--to", "?"],
  ["routes", "add", "a.*", "--to", "erp", "--match", "?"],
  ["routes", "test", "?"],
  ["requests", "list", "--host", "?"],
  ["requests", "list", "--company", "?"],
  ["requests", "list", "--plugin", "?"],
  ["requests", "show", "?"],
  ["inbox", "list", "--source", "?"],
  ["inbox", "show", "?"],
  ["sources", "show", "?"],
  ["sources", "windows", "?"],
  ["sources", "pause", "?"],
  ["audit", "--target", "?"],
  ["why", "?"],
  ["why", "source:?"],
  ["off", "?"],
  ["on", "queue:?"],
  ["queues", "pause", "?"],
  ["keys", "remove", "?"],
  ["keys", "add", "?", "--secret", "env:A"],
  ["keys", "add", "k", "--kid", "?", "--secret", "env:A"],
  ["replay", "--name", "a.*", "--destination", "?", "--dry-run"],
  ["apps", "remove", "?"],
];

describe("on the command line", () => {
  test.each(CLI.map((args) => [args.join(" "), args] as const))("%s", async (_, args) => {
    for (const [kind, odd] of Object.entries(ODD)) {
      const typed = args.map((one) => one.replace("?", () => odd));
      const error = await outcome(() => here(url, ...typed));
      checkRefusal(error, `${args.join(" ")}, ${kind}`);
      if (NEVER.includes(kind))
        expect(error, `${args.join(" ")}, ${kind}`).toBeInstanceOf(PawlError);
    }
  });
});
