import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl, Unrecoverable } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const broken = defineJob({
  name: "broken",
  input: z.object({ n: z.number() }),
  run: () => {
    throw new Unrecoverable("no such order");
  },
});

async function client(): Promise<Pawl> {
  const { url } = await freshDatabase();
  const pawl = await connect(defineApp({ name: "shop", jobs: [broken] }), {
    databaseUrl: url,
    log: silentLogger,
  });
  onTestFinished(() => pawl.close());
  return pawl;
}

async function deadIds(pawl: Pawl, count: number): Promise<string[]> {
  await pawl.enqueueMany(
    broken,
    Array.from({ length: count }, (_, n) => ({ n })),
  );
  const worker = await pawl.work();
  await until("all are dead", async () => (await pawl.dead.list()).length === count);
  await worker.stop();
  return (await pawl.dead.list()).map((row) => row.id).sort();
}

test("R112: what the command line does, code does by the same verbs: dead letters by id, by filter, dry, and kept in the audit", async () => {
  const pawl = await client();
  const ids = await deadIds(pawl, 3);
  const [first = ""] = ids;
  expect((await pawl.dead.show(first))?.task).toMatchObject({
    state: "dead",
    reason: "unrecoverable",
  });
  expect(await pawl.dead.groups()).toMatchObject([{ tasks: 3, kind: "broken" }]);
  expect(await pawl.dead.retry({ all: true, error: "no such", dryRun: true })).toEqual({
    dryRun: true,
    count: 3,
  });
  expect(await pawl.dead.retry(first, { why: "the order is back" })).toEqual({
    dryRun: false,
    count: 1,
    ids: [first],
    duplicates: [],
  });
  expect(await pawl.dead.remove({ all: true, kind: "broken", by: "ada" })).toMatchObject({
    count: 2,
  });
  expect(await pawl.dead.list()).toEqual([]);
  expect(await pawl.tasks.list({ kind: "broken", limit: 1 })).toMatchObject([{ id: first }]);
  expect(await pawl.tasks.cancel([first])).toEqual({
    dryRun: false,
    cancelled: [first],
    requested: [],
  });
  const [cancelled, removed] = await pawl.audit.list();
  expect(cancelled).toMatchObject({ action: "tasks.cancel", target: `task:${first}` });
  expect(cancelled?.by).toMatch(/^shop@/);
  expect(removed).toMatchObject({ action: "dead.remove", by: "ada" });
  expect(await pawl.audit.list({ target: `task:${first}` })).toMatchObject([
    { action: "tasks.cancel" },
    { action: "dead.retry", why: "the order is back" },
  ]);
});

test("R112: turning off and on in code: what holds it is listed, and a queue of another name is refused", async () => {
  const pawl = await client();
  expect(await pawl.queues.pause("low", { until: "1h", why: "erp down" })).toMatchObject({
    scope: "queue:low",
    running: 0,
  });
  expect((await pawl.switches.list()).switches).toMatchObject([
    { scope: "queue:low", why: "erp down" },
  ]);
  expect(await pawl.switches.on("queue:low")).toMatchObject({ wasOff: true });
  await expect(pawl.queues.pause("lwo")).rejects.toThrow('did you mean "low"?');
  expect(await pawl.workers.list()).toEqual([]);
  expect(await pawl.history.prune({ dryRun: true })).toMatchObject({ dryRun: true });
});

test("R112: a call that cannot be meant is refused before the database is asked, naming call, option and value", async () => {
  const pawl = await client();
  // as JavaScript calls them
  const loose = pawl as unknown as Record<string, Record<string, (...given: unknown[]) => unknown>>;
  const call = (noun: string, verb: string, ...given: unknown[]) =>
    expect(loose[noun]?.[verb]?.(...given)).rejects;
  await call("tasks", "show", "abc").toThrow(
    'tasks.show: expected `id` to be a number such as 42, got "abc"',
  );
  await call("tasks", "show").toThrow("tasks.show: expected `id` to be given");
  await call("tasks", "list", { lmit: 5 }).toThrow("tasks.list: no option `lmit`; did you mean");
  await call("tasks", "list", { limit: 0 }).toThrow("expected `limit` to be an integer from 1");
  await call("tasks", "list", 5).toThrow("tasks.list: expected an object of options, got 5");
  await call("tasks", "cancel", ["1"], { why: "" }).toThrow("expected `why` to be a text");
  await call("tasks", "cancel", ["1"], {}, 3).toThrow(
    "takes ids, an object of options; got 1 more",
  );
  for (const odd of [[], new Set(["1"]), new Map([["dryRun", true]]), new Date(0)]) {
    await call("tasks", "cancel", ["1"], odd).toThrow(
      "tasks.cancel: expected an object of options",
    );
  }
  await call("events", "route", undefined).toThrow("expected ids, `name`, or `all: true`");
  await call("events", "route", new Set(["1"])).toThrow("expected");
  await call("destinations", "edit", "erp", "whsec_c2VjcmV0").toThrow(/^(?!.*whsec_)/);
  await call("tasks", "cancel", { ids: ["1"] }).toThrow("`ids` is not an option; it goes before");
  await call("tasks", "reschedule", { ids: ["1"] }).toThrow(
    "expected `id` to be a number such as 42",
  );
  await call("dead", "retry", ["1"], { all: true }).toThrow("got both ids and `all`");
  await call("dead", "retry").toThrow("expected ids, or `all` with or without filters");
  await call("queues", "pause", "low", { until: 0 }).toThrow(
    "expected `until` to be a valid Date, or a duration",
  );
});

test("R112: options that an object has from its prototype count, and what `map` gives beside a value does not", async () => {
  const pawl = await client();
  const [id = ""] = await deadIds(pawl, 1);
  const inherited = Object.create({ dryRun: true }) as { dryRun?: boolean };
  expect(await pawl.dead.remove(id, inherited)).toMatchObject({ dryRun: true, count: 1 });
  const { show } = pawl.tasks as { show: (this: void, id: string) => Promise<unknown> };
  expect(await Promise.all([id].map(show))).toMatchObject([{ task: { id } }]);
});

test("R112: a list, a map, a set or a time in the place of options is refused by every call that writes, and nothing is written", async () => {
  const pawl = await client();
  const event = { aggregate: ["order", "1"] as [string, string], payload: {} };
  for (const odd of [[], new Map([["tx", "of the caller"]]), new Set(["tx"]), new Date(0)]) {
    const options = odd as object;
    const refused = (call: Promise<unknown>) =>
      expect(call).rejects.toThrow(/expected an object of options/);
    await refused(pawl.record("order.placed", event, options));
    await refused(pawl.enqueue(broken, { n: 1 }, options));
    await refused(pawl.off("all", options));
    await refused(pawl.work(options));
  }
  expect(await pawl.events.list()).toEqual([]);
  expect(await pawl.tasks.list()).toEqual([]);
  expect((await pawl.switches.list()).switches).toEqual([]);
});
