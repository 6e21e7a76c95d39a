/**
 * Ids, numbers, times, names, flags and lists that calls get from JavaScript: each is refused by the rule and in the words of the
 * command line, and nothing is sent. What reached the database would come back in its words, or be taken for something else.
 */

import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { PawlError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, nullDestination, type Pawl } from "../../src/index.ts";
import type { AnyField } from "../../src/options/field.ts";
import { choice, eventId, integer, numberId } from "../../src/options/kinds.ts";
import { fakeSource } from "../../src/testing/index.ts";
import { clientCalls } from "../support/client-calls.ts";
import { freshDatabase } from "../support/database.ts";
import { askedOf } from "../support/sent.ts";

const { url } = await freshDatabase();
const job = defineJob({ name: "a", input: z.object({}), run: () => undefined });
const app = defineApp({
  name: "checked",
  jobs: [job],
  destinations: { erp: nullDestination() },
  sources: [fakeSource(1, { name: "feed" }).source],
});
let pawl: Pawl;
beforeAll(async () => {
  pawl = await connect(app, { databaseUrl: url, log: silentLogger });
});
afterAll(() => pawl.close());

/** What is wrong is typed as anything: JavaScript has no types. */
type Calls = Record<string, (wrong: never) => unknown>;
const EVENT = { aggregate: ["order", 1], payload: {} } as const;
const ALL = { all: true } as const;

const IDS: Calls = {
  task: (id) => pawl.task(id),
  cancel: (id) => pawl.cancel(id),
  reschedule: (id) => pawl.reschedule(id, { priority: 1 }),
  stopReplay: (id) => pawl.stopReplay(id),
  "replays.stop": (id) => pawl.deliveries.replays.stop(id),
  "routes.edit": (id) => pawl.routes.edit(id, {}),
  "routes.turnOff": (id) => pawl.routes.turnOff(id),
  "routes.turnOn": (id) => pawl.routes.turnOn(id),
  "routes.remove": (id) => pawl.routes.remove(id),
  "inbox.show": (id) => pawl.inbox.show(id),
  "inbox.retry": (id) => pawl.inbox.retry(["1", id]),
  "inbox.remove": (id) => pawl.inbox.remove([id], { why: "w" }),
};
const EVENT_IDS: Calls = {
  event: (id) => pawl.event(id),
};
const LISTS: Calls = {
  'enqueue "a"': (list) => pawl.enqueueMany(job, list),
  "work: queues": (queues) => pawl.work({ queues }),
  "work: roles": (roles) => pawl.work({ roles }),
};
const FLAGS: Calls = {
  "sources.retry": (fetch) => pawl.sources.retry("feed", { fetch }),
  "sources.pruneLog: archive": (archive) => pawl.sources.pruneLog({ archive }),
  "sources.pruneLog: dryRun": (dryRun) => pawl.sources.pruneLog({ dryRun }),
  "destinations.add": (active) => pawl.destinations.add({ name: "n", type: "null", active }),
  "destinations.pause": (drop) => pawl.destinations.pause("erp", { drop }),
  "replay: dead": (dead) => pawl.replay({ name: "a", dead }),
  "planReplay: routed": (routed) => pawl.planReplay({ ...ALL, routed }),
};
const NAMES: Calls = {
  "sources.get": (name) => pawl.sources.get(name),
  "sources.why": (name) => pawl.sources.why(name),
  "sources.pause": (name) => pawl.sources.pause(name),
  "sources.resume": (name) => pawl.sources.resume(name),
  "sources.retry": (name) => pawl.sources.retry(name),
  "sources.release": (name) => pawl.sources.release(name),
  "sources.skip": (name) => pawl.sources.skip(name, { why: "w" }),
  "sources.rewind": (name) => pawl.sources.rewind(name, { why: "w", to: "0", confirm: name }),
  "destinations.show": (name) => pawl.destinations.show(name),
  "destinations.edit": (name) => pawl.destinations.edit(name, {}),
  "destinations.test": (name) => pawl.destinations.test(name),
  "destinations.pause": (name) => pawl.destinations.pause(name),
  "destinations.resume": (name) => pawl.destinations.resume(name),
  "destinations.rotate": (name) => pawl.destinations.rotate(name),
  "destinations.remove": (name) => pawl.destinations.remove(name),
  "sendTo: type": (type) => pawl.sendTo(type, "erp", "a", EVENT),
  "sendTo: destination": (name) => pawl.sendTo("null", name, "a", EVENT),
};
const TIMES: Calls = {
  "reschedule: runAt": (runAt) => pawl.reschedule("1", { runAt }),
  "off: until": (until) => pawl.off("all", { until }),
  "destinations.pause: until": (until) => pawl.destinations.pause("erp", { until }),
  "replay: from": (from) => pawl.replay({ from }),
  "planReplay: to": (to) => pawl.planReplay({ to }),
};
const DURATIONS: Calls = {
  "reschedule: delay": (delay) => pawl.reschedule("1", { delay }),
  "off: until": (until) => pawl.off("all", { until }),
  "destinations.pause: until": (until) => pawl.destinations.pause("erp", { until }),
  "destinations.rotate: overlap": (overlap) => pawl.destinations.rotate("erp", { overlap }),
  "sources.pruneLog: done": (done) => pawl.sources.pruneLog({ done }),
  "sources.pruneLog: failed": (failed) => pawl.sources.pruneLog({ failed }),
  "sources.pruneLog: seen": (seen) => pawl.sources.pruneLog({ seen }),
};
const INTEGERS: Record<string, [min: number, max: number, call: (wrong: never) => unknown]> = {
  "sources.makePartitions": [0, 120, (months) => pawl.sources.makePartitions(months)],
  "sources.windows": [1, 10_000, (limit) => pawl.sources.windows({ limit })],
  "inbox.list": [1, 10_000, (limit) => pawl.inbox.list({ limit })],
  reschedule: [0, 3, (priority) => pawl.reschedule("1", { priority })],
};

const OBJECTS = [null, {}, [], true, Symbol("odd"), () => 1];
const NO_IDS = ["abc", "", "1.5", "-1", -1, 1.5, Number.NaN, "9223372036854775808", ...OBJECTS];
const NO_TIMES = [new Date("x"), new Date(8_640_000_000_000_000), "tomorrow", -1, null, {}, []];
const NO_DURATIONS = ["soon", "", -1, Number.NaN, Number.POSITIVE_INFINITY, "3651d", null, {}, []];

async function refusal(run: () => unknown): Promise<{ error: unknown; statements: number }> {
  const asked = askedOf(url);
  const error = await Promise.resolve()
    .then(run)
    .then(
      (answer) => ({ answer }),
      (thrown: unknown) => thrown,
    );
  const statements = asked();
  vi.restoreAllMocks();
  return { error, statements };
}

/** @param words what the message says that it expected */
async function expectRefusals(
  name: string,
  call: (wrong: never) => unknown,
  {
    wrong,
    words,
    code = "invalid_option",
  }: { wrong: readonly unknown[]; words: string; code?: string },
): Promise<void> {
  for (const value of wrong) {
    const { error, statements } = await refusal(() => call(value as never));
    const what = `${name} of ${typeof value} ${String(value instanceof Date ? value.getTime() : JSON.stringify(value))}`;
    expect(error, what).toBeInstanceOf(PawlError);
    expect(error, what).toMatchObject({ code });
    const said = value === undefined ? /expected `\w+` to be (given|an? )/ : words;
    expect((error as PawlError).message, what).toMatch(said);
    expect(statements, `${what}: statements that were sent`).toBe(0);
  }
}

/** Of the same mistake on the command line: `expected --limit to be <words>, got "x"`. */
function wordsOf(typed: AnyField): string {
  try {
    typed.readTyped("x", { label: "--n", option: "--n" });
  } catch (error) {
    return / to be (.*), got "x"/.exec((error as Error).message)?.[1] ?? "no words";
  }
  return "not refused";
}

describe("what is none is refused in the words of the command line:", () => {
  test.each(Object.entries(IDS))("the number of %s", (name, call) =>
    expectRefusals(name, call, { wrong: [...NO_IDS, undefined], words: wordsOf(numberId("id")) }),
  );

  test("the target of why", () =>
    expectRefusals("why", (id) => pawl.why(id), {
      wrong: [...NO_IDS, undefined],
      words:
        "a number such as 42, the UUID of an event, source:<name>, command:<key> or schedule:<name>",
    }));

  test.each(Object.entries(EVENT_IDS))("the id of %s", (name, call) =>
    expectRefusals(name, call, { wrong: [...NO_IDS, undefined], words: wordsOf(eventId("id")) }),
  );

  test.each(["replay", "planReplay"] as const)("the event of %s", (name) =>
    expectRefusals(name, (event) => pawl[name]({ event }), {
      wrong: NO_IDS.filter((one) => one !== null),
      words: wordsOf(eventId("id")),
    }),
  );

  test.each(Object.entries(INTEGERS))(
    "the number that %s takes",
    async (name, [min, max, call]) => {
      const words = wordsOf(integer({ help: "n", min, max }));
      const wrong = [min - 1, max + 1, 1.5, Number.NaN, "1", "abc", null, [], true, Symbol("odd")];
      await expectRefusals(name, call, { wrong, words });
    },
  );

  test.each([
    ["sources.windows", (state: never) => pawl.sources.windows({ state }), "hedl", "held"],
    ["inbox.list", (state: never) => pawl.inbox.list({ state }), "wating", "waiting"],
  ] as const)("the state of %s, with the nearest", async (name, call, misspelt, meant) => {
    await expectRefusals(name, call, { wrong: [misspelt], words: `did you mean "${meant}"?` });
    await expectRefusals(name, call, { wrong: [5, ...OBJECTS], words: "one of " });
    expect(wordsOf(choice([meant]))).toContain("one of ");
  });
});

describe("what is none is refused before anything is sent:", () => {
  test.each(Object.entries(LISTS))("the list of %s", (name, call) =>
    expectRefusals(name, call, { wrong: ["12", 12, {}, null, { length: 1 }], words: "a list" }),
  );

  test.each(Object.entries(FLAGS))("the flag of %s", (name, call) =>
    expectRefusals(name, call, { wrong: ["false", 0, null, {}], words: "true or false" }),
  );

  test.each(Object.entries(NAMES))("the name of %s", (name, call) =>
    expectRefusals(name, call, {
      wrong: [5, "", "a\u0000b", "x".repeat(501), undefined, ...OBJECTS],
      words: "a text of 1 to ",
    }),
  );

  test.each(Object.entries(TIMES))("the time of %s", (name, call) =>
    expectRefusals(name, call, { wrong: NO_TIMES, words: "expected `" }),
  );

  test.each(Object.entries(DURATIONS))("the duration of %s", (name, call) =>
    expectRefusals(name, call, { wrong: NO_DURATIONS, words: "expected `" }),
  );

  test("the duration of worker.isWorkLeft", async () => {
    const worker = await pawl.work({ roles: ["worker"], queues: ["low"] });
    for (const wrong of ["soon", -1, Number.NaN, null, {}])
      await expect(worker.isWorkLeft(wrong as never)).rejects.toMatchObject({
        code: "invalid_option",
      });
    await worker.stop();
  });
});

describe("a scope is read as on the command line:", () => {
  test.each(["off", "on"] as const)("%s", async (verb) => {
    await expect(pawl[verb]("low")).rejects.toThrow(
      '"route:<id>"; got "low"; did you mean "queue:low"?',
    );
    await expect(pawl[verb]("queue:lwo")).rejects.toThrow(
      'no queue "lwo" in this database; did you mean "low"?',
    );
    for (const wrong of [5, "", "queue:", "a\u0000b", undefined, ...OBJECTS])
      await expect(pawl[verb](wrong as never)).rejects.toThrow(/expected (?:a scope|`scope`)/);
    expect(await pawl.store.rows("select from pawl.switch")).toEqual([]);
  });
});

test("no call answers anything wrong with a TypeError, or with an error of the database", async () => {
  const calls = clientCalls(pawl).filter(([name]) => name !== "close" && name !== "work");
  const bad: string[] = [];
  for (const [name, call] of calls) {
    for (const wrong of [undefined, 5, -1, "x", "a\u0000b", new Date("x"), [5], ...OBJECTS]) {
      for (const more of [[], [{}], [null], [wrong, wrong, wrong]]) {
        const { error } = await refusal(() => call(wrong, ...more));
        const isAnswered = !(error instanceof Error) || error instanceof PawlError;
        const isOfDatabase = error instanceof PawlError && error.data.sqlstate !== undefined;
        if (isAnswered && !isOfDatabase) continue;
        bad.push(
          `${name}(${typeof wrong} ${JSON.stringify(wrong)}, ${JSON.stringify(more)}): ${String(error)}`,
        );
      }
    }
  }
  expect(bad).toEqual([]);
  await expect(pawl.work(null as never)).rejects.toBeInstanceOf(PawlError); // others start workers
});

test("an unknown source is told where its inbox is asked for, with the nearest", async () => {
  const unknown = { code: "source_not_found", message: expect.stringContaining('"feed"?') };
  await expect(pawl.inbox.list({ source: "fed" })).rejects.toMatchObject(unknown);
  await expect(pawl.sources.windows({ source: "fed" })).rejects.toMatchObject(unknown);
});

test("what is right goes through", async () => {
  const { id } = await pawl.enqueue(job, {});
  expect(await pawl.task(`00${id}`)).toMatchObject({ id });
  expect(await pawl.reschedule(Number(id) as never, { priority: 0 })).toBe("changed");
  expect(await pawl.sources.makePartitions(0)).toEqual([]);
  expect(await pawl.inbox.list({ source: "feed", state: "waiting", limit: 1 })).toEqual([]);
  // as `ids.map(pawl.task)` calls it
  const find = new Map(clientCalls(pawl)).get("task");
  expect(await find?.(id, 0, [id])).toMatchObject({ id });
});
