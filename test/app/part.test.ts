/** A toy part: one value in the list of parts, and all of Pawl knows it. */

import { expect, onTestFinished, test } from "vitest";
import { appOf, defineApp } from "../../src/app/define-app.ts";
import { nounCalls, nounsOf, partCalls } from "../../src/app/nouns.ts";
import { operating } from "../../src/app/operating.ts";
import { type App, type AppPart, PARTS } from "../../src/app/parts.ts";
import { startWork } from "../../src/app/work.ts";
import { PawlError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/log.ts";
import { loop } from "../../src/base/loop.ts";
import { program } from "../../src/cli/program.ts";
import { type AppBase, definition } from "../../src/kernel/part.ts";
import { recordAct } from "../../src/operate/sql.ts";
import { type Desk, type Noun, verb } from "../../src/operate/verb.ts";
import type { WhyTarget } from "../../src/operate/why.ts";
import { required, withDefault } from "../../src/options/field.ts";
import { choice, integer, name } from "../../src/options/kinds.ts";
import { group, list } from "../../src/options/parts.ts";
import { enqueueEach } from "../../src/queue/sql.ts";
import { registerApp } from "../../src/registry/register.ts";
import { openSender } from "../../src/sender/sender.ts";
import { hereBy } from "../cli/here.ts";
import { reference } from "../docs/reference.ts";
import { freshStore } from "../support/database.ts";
import { until } from "../support/until.ts";

interface Toys {
  paint(
    toy: string,
    options?: { coats?: number; by?: string; why?: string },
  ): Promise<{ painted: string }>;
}

const toysNoun: Noun<Toys, Desk> = {
  name: "toys",
  help: "Look after toys",
  verbs: {
    paint: verb({
      help: "Paint a toy",
      input: { toy: required(name("the toy")), coats: integer({ help: "coats", min: 1, max: 3 }) },
      args: ["toy"],
      changes: true,
      run: async ({ store }: Desk, { toy }, act) => {
        await recordAct(store, {
          by: act.by,
          ...(act.why !== undefined && { why: act.why }),
          action: act.action,
          target: `toy:${toy}`,
        });
        return { painted: toy };
      },
      text: ({ painted }) => `${painted}: painted`,
    }),
  },
};

const whyToy: WhyTarget<{ toy: string }> = {
  what: "a toy",
  id: "toy:<name>",
  example: ["pawl why toy:bear", "what it waits for"],
  idOf: (given) => /^toy:(.+)$/.exec(String(given))?.[1],
  why: async (_executor, toy) => {
    if (toy !== "bear") throw new PawlError("task_not_found", `no toy "${toy}"`);
    return { toy };
  },
  text: ({ toy }) => `toy ${toy}: waits for paint`,
};

interface Seen {
  said: string[];
  isBroken: boolean;
  plan?: { roles: readonly string[]; queues: readonly string[] };
}

interface ToyApp extends AppBase {
  readonly toys: readonly { name: string; colour: "red" | "blue" }[];
}

const TOYS = {
  toys: withDefault(
    [],
    list(
      group("a toy", {
        name: required(name("of the toy")),
        colour: withDefault("red", choice(["red", "blue"])),
      }),
      { isEmptyOk: true },
    ),
  ),
};

function toysPart(seen: Seen): AppPart {
  return {
    name: "toys",
    definition: definition(TOYS, ({ toys }, { name: app }) => {
      if (toys.some((one) => one.name === app)) throw new Error(`toy "${app}" is the app`);
      return { toys } satisfies Omit<ToyApp, keyof AppBase>;
    }),
    calls: ({ app, caller: { base } }) => ({
      toyNames: async () => {
        await base.store.rows("select 1");
        return (app as AppBase as ToyApp).toys.map((one) => one.name);
      },
    }),
    nouns: [toysNoun as Noun<object, Desk>],
    whys: [whyToy],
    catalogue: () => ({
      streams: [
        {
          queue: "normal",
          kind: "toy",
          version: 1,
          retry: null,
          timeout_ms: null,
          handler: "toy of any name",
        },
      ],
    }),
    register: async (_executor, { application }, app) => {
      const { toys } = app as AppBase as ToyApp;
      const all = toys.map(({ name: toy, colour }) => `${colour} ${toy}`);
      seen.said.push(`registered ${application}: ${all.join(", ")}`);
    },
    check: async ({ plan }) => {
      seen.plan = plan;
      if (seen.isBroken) throw new Error("no toys here");
    },
    roles: { painter: "paints toys" },
    queues: () => ["workshop"],
    operatorsQueues: async () => ["attic"],
    work: async ({ plan }) => ({
      handlers: [
        {
          queue: "normal",
          kind: "toy",
          version: 1,
          timeoutMs: 60_000,
          run: async (payload) => {
            seen.said.push(`ran ${JSON.stringify(payload)}`);
          },
        },
      ],
      serves: ["toys:all"],
      loops: () => [
        loop({
          runOnce: async () => {
            if (!seen.said.includes("looped")) seen.said.push("looped");
            return 1_000;
          },
          failed: () => undefined,
        }),
      ],
      isIdle: () => seen.said.length > 2,
      isWorkLeft: async () => plan.runsTasks,
      close: async () => {
        seen.said.push("closed");
      },
    }),
  };
}

test("R116: a part is one value: its handler runs in the kernel's loop, its own loop beside it, its check refuses at the start, and it is closed at the end", async () => {
  const store = await freshStore({ max: 5 });
  const seen: Seen = { said: [], isBroken: true };
  const parts = [...PARTS, toysPart(seen)];
  const toys = [{ name: "bear", colour: "blue" }, { name: "doll" }];
  const app = appOf({ name: "toys", toys }, parts) as App;
  await registerApp({ store, log: silentLogger }, app, parts);
  const start = () => startWork({ store, app, http: openSender({}), log: silentLogger }, {}, parts);
  await expect(start()).rejects.toThrow("no toys here");
  seen.isBroken = false;
  const worker = await start();
  onTestFinished(async () => {
    await worker.stop();
  });
  const [row] = await store.rows<{ serves: string[] }>(
    "select serves from pawl.worker where ended_at is null",
  );
  expect(row?.serves).toEqual(["toys:all"]);
  expect(await worker.isWorkLeft(0)).toBe(true);
  await enqueueEach(store, JSON.stringify([{ kind: "toy", payload: { n: 1 } }]), null);
  await until("both have run", () => seen.said.length === 3 && worker.isIdle);
  await worker.stop();
  expect(seen.said.toSorted()).toEqual([
    "closed",
    "looped",
    'ran {"n":1}',
    "registered toys: blue bear, red doll",
  ]);
});

test("R116: a part's role and its queues are options of a worker, and a worker has them by default", async () => {
  const store = await freshStore({ max: 5 });
  const seen: Seen = { said: [], isBroken: true };
  const parts = [...PARTS, toysPart(seen)];
  const app = appOf({ name: "toys" }, parts) as App;
  const planOf = async (options: object) => {
    const start = startWork(
      { store, app, http: openSender({}), log: silentLogger },
      options,
      parts,
    );
    await expect(start).rejects.toThrow("no toys here");
    return seen.plan;
  };
  const plan = await planOf({});
  expect(plan?.roles).toEqual(["worker", "loader", "mover", "scheduler", "painter"]);
  expect(plan?.queues).toEqual(["high", "normal", "low", "requests", "workshop"]);
  expect(await planOf({ roles: ["painter"] })).toMatchObject({ roles: ["painter"], queues: [] });
  expect(await planOf({ queues: ["workshop"] })).toMatchObject({ queues: ["workshop"] });
  expect(await planOf({ queues: ["attic"] })).toMatchObject({ queues: ["attic"] });
  seen.isBroken = false;
  const refused = (options: object) =>
    startWork({ store, app, http: openSender({}), log: silentLogger }, options, parts);
  await expect(refused({ roles: ["paintr"] })).rejects.toThrow('did you mean "painter"?');
  await expect(refused({ queues: ["workshp"] })).rejects.toThrow('did you mean "workshop"?');
});

test("R116: a part's option is one of defineApp: it is checked, an unknown one beside it is refused, and without the part it is unknown", () => {
  const parts = [...PARTS, toysPart({ said: [], isBroken: false })];
  const define = (options: object) => appOf({ name: "toys", ...options }, parts);
  expect(define({ toys: [{ name: "bear" }] })).toMatchObject({
    name: "toys",
    jobs: [],
    toys: [{ name: "bear", colour: "red" }],
  });
  expect(define({})).toMatchObject({ toys: [] });
  expect(() => define({ tois: [] })).toThrow('defineApp: no option `tois`; did you mean "toys"?');
  expect(() => define({ toys: [{ name: "bear", color: "red" }] })).toThrow(
    'no option `color`; did you mean "colour"?',
  );
  expect(() => define({ toys: [{ name: "bear", colour: "rd" }] })).toThrow('did you mean "red"?');
  expect(() => define({ toys: [{ name: "toys" }] })).toThrow('toy "toys" is the app');
  expect(() => defineApp({ toys: [] } as object)).toThrow("defineApp: no option `toys`");
  const names = parts.flatMap((part) => Object.keys(part.definition?.fields ?? {}));
  expect(names).toEqual([...new Set(names)]); // one part's option would hide another's
});

test("R116: a part's verb is there on the command line, in code, in the audit and in the reference; its reason in `why`", async () => {
  const store = await freshStore({ max: 5 });
  const parts = [...PARTS, toysPart({ said: [], isBroken: false })];
  const app = appOf({ name: "toys", toys: [{ name: "bear" }] }, parts) as App;
  const tools = { store, app, http: openSender({}), log: silentLogger };
  const base = operating({
    ...tools,
    isRegistered: true,
    isWorking: () => false,
    report: () => undefined,
    stoppable: async (work) => work(new Promise(() => undefined)),
  });
  const calls = nounCalls({ base, by: "ada" }, parts) as ReturnType<typeof nounCalls> & {
    toys: Toys;
  };
  const other = partCalls(app, { base, by: "ada" }, parts) as object as Record<
    "toyNames",
    () => Promise<string[]>
  >;
  const typed = (...args: string[]) => hereBy(program(parts), store.url, ...args);

  expect(await calls.toys.paint("bear", { coats: 2, why: "worn" })).toEqual({ painted: "bear" });
  await expect(calls.toys.paint("bear", { cots: 2 } as object)).rejects.toThrow(
    'toys.paint: no option `cots`; did you mean "coats"?',
  );
  expect(await typed("toys", "paint", "doll", "--coats", "1", "--by", "bob")).toBe("doll: painted");
  await expect(typed("toys", "paint", "doll", "--coats", "9")).rejects.toThrow("--coats");
  expect(await calls.audit.list({ action: "toys" })).toMatchObject([
    { by: "bob", action: "toys.paint", target: "toy:doll", why: null },
    { by: "ada", action: "toys.paint", target: "toy:bear", why: "worn" },
  ]);

  expect(await other.toyNames()).toEqual(["bear"]);
  expect(await typed("why", "toy:bear")).toBe("toy bear: waits for paint");
  expect(await calls.why("toy:bear")).toEqual({ toy: "bear" });
  await expect(calls.why("toy:doll")).rejects.toThrow('no toy "doll"');
  await expect(calls.why("?")).rejects.toThrow("schedule:<name> or toy:<name>");

  const text = reference(program(parts), nounsOf(parts));
  expect(text).toContain("| `pawl.toys.paint(toy, { coats, why, by })` | Paint a toy |");
  expect(text).toContain("### pawl toys paint\n\n`pawl toys paint <toy>`");
});
