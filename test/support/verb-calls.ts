/** A client with something of everything, and one call of each verb. */

import type { LookupFunction } from "node:net";
import { onTestFinished } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineCommand,
  defineJob,
  defineProcess,
  defineSchedule,
  defineSource,
  type Pawl,
} from "../../src/index.ts";
import { isNoun } from "../../src/operate/calls.ts";
import type { Noun, Verb } from "../../src/operate/verb.ts";
import { freshDatabase } from "./database.ts";
import { leasedWorker, newWorker } from "./kernel.ts";
import { until } from "./until.ts";

const OLD = `old:${Buffer.alloc(32, 1).toString("base64")}`;
const NEW = `new:${Buffer.alloc(32, 2).toString("base64")}`;
const SIGNING = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const PAST = { from: new Date("2026-01-01"), to: new Date("2026-02-02") };
export const KEPT = { by: "ada", why: "a drill" };

const COUNTED = { aggregate: ["shelf", "7"], payload: { in_stock: 1 } } as const;

/** `dead.retry`, `deliveries.replays.stop`: every verb by its name. */
export function verbsOf(noun: Noun<object, never>, above = ""): [string, Verb<unknown, never>][] {
  const under = noun.name === "" ? "" : `${above}${noun.name}.`;
  const verbs = Object.entries(noun.verbs) as [
    string,
    Verb<unknown, never> | Noun<object, never>,
  ][];
  return verbs.flatMap(([name, one]) => {
    if (isNoun(one)) return verbsOf(one, under);
    return [[`${under}${name}`, one] as [string, Verb<unknown, never>]];
  });
}

const job = defineJob({
  name: "invoice",
  input: z.object({}),
  retry: { attempts: 1 },
  run: () => {
    throw new Error("no printer");
  },
});

const APPROVAL = { name: "approval", input: z.object({}) } as const;
const approval = defineProcess({
  ...APPROVAL,
  version: 2,
  steps: (s) => s.wait("asked").wait("approved"),
  migrate: { 1: ({ step }) => ({ step }) },
  older: [
    defineProcess({ ...APPROVAL, version: 1, steps: (s) => s.wait("asked").wait("answered") }),
  ],
});

const tidy = defineCommand({ name: "tidy", params: ["a", 2], run: () => undefined });

const orders = defineSource({ name: "orders", fetch: async () => [], gap: 0 });

export interface Stage {
  pawl: Pawl;
  /** Ids of the queue `normal`, ended or not. */
  dead: string[];
  later: string[];
  request: { live: string; dead: string };
  route?: string;
  replay?: string;
  /** A run that no worker has taken yet. */
  run?: string;
}

/** Three dead letters, tasks of tomorrow, two requests, an event that no route took, and two that could not be stored. */
export async function staged(): Promise<Stage> {
  process.env.PAWL_SECRET_KEY = OLD;
  const { url } = await freshDatabase();
  const lookup: LookupFunction = (_host, _options, answer) =>
    answer(new Error("no names here"), "");
  const app = defineApp({
    // of a queue that no verb needs
    quietHours: {
      closing: { from: "23:50", to: "24:00", timeZone: "UTC", holds: ["queue:none"] },
    },
    name: "shop",
    jobs: [job],
    processes: [approval],
    schedules: [defineSchedule({ name: "yearly", cron: "@yearly", job, input: {} })],
    commands: [tidy],
    sources: [orders],
    http: { allow: ["127.0.0.1"], lookup },
  });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  onTestFinished(() => {
    delete process.env.PAWL_SECRET_KEY;
  });
  await pawl.enqueueMany(job, [{}, {}, {}]);
  const spec = { method: "POST", url: "https://crm.example/orders", body: "x" } as const;
  const gone = await pawl.request({ ...spec, expiresAt: new Date() });
  await pawl.record("order.placed", { aggregate: ["order", "1"], payload: {} });
  const worker = await pawl.work();
  await until("all of it has ended", async () => (await pawl.dead.list()).length === 4);
  await until(
    "no route took it",
    async () => (await pawl.events.list({ unrouted: true })).length === 1,
  );
  await worker.stop();
  const tomorrow = { delay: "1d" } as const;
  const later = await pawl.enqueueMany(job, [{}, {}, {}], tomorrow);
  const live = await pawl.request({ ...spec, runAt: new Date(Date.now() + 86_400_000) });
  const dead = await pawl.dead.list({ kind: "invoice" });
  await pawl.store.rows(
    `insert into pawl.inbox (source_id, event_id, state, after_cursor, payload, failed_at)
     select s.id, u.id, 'bad', '0', '{}', pawl.now() from pawl.source s, unnest(array['a', 'b']) u (id)`,
  );
  return {
    pawl,
    dead: dead.map((row) => row.id),
    later: later.map((row) => row.id),
    request: { live: live.id, dead: gone.id },
  };
}

/** The source's window is held, as after an error of its server. */
async function held({ pawl }: Stage): Promise<void> {
  await pawl.store.rows("update pawl.source set state = 'held', held_at = pawl.now()");
}

/** A process that has died holds the lock. What it wrote into the audit is not that of a verb. */
async function leftLocked({ pawl }: Stage): Promise<void> {
  await pawl.store.rows(
    "select pawl.start_command_v1('tidy', 'a', 'hold', 'gone', 1, 'ada', null, 'commands.run')",
  );
  await pawl.store.rows("delete from pawl.audit where id = (select max(a.id) from pawl.audit a)");
}

async function started(stage: Stage): Promise<void> {
  const runAt = new Date(Date.now() + 86_400_000); // a worker that is there leaves it alone
  stage.run = (await stage.pawl.start(approval, {}, { runAt })).id;
}

async function startedBefore({ pawl }: Stage): Promise<void> {
  await pawl.store.rows("select * from pawl.start_processes_v1($1)", [
    JSON.stringify([
      { process: "approval", version: 1, input: {}, run_at: "2100-01-01T00:00:00Z" },
    ]),
  ]);
}

async function startedAndHeld(stage: Stage): Promise<void> {
  await started(stage);
  await stage.pawl.store.rows(
    "insert into pawl.process_step (run_id, no, step, outcome) values ($1, 1, 'asked', 'held')",
    [stage.run],
  );
}

async function inboxNumber({ pawl }: Stage): Promise<string> {
  return (await pawl.inbox.list())[0]?.number ?? "";
}

/** What must be there before a call, so that it finds something to change. */
export const READY: Record<string, (stage: Stage) => Promise<unknown>> = {
  "workers.stop": ({ pawl }) => newWorker(pawl.store),
  "events.prune": ({ pawl }) =>
    pawl.store.rows(
      `insert into pawl.event (name, aggregate_type, aggregate_id, payload, routed_at, deliveries)
       select 'a.b', 'order', '1', '{}', pawl.now() - interval '1 day', 0`,
    ),
  "deliveries.rescue": async ({ pawl }) => {
    const gone = await leasedWorker(pawl.store);
    await pawl.store.rows("update pawl.worker set lease_until = '-infinity' where id = $1", [gone]);
  },
  "processes.restart": started,
  "processes.skip": started,
  "processes.complete": started,
  "processes.work": started,
  "processes.signal": started,
  "processes.abandon": started,
  "processes.migrate": startedBefore,
  "processes.release": startedAndHeld,
  "processes.hold": started,
  "processes.holdAll": started,
  "processes.skipAll": started,
  "processes.releaseAll": startedAndHeld,
  "processes.restartAll": started,
  "processes.abandonAll": started,
  "locks.release": leftLocked,
  "sources.retry": held,
  "sources.release": held,
  "sources.skip": held,
  "sources.pruneLog": ({ pawl }) =>
    pawl.store.rows(
      `insert into pawl.source_window (source_id, state, after_cursor, epoch, ended_at)
       select 0, 'done', '0', 1, pawl.now() - interval '90 days'`,
    ),
  "history.prune": ({ pawl }) =>
    pawl.store.rows(
      `insert into pawl.finished (id, seq, stream_id, priority, attempt, outcome, created_at, run_at, finished_at, payload)
       select 9, 9, s.id, 1, 1, 'done', pawl.now(), pawl.now(), pawl.now() - interval '90 days', '{}'
         from pawl.stream s limit 1`,
    ),
};

/** One call of each verb that acts, in an order in which each finds something to change once that is there. */
export const ACTS: Record<string, (stage: Stage) => Promise<unknown>> = {
  "workers.stop": ({ pawl }) => pawl.workers.stop(KEPT),
  "processes.restart": ({ pawl, run = "" }) => pawl.processes.restart(run, KEPT),
  "processes.skip": ({ pawl, run = "" }) => pawl.processes.skip(run, "asked", KEPT),
  "processes.complete": ({ pawl, run = "" }) =>
    pawl.processes.complete(run, "asked", { ...KEPT, output: 1 }),
  "processes.work": ({ pawl, run = "" }) => pawl.processes.work(run, KEPT),
  "processes.release": ({ pawl, run = "" }) => pawl.processes.release(run, KEPT),
  "processes.signal": ({ pawl, run = "" }) => pawl.processes.signal(run, "approved", KEPT),
  "processes.restartAll": ({ pawl }) =>
    pawl.processes.restartAll({ ...KEPT, status: "pending", process: "approval" }),
  "processes.hold": ({ pawl, run = "" }) => pawl.processes.hold(run, KEPT),
  "processes.holdAll": ({ pawl }) => pawl.processes.holdAll({ ...KEPT, process: "approval" }),
  "processes.skipAll": ({ pawl }) =>
    pawl.processes.skipAll({ ...KEPT, status: "pending", at: "asked" }),
  "processes.releaseAll": ({ pawl }) => pawl.processes.releaseAll(KEPT),
  "processes.abandonAll": ({ pawl }) => pawl.processes.abandonAll({ ...KEPT, status: "pending" }),
  "processes.pause": ({ pawl }) => pawl.processes.pause("approval", KEPT),
  "processes.resume": ({ pawl }) => pawl.processes.resume("approval", KEPT),
  "processes.migrate": ({ pawl }) => pawl.processes.migrate("approval", { ...KEPT, from: 1 }),
  "processes.abandon": ({ pawl, run = "" }) => pawl.processes.abandon(run, KEPT),
  "switches.off": ({ pawl }) => pawl.switches.off("all", KEPT),
  "switches.on": ({ pawl }) => pawl.switches.on("all", KEPT),
  "queues.pause": ({ pawl }) => pawl.queues.pause("low", KEPT),
  "queues.resume": ({ pawl }) => pawl.queues.resume("low", KEPT),
  "quiet.force": ({ pawl }) => pawl.quiet.force("closing", KEPT),
  "tasks.cancel": ({ pawl, later }) => pawl.tasks.cancel(later[0] ?? "", KEPT),
  "tasks.retry": ({ pawl, later, dead }) => pawl.tasks.retry([later[1] ?? "", dead[0] ?? ""], KEPT),
  "tasks.reschedule": ({ pawl, later }) =>
    pawl.tasks.reschedule(later[2] ?? "", { delay: "2d", ...KEPT }),
  "dead.retry": ({ pawl, dead }) => pawl.dead.retry(dead[1] ?? "", KEPT),
  "dead.remove": ({ pawl, dead }) => pawl.dead.remove(dead[2] ?? "", KEPT),
  "events.route": ({ pawl }) => pawl.events.route({ all: true, ...KEPT }),
  "events.record": ({ pawl }) => pawl.events.record("stock.counted", COUNTED, KEPT),
  "events.prune": ({ pawl }) => pawl.events.prune({ days: 0, ...KEPT }),
  "deliveries.replay": async (stage) => {
    const replayed = await stage.pawl.deliveries.replay({ all: true, ...KEPT });
    if (!replayed.dryRun) stage.replay = replayed.replay.id;
    return replayed;
  },
  "deliveries.replays.stop": ({ pawl, replay = "" }) => pawl.deliveries.replays.stop(replay, KEPT),
  "destinations.add": ({ pawl }) =>
    pawl.destinations.add(
      {
        name: "erp",
        type: "webhook",
        config: { url: "https://erp.example", secret: SIGNING },
        active: false,
      },
      KEPT,
    ),
  "deliveries.dispatch": ({ pawl }) => pawl.deliveries.dispatch({ destination: ["erp"], ...KEPT }),
  "deliveries.rescue": ({ pawl }) => pawl.deliveries.rescue(KEPT),
  "destinations.test": ({ pawl }) => pawl.destinations.test("erp", KEPT),
  "destinations.edit": ({ pawl }) => pawl.destinations.edit("erp", { timeout: "5s" }, KEPT),
  "destinations.pause": ({ pawl }) => pawl.destinations.pause("erp", { drop: true, ...KEPT }),
  "destinations.resume": ({ pawl }) => pawl.destinations.resume("erp", KEPT),
  "destinations.rotate": ({ pawl }) => pawl.destinations.rotate("erp", KEPT),
  "routes.add": async (stage) => {
    const route = { pattern: "order.*", to: "erp", active: false };
    const added = await stage.pawl.routes.add(route, KEPT);
    stage.route = added.id;
    return added;
  },
  "routes.edit": ({ pawl, route = "" }) => pawl.routes.edit(route, { priority: 0 }, KEPT),
  "routes.turnOn": ({ pawl, route = "" }) => pawl.routes.turnOn(route, KEPT),
  "routes.turnOff": ({ pawl, route = "" }) => pawl.routes.turnOff(route, KEPT),
  "routes.remove": ({ pawl, route = "" }) => pawl.routes.remove(route, KEPT),
  "keys.add": ({ pawl }) => pawl.keys.add("crm", { secret: "z".repeat(64), ...KEPT }),
  "keys.rotate": ({ pawl }) => pawl.keys.rotate("crm", { secret: "y".repeat(64), ...KEPT }),
  "keys.reseal": ({ pawl }) => {
    process.env.PAWL_SECRET_KEY = `${NEW},${OLD}`;
    return pawl.keys.reseal(KEPT);
  },
  "keys.remove": ({ pawl }) => pawl.keys.remove("crm", KEPT),
  "destinations.remove": ({ pawl }) => pawl.destinations.remove("erp", KEPT),
  "requests.run": ({ pawl, request }) => pawl.requests.run(request.live, KEPT).catch(notSent),
  "requests.stop": ({ pawl, request }) => pawl.requests.stop(request.live, KEPT),
  "requests.retry": ({ pawl, request }) => pawl.requests.retry(request.dead, KEPT),
  "commands.run": ({ pawl }) => pawl.commands.run("tidy", { param: 2, ...KEPT }),
  "commands.start": ({ pawl }) => pawl.commands.start("tidy", { param: 2, ...KEPT }),
  "locks.release": ({ pawl }) => pawl.locks.release("tidy:a", KEPT),
  "schedules.pause": ({ pawl }) => pawl.schedules.pause("yearly", KEPT),
  "schedules.resume": ({ pawl }) => pawl.schedules.resume("yearly", KEPT),
  "schedules.add": ({ pawl }) =>
    pawl.schedules.add("weekly", { cron: "@weekly", job: "invoice", ...KEPT }),
  "schedules.edit": ({ pawl }) => pawl.schedules.edit("weekly", { cron: "@monthly", ...KEPT }),
  "schedules.backfill": ({ pawl }) => pawl.schedules.backfill("weekly", { ...PAST, ...KEPT }),
  "schedules.remove": ({ pawl }) => pawl.schedules.remove("weekly", KEPT),
  "schedules.run": ({ pawl }) => pawl.schedules.run("yearly", KEPT),
  "sources.pause": ({ pawl }) => pawl.sources.pause("orders", KEPT),
  "sources.resume": ({ pawl }) => pawl.sources.resume("orders", KEPT),
  "sources.retry": ({ pawl }) => pawl.sources.retry("orders", KEPT),
  "sources.release": ({ pawl }) => pawl.sources.release("orders", KEPT),
  "sources.skip": ({ pawl }) => pawl.sources.skip("orders", { to: "5", ...KEPT }),
  "sources.rewind": ({ pawl }) =>
    pawl.sources.rewind("orders", { to: "1", confirm: "orders", ...KEPT }),
  "sources.pruneLog": ({ pawl }) => pawl.sources.pruneLog(KEPT),
  "sources.makePartitions": ({ pawl }) => pawl.sources.makePartitions(9, KEPT),
  "inbox.retry": async (stage) => stage.pawl.inbox.retry([await inboxNumber(stage)], KEPT),
  "inbox.remove": async (stage) => stage.pawl.inbox.remove([await inboxNumber(stage)], KEPT),
  "history.prune": ({ pawl }) => pawl.history.prune(KEPT),
  "apps.remove": ({ pawl }) => pawl.apps.remove("shop", KEPT),
};

/** The same, with what must be there. */
export const CHANGING: typeof ACTS = Object.fromEntries(
  Object.entries(ACTS).map(([name, act]) => [
    name,
    async (stage: Stage) => {
      await READY[name]?.(stage);
      return act(stage);
    },
  ]),
);

/** The only error that the request of the stage ends with: no name is found there. */
function notSent(error: Error): void {
  if (!error.message.includes("the exchange failed")) throw error;
}

/** One call of each other verb. `event` is one of the outbox, `delivery` one of it. */
export const READING: Record<string, (stage: Stage, seen: Seen) => Promise<unknown>> = {
  stats: ({ pawl }) => pawl.stats(),
  why: async ({ pawl, dead, later }, { event, delivery }) => [
    await pawl.why(later[0] ?? ""),
    await pawl.why(dead[0] ?? ""),
    await pawl.why(event),
    await pawl.why(delivery),
    await pawl.why("source:orders"),
  ],
  "workers.list": ({ pawl }) => pawl.workers.list(),
  "switches.groups": ({ pawl }) => pawl.switches.groups(),
  "switches.list": ({ pawl }) => pawl.switches.list(),
  "processes.list": async (stage) => {
    await started(stage);
    return stage.pawl.processes.list();
  },
  "processes.show": ({ pawl, run = "" }) => pawl.processes.show(run),
  "processes.versions": ({ pawl }) => pawl.processes.versions(),
  "queues.list": ({ pawl }) => pawl.queues.list(),
  "quiet.list": ({ pawl }) => pawl.quiet.list(),
  "quiet.preview": ({ pawl }) => pawl.quiet.preview(),
  "tasks.list": ({ pawl }) => pawl.tasks.list(),
  "tasks.show": ({ pawl, dead }) => pawl.tasks.show(dead[0] ?? ""),
  "tasks.kinds": ({ pawl }) => pawl.tasks.kinds(),
  "dead.list": ({ pawl }) => pawl.dead.list(),
  "dead.groups": ({ pawl }) => pawl.dead.groups(),
  "dead.show": ({ pawl, dead }) => pawl.dead.show(dead[0] ?? ""),
  "audit.list": ({ pawl }) => pawl.audit.list(),
  "events.list": ({ pawl }) => pawl.events.list(),
  "events.show": ({ pawl }, { event }) => pawl.events.show(event),
  "deliveries.list": ({ pawl }) => pawl.deliveries.list(),
  "deliveries.show": ({ pawl }, { delivery }) => pawl.deliveries.show(delivery),
  "deliveries.replays.list": ({ pawl }) => pawl.deliveries.replays.list(),
  "destinations.list": ({ pawl }) => pawl.destinations.list(),
  "destinations.show": ({ pawl }) => pawl.destinations.show("gone"),
  "destinations.type": ({ pawl }) => pawl.destinations.type("webhook"),
  "destinations.types": ({ pawl }) => pawl.destinations.types(),
  "routes.list": ({ pawl }) => pawl.routes.list(),
  "routes.test": ({ pawl }, { event }) => pawl.routes.test({ event }),
  "requests.list": ({ pawl }) => pawl.requests.list(),
  "requests.show": ({ pawl, request }) => pawl.requests.show(request.dead),
  "keys.list": ({ pawl }) => pawl.keys.list(),
  "commands.list": ({ pawl }) => pawl.commands.list(),
  "commands.runs": ({ pawl }) => pawl.commands.runs(),
  "locks.list": ({ pawl }) => pawl.locks.list(),
  "schedules.list": ({ pawl }) => pawl.schedules.list(),
  "schedules.show": ({ pawl }) => pawl.schedules.show("yearly"),
  "schedules.why": ({ pawl }) => pawl.schedules.why("yearly"),
  "schedules.preview": ({ pawl }) => pawl.schedules.preview("yearly"),
  "sources.list": ({ pawl }) => pawl.sources.list(),
  "sources.get": ({ pawl }) => pawl.sources.get("orders"),
  "sources.show": ({ pawl }) => pawl.sources.show("orders"),
  "sources.why": ({ pawl }) => pawl.sources.why("orders"),
  "sources.windows": ({ pawl }) => pawl.sources.windows(),
  "inbox.list": ({ pawl }) => pawl.inbox.list(),
  "inbox.show": async (stage) => stage.pawl.inbox.show(await inboxNumber(stage)),
  "apps.list": ({ pawl }) => pawl.apps.list(),
};

export interface Seen {
  event: string;
  delivery: string;
  /** It is answered. */
  request: string;
}
