/** R103b: what a switch does is the same for every kind of scope. One app has a thing of each kind; its work lasts until the test lets it end. */

import { afterAll, beforeAll, expect, test } from "vitest";
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
  flow,
  on,
  type Pawl,
} from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { LONG_LEASE } from "../support/kernel.ts";
import { until } from "../support/until.ts";

const input = z.object({});
const none = (): void => undefined;

/** Something that can be turned off, and its work. */
class Thing {
  started = 0;
  ended = 0;
  readonly scope: string;
  #gate: Promise<void> = Promise.resolve();
  #open: () => void = none;
  #isOff = false;
  /** Of a piece that was added last, for `why`. */
  asked = "";
  readonly #late: string[] = [];

  constructor(scope: string) {
    this.scope = scope;
  }

  close(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open();
  }

  turned(isOff: boolean): void {
    this.#isOff = isOff;
  }

  get late(): readonly string[] {
    return this.#late;
  }

  readonly pass = async (): Promise<void> => {
    this.started += 1;
    if (this.#isOff) this.#late.push(this.scope);
    await this.#gate;
    this.ended += 1;
  };
}

const kind = new Thing("kind:mail");
const process = new Thing("process:approval");
const destination = new Thing("destination:erp");
const source = new Thing("source:orders");
const schedule = new Thing("schedule:nightly");
const command = new Thing("command:import");
const param = new Thing("command:report:a");
const THINGS = [kind, process, destination, source, schedule, command, param] as const;

const mail = defineJob({ name: "mail", input, run: kind.pass });
const tick = defineJob({ name: "tick", input, run: schedule.pass });
let others = 0;
const other = defineJob({
  name: "other",
  input,
  run: () => {
    others += 1;
  },
});
const approval = defineProcess({
  name: "approval",
  version: 1,
  input,
  steps: (s) => s.call("approve", process.pass),
});
let events = 0;
const app = defineApp({
  name: "shop",
  jobs: [mail, tick, other],
  processes: [approval],
  destinations: { erp: flow(destination.pass) },
  routes: [on("order.*").to("erp")],
  sources: [
    defineSource({
      name: "orders",
      gap: 0,
      idle: "20ms",
      fetch: async () => {
        await source.pass();
        return [];
      },
    }),
  ],
  schedules: [
    defineSchedule({ name: "nightly", every: "1s", job: tick, input: {}, overlap: "all" }),
    defineSchedule({ name: "beside", every: "1s", job: other, input: {}, overlap: "all" }),
  ],
  commands: [
    defineCommand({ name: "import", run: command.pass }),
    defineCommand({ name: "report", params: ["a", "b"], run: param.pass }),
  ],
  groups: { erp: THINGS.map(({ scope }) => scope), mails: ["kind:mail"] },
});

let pawl: Pawl;

beforeAll(async () => {
  const { url } = await freshDatabase({ longLeases: true });
  pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  await pawl.store.rows(LONG_LEASE);
  await pawl.work({ concurrency: 50 });
});

afterAll(async () => {
  for (const one of THINGS) one.open();
  await pawl.close();
});

/** One more piece of work, which is held while the thing is off. */
async function add(one: Thing): Promise<void> {
  switch (one) {
    case kind:
      one.asked = (await pawl.enqueue(mail, {})).id;
      break;
    case process:
      one.asked = (await pawl.start(approval, {})).id;
      break;
    case destination: {
      events += 1;
      const { id } = await pawl.record("order.placed", {
        aggregate: ["order", events],
        payload: {},
      });
      one.asked = await until("it is routed", async () => {
        const { deliveries = [] } = (await pawl.events.show(id)) ?? {};
        return deliveries[0]?.id;
      });
      break;
    }
    case source:
    case schedule:
      one.asked = one.scope; // their work comes by itself
      break;
    case command:
      one.asked = (await pawl.commands.start("import")).id;
      break;
    default:
      one.asked = (await pawl.commands.start("report", { param: "a" })).id;
  }
}

/** Long enough: what is not held has started, and the other schedule has come due twice. */
async function othersGoOn(): Promise<void> {
  const before = others;
  await pawl.enqueue(other, {});
  await until("the others have gone on", () => others >= before + 3);
}

/** A piece of each runs, and its end is the test's. */
async function begun(things: readonly Thing[]): Promise<void> {
  const before = things.map((one) => one.started);
  for (const one of things) {
    one.close();
    await add(one);
  }
  await until("a piece of each runs", () =>
    things.every((one, i) => one.started > (before[i] ?? 0)),
  );
}

/** What it starts is in its own rows: a task of it may start later. */
async function lastTick(): Promise<number | undefined> {
  const [row] = await pawl.store.rows<{ due: Date | null }>(
    "select max(r.due_at) as due from pawl.schedule_run r join pawl.schedule s on s.id = r.schedule_id where s.name = 'nightly' and r.outcome = 'started'",
  );
  return row?.due?.getTime();
}

async function saysWhy(scope: string, things: readonly Thing[]): Promise<void> {
  for (const one of things) {
    const line = await until(`${one.scope} says what holds it`, async () => {
      const why = (await pawl.why(one.asked)) as { line: string };
      return why.line.includes("by ada") && why.line;
    });
    if (one.scope !== scope) expect(line).toContain(`pawl on ${scope}`);
  }
}

/** They run, the switch is turned off, and the gates are opened: what runs ends, and nothing else begins. */
async function drill(scope: string, things: readonly Thing[]): Promise<void> {
  const commands = things.filter((one) => one === command || one === param);
  const runs = things.filter((one) => one !== schedule); // a tick is a task of its own, which the switch does not hold
  await begun(things);
  await pawl.switches.off(scope, { by: "ada", why: "a drill" });
  for (const one of runs) one.turned(true);
  const tick = await lastTick();
  for (const one of things) await add(one);
  const { switches } = await pawl.switches.list();
  expect(switches).toMatchObject([{ scope, offBy: "ada", why: "a drill" }]);
  for (const one of [...commands, source].filter((given) => things.includes(given)))
    expect(switches[0]?.leases).toContain(one.scope);
  // the first task of a command still runs, and is the only one of its key
  await saysWhy(
    scope,
    things.filter((one) => !commands.includes(one)),
  );
  let isOver = false;
  const waiting = pawl.switches.off(scope, { by: "ada", wait: true }).then((ended) => {
    isOver = true;
    return ended;
  });
  await othersGoOn();
  expect(isOver).toBe(runs.length === 0);
  for (const one of things) one.open();
  expect(await waiting).toMatchObject({ running: 0, leases: [] });
  for (const one of runs) expect(one.ended).toBe(one.started);
  for (const one of commands) {
    await until("its task has ended", async () => (await pawl.task(one.asked))?.state === "done");
    await add(one);
  }
  await othersGoOn();
  await saysWhy(scope, things);
  for (const one of things) expect(one.late).toEqual([]);
  if (things.includes(schedule)) expect(await lastTick()).toBe(tick);
  const started = things.map((one) => one.started);
  for (const one of things) one.turned(false);
  expect(await pawl.switches.on(scope)).toMatchObject({ wasOff: true, stillOff: [], hosts: [] });
  await until("all of it goes on", () => things.every((one, i) => one.started > (started[i] ?? 0)));
}

test.each(THINGS.map((one) => [one.scope, one] as const))(
  "R103b: %s off: nothing of it starts once `off` has returned, what runs ends, `why` and the list say so, and `on` lets it go",
  async (scope, one) => {
    await drill(scope, [one]);
  },
);

test("R103b: a group off holds each of its members, of every kind, and they go on together", async () => {
  await drill("group:erp", THINGS);
});
