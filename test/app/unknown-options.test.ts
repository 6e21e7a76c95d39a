/**
 * A misspelt option that is passed over does harm in silence: `{ trx: tx }` commits outside of the caller's transaction. So each
 * call of the client refuses what it does not know, and sends nothing. A call without a row fails.
 */

import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { nounsOf } from "../../src/app/nouns.ts";
import { PawlError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineJob,
  defineProcess,
  on,
  type Pawl,
  webhook,
} from "../../src/index.ts";
import { fakeSource } from "../../src/testing/index.ts";
import { clientCalls } from "../support/client-calls.ts";
import { freshDatabase } from "../support/database.ts";
import { askedOf } from "../support/sent.ts";
import { expectRefusal, type Row } from "../support/unknown-option.ts";

const EVENT = { aggregate: ["order", 1], payload: {} } as const;
const REQUEST = { method: "POST", url: "https://erp.example/", body: "b" } as const;
const ID = "019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21";
const HOOK = { url: "https://erp.example/", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" };

const { url } = await freshDatabase();
const job = defineJob({ name: "a", input: z.object({}), run: () => undefined });
const process = defineProcess({
  name: "p",
  version: 1,
  input: z.object({}),
  steps: (s) => s.wait("word"),
});
const app = defineApp({
  name: "unknown-options",
  jobs: [job],
  processes: [process],
  destinations: { erp: webhook(HOOK) },
  routes: [on("order.*").to("erp")],
  sources: [fakeSource(1, { name: "feed" }).source],
});
let pawl: Pawl;
let before: unknown;
beforeAll(async () => {
  pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  before = await written();
});
afterAll(() => pawl.close());

/** A call that takes no options is not typed for any. */
const bare = (name: string, ...given: unknown[]) =>
  new Map(clientCalls(pawl)).get(name)?.(...given);

const CLIENT: Record<string, Row> = {
  transaction: ["isolation", null, (odd) => bare("transaction", async () => undefined, odd)],
  enqueue: ["trx", "tx", (odd) => pawl.enqueue(job, {}, odd)],
  "enqueue: delay": ["dely", "delay", (odd) => pawl.enqueue(job, {}, odd)],
  enqueueMany: ["trx", "tx", (odd) => pawl.enqueueMany(job, [{}, {}], odd)],
  start: ["trx", "tx", (odd) => pawl.start(process, {}, odd)],
  signal: ["trx", "tx", (odd) => pawl.signal("1", "word", {}, odd)],
  "enqueueMany: nothing": ["trx", "tx", (odd) => pawl.enqueueMany(job, [], odd)],
  record: ["trx", "tx", (odd) => pawl.record("order.placed", EVENT, odd)],
  "record: the event": ["mta", "meta", (odd) => pawl.record("order.placed", { ...EVENT, ...odd })],
  "record: an event with a destination": [
    "two",
    "to",
    (odd) => pawl.record("order.placed", { ...EVENT, to: "erp", ...odd }),
  ],
  sendTo: ["trx", "tx", (odd) => pawl.sendTo("webhook", "erp", "order.placed", EVENT, odd)],
  "sendTo: the event": [
    "mta",
    "meta",
    (odd) => pawl.sendTo("webhook", "erp", "order.placed", { ...EVENT, ...odd }),
  ],
  request: ["intervall", "interval", (odd) => pawl.request({ ...REQUEST, ...odd })],
  "request: the transaction": ["trx", "tx", (odd) => pawl.request(REQUEST, odd)],
  "request: jwt": [
    "clams",
    "claims",
    (odd) => pawl.request({ ...REQUEST, body: undefined, jwt: { key: "k", claims: {}, ...odd } }),
  ],
  "request: tenant": [
    "compny",
    "company",
    (odd) => pawl.request({ ...REQUEST, tenant: { company: 1, ...odd } }),
  ],
  work: ["concurency", "concurrency", (odd) => pawl.work(odd)],
  "work: on": ["databaseLots", "databaseLost", (odd) => pawl.work({ on: odd })],
  stats: ["queue", null, (odd) => bare("stats", odd)],
  task: ["tx", null, (odd) => bare("task", "1", odd)],
  event: ["tx", null, (odd) => bare("event", ID, odd)],
  why: ["tx", null, (odd) => bare("why", "1", odd)],
  cancel: ["whi", "why", (odd) => pawl.cancel("1", odd)],
  reschedule: ["runat", "runAt", (odd) => pawl.reschedule("1", { priority: 1, ...odd })],
  off: ["untill", "until", (odd) => pawl.off("all", odd)],
  on: ["whi", "why", (odd) => pawl.on("all", odd)],
  result: ["timeOut", "timeout", (odd) => pawl.result("1", odd)],
  stopWorkers: ["whi", "why", (odd) => pawl.stopWorkers(odd)],
  replay: ["form", "from", (odd) => pawl.replay({ all: true, ...odd })],
  "replay: who acts": ["whi", "why", (odd) => pawl.replay({ all: true, ...odd })],
  planReplay: ["form", "from", (odd) => pawl.planReplay({ all: true, ...odd })],
  replays: ["limit", null, (odd) => bare("replays", odd)],
  stopReplay: ["whi", "why", (odd) => pawl.stopReplay("1", odd)],
  "destinations.types": ["name", null, (odd) => bare("destinations.types", odd)],
  "destinations.list": ["name", null, (odd) => bare("destinations.list", odd)],
  "destinations.show": ["tx", null, (odd) => bare("destinations.show", "erp", odd)],
  "destinations.type": ["tx", null, (odd) => bare("destinations.type", "null", odd)],
  "destinations.add": [
    "confg",
    "config",
    (odd) => pawl.destinations.add({ name: "n", type: "null", ...odd }),
  ],
  "destinations.add: who acts": [
    "whi",
    "why",
    (odd) => pawl.destinations.add({ name: "n", type: "null" }, odd),
  ],
  "destinations.edit": ["whi", "why", (odd) => pawl.destinations.edit("erp", {}, odd)],
  "destinations.test": ["evnt", "event", (odd) => pawl.destinations.test("erp", odd)],
  "destinations.test: event": [
    "mta",
    "meta",
    (odd) => pawl.destinations.test("erp", { event: { name: "a", ...odd } }),
  ],
  "destinations.pause": ["untill", "until", (odd) => pawl.destinations.pause("erp", odd)],
  "destinations.resume": ["whi", "why", (odd) => pawl.destinations.resume("erp", odd)],
  "destinations.rotate": ["overlp", "overlap", (odd) => pawl.destinations.rotate("erp", odd)],
  "destinations.remove": ["whi", "why", (odd) => pawl.destinations.remove("erp", odd)],
  "routes.list": ["too", "to", (odd) => bare("routes.list", odd)],
  "routes.add": [
    "patern",
    "pattern",
    (odd) => pawl.routes.add({ pattern: "*", to: "erp", ...odd }),
  ],
  "routes.add: who acts": [
    "whi",
    "why",
    (odd) => pawl.routes.add({ pattern: "*", to: "erp" }, odd),
  ],
  "routes.add: where": [
    "payloads",
    "payload",
    (odd) => pawl.routes.add({ pattern: "*", to: "erp", where: odd }),
  ],
  "routes.edit": ["prioritty", "priority", (odd) => pawl.routes.edit("1", odd)],
  "routes.edit: who acts": ["whi", "why", (odd) => pawl.routes.edit("1", {}, odd)],
  "routes.turnOff": ["whi", "why", (odd) => pawl.routes.turnOff("1", odd)],
  "routes.turnOn": ["whi", "why", (odd) => pawl.routes.turnOn("1", odd)],
  "routes.test": ["playload", "payload", (odd) => pawl.routes.test({ name: "a", ...odd })],
  "routes.remove": ["whi", "why", (odd) => pawl.routes.remove("1", odd)],
  "tasks.list": ["limt", "limit", (odd) => pawl.tasks.list(odd)],
  "tasks.show": ["tx", null, (odd) => bare("tasks.show", "1", odd)],
  "tasks.kinds": ["queue", null, (odd) => bare("tasks.kinds", odd)],
  "tasks.cancel": ["whi", "why", (odd) => pawl.tasks.cancel("1", odd)],
  "tasks.retry": ["dryrun", "dryRun", (odd) => pawl.tasks.retry("1", odd)],
  "tasks.reschedule": ["prioritty", "priority", (odd) => pawl.tasks.reschedule("1", odd)],
  "dead.list": ["queu", "queue", (odd) => pawl.dead.list(odd)],
  "dead.groups": ["limt", "limit", (odd) => pawl.dead.groups(odd)],
  "dead.show": ["tx", null, (odd) => bare("dead.show", "1", odd)],
  "dead.retry": ["dryrun", "dryRun", (odd) => pawl.dead.retry({ all: true, ...odd })],
  "dead.remove": ["reson", "reason", (odd) => pawl.dead.remove({ all: true, ...odd })],
  "queues.list": ["name", null, (odd) => bare("queues.list", odd)],
  "queues.pause": ["untill", "until", (odd) => pawl.queues.pause("low", odd)],
  "queues.resume": ["whi", "why", (odd) => pawl.queues.resume("low", odd)],
  "switches.list": ["scope", null, (odd) => bare("switches.list", odd)],
  "switches.off": ["untill", "until", (odd) => pawl.switches.off("all", odd)],
  "switches.on": ["whi", "why", (odd) => pawl.switches.on("all", odd)],
  "workers.list": ["app", null, (odd) => bare("workers.list", odd)],
  "workers.stop": ["wiat", "wait", (odd) => pawl.workers.stop(odd)],
  "history.prune": ["dryrun", "dryRun", (odd) => pawl.history.prune(odd)],
  "audit.list": ["targt", "target", (odd) => pawl.audit.list(odd)],
  "events.list": ["unroutd", "unrouted", (odd) => pawl.events.list(odd)],
  "events.show": ["tx", null, (odd) => bare("events.show", ID, odd)],
  "events.record": ["whi", "why", (odd) => pawl.events.record("order.placed", EVENT, odd)],
  "events.record: the event": [
    "mta",
    "meta",
    (odd) => pawl.events.record("order.placed", { ...EVENT, ...odd }),
  ],
  "events.route": ["dryrun", "dryRun", (odd) => pawl.events.route(odd)],
  "events.prune": ["dryrun", "dryRun", (odd) => pawl.events.prune({ days: 1, ...odd })],
  "commands.list": ["stoped", "stopped", (odd) => pawl.commands.list(odd)],
  "commands.runs": ["comand", "command", (odd) => pawl.commands.runs(odd)],
  "commands.run": ["parm", "param", (odd) => pawl.commands.run("tidy", odd)],
  "locks.list": ["key", null, (odd) => bare("locks.list", odd)],
  "locks.release": ["whi", "why", (odd) => pawl.locks.release("tidy", odd)],
  "sources.list": ["state", null, (odd) => bare("sources.list", odd)],
  "sources.get": ["tx", null, (odd) => bare("sources.get", "feed", odd)],
  "sources.show": ["tx", null, (odd) => bare("sources.show", "feed", odd)],
  "sources.why": ["tx", null, (odd) => bare("sources.why", "feed", odd)],
  "sources.windows": ["limt", "limit", (odd) => pawl.sources.windows(odd)],
  "sources.pause": ["whi", "why", (odd) => pawl.sources.pause("feed", odd)],
  "sources.resume": ["whi", "why", (odd) => pawl.sources.resume("feed", odd)],
  "sources.retry": ["fetsh", "fetch", (odd) => pawl.sources.retry("feed", odd)],
  "sources.release": ["whi", "why", (odd) => pawl.sources.release("feed", odd)],
  "sources.skip": ["too", "to", (odd) => pawl.sources.skip("feed", { why: "w", ...odd })],
  "sources.rewind": [
    "confrm",
    "confirm",
    (odd) => pawl.sources.rewind("feed", { why: "w", to: "0", confirm: "feed", ...odd }),
  ],
  "sources.pruneLog": ["archiv", "archive", (odd) => pawl.sources.pruneLog(odd)],
  "sources.makePartitions": ["whi", "why", (odd) => pawl.sources.makePartitions(1, odd)],
  "inbox.list": ["limt", "limit", (odd) => pawl.inbox.list(odd)],
  "inbox.show": ["tx", null, (odd) => bare("inbox.show", "1", odd)],
  "inbox.retry": ["whi", "why", (odd) => pawl.inbox.retry(["1"], odd)],
  "inbox.remove": ["bye", "by", (odd) => pawl.inbox.remove(["1"], { why: "w", ...odd })],
};

/** It closes whatever it is given: frameworks call it with things of their own. */
const WITHOUT_ROW = ["close"];

async function written(): Promise<unknown> {
  return pawl.store.rows(`
    select (select count(*) from pawl.task) as tasks, (select count(*) from pawl.event) as events,
           (select count(*) from pawl.audit) as acts, (select count(*) from pawl.switch) as switches,
           (select count(*) from pawl.replay) as replays, (select count(*) from pawl.worker) as workers`);
}

/** What its message begins with. */
const CALLED: Record<string, string> = {
  enqueueMany: "enqueue",
  "routes.add: where": 'on("*").where',
};

test.each(Object.entries(CLIENT))(
  "pawl.%s refuses an option that it does not know",
  async (name, row) => {
    const call = name.split(":")[0] ?? "";
    await expectRefusal(CALLED[name] ?? CALLED[call] ?? call, row, url);
  },
);

test("a replay that is meant as a dry run is refused: it would run", async () => {
  const dry = { all: true, dryRun: true };
  await expect(pawl.replay(dry)).rejects.toThrow("replay: no option `dryRun`");
});

test("nothing was written by any of them", async () => {
  expect(await written()).toEqual(before);
});

/** Of each verb, how many of its inputs have a place before the options. */
function verbsOf(path: string, verbs: object): [name: string, places: number][] {
  return Object.entries(verbs).flatMap(([name, one]: [string, { args?: readonly string[] }]) =>
    "verbs" in one
      ? verbsOf(`${path}${name}.`, one.verbs as object)
      : [[path + name, one.args?.length ?? 0] satisfies [string, number]],
  );
}
const VERBS = nounsOf().flatMap(({ name, verbs }) => verbsOf(name === "" ? "" : `${name}.`, verbs));

test.each(VERBS)("the verb %s refuses an option that it does not know", async (name, places) => {
  const given = Array.from({ length: places }, () => "1");
  const asked = askedOf(url);
  const error = await Promise.resolve(bare(name, ...given, { zzzzzzzz: 1 })).catch(
    (thrown: unknown) => thrown,
  );
  expect(asked()).toBe(0);
  vi.restoreAllMocks();
  expect(error).toBeInstanceOf(PawlError);
  expect(error).toMatchObject({
    code: "invalid_option",
    message: expect.stringContaining(`${name}: no option \`zzzzzzzz\`; `),
  });
});

test("each call of the client has a row, or is made from a verb", () => {
  const calls = clientCalls(pawl).map(([name]) => name);
  const rows = Object.keys(CLIENT).map((name) => name.split(":")[0]);
  const verbs = VERBS.map(([name]) => name);
  expect(new Set([...rows, ...verbs, ...WITHOUT_ROW])).toEqual(new Set(calls));
});

test("a misspelt `tx` leaves the caller's transaction and everything outside of it untouched", async () => {
  await pawl.transaction(async (tx) => {
    const misspelt = { trx: tx } as object;
    await expect(pawl.record("order.placed", EVENT, misspelt)).rejects.toThrow(
      'did you mean "tx"?',
    );
    await expect(pawl.enqueue(job, {}, misspelt)).rejects.toThrow('did you mean "tx"?');
    expect((await tx.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  });
  expect(await written()).toEqual(before);
});
