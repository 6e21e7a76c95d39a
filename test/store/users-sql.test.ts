/**
 * With a schema of another name, its name takes the place of `pawl` in Pawl's own statements and nowhere else: the texts of users go
 * to the server as they are, whatever they hold, and none of them is kept.
 */

import v8 from "node:v8";
import vm from "node:vm";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  type AppOptions,
  connect,
  type DestinationDefinition,
  defineApp,
  defineDestinationType,
  defineJob,
  flow,
  nullDestination,
  on,
  type Pawl,
  toJob,
} from "../../src/index.ts";
import { deliveriesOf } from "../../src/outbox/sql.ts";
import { openStore, renderer } from "../../src/store/store.ts";
import type { Transaction } from "../../src/store/transaction.ts";
import { fakeSource } from "../../src/testing/index.ts";
import { freshDatabase, openTransaction } from "../support/database.ts";
import { until } from "../support/until.ts";

/** Each holds `pawl.` where nobody means the schema. */
const TEXTS = [
  `select 'pawl.task' as "pawl.task"`,
  `select $tag$pawl.task$tag$ as "pawl.task"`,
  `select e'\\'pawl.task' as "pawl.task" -- pawl.task`,
  `select /* pawl.task */ "pawl.task" from (select 'pawl.task') x ("pawl.task")`,
];
const ANSWERS = ["pawl.task", "pawl.task", "'pawl.task", "pawl.task"].map((text) => ({
  "pawl.task": text,
}));

async function answersOf(tx: Pick<Transaction, "query">): Promise<unknown[]> {
  const answers: unknown[] = [];
  for (const text of TEXTS) answers.push((await tx.query(text)).rows[0]);
  return answers;
}

const echo = defineJob({
  name: "echo",
  input: z.any(),
  run: async (_, { tx }) => ({ answers: await answersOf(tx) }),
});

async function shop(options: AppOptions): Promise<{ pawl: Pawl; url: string }> {
  const { url } = await freshDatabase({ migrated: false });
  const app = defineApp({ name: "shop", schema: "shop", ...options });
  const pawl = await connect(app, { databaseUrl: url, migrate: true, log: silentLogger });
  onTestFinished(() => pawl.close());
  return { pawl, url };
}

const doneTask = (pawl: Pawl, id: string) =>
  until("the task is done", async () => {
    const task = await pawl.task(id);
    return task?.state === "done" && task;
  });

test("in a transaction of pawl.transaction and in a handler's own", async () => {
  const { pawl } = await shop({ jobs: [echo] });
  const { id } = await pawl.transaction(async (tx) => {
    expect(await answersOf(tx)).toEqual(ANSWERS);
    return pawl.enqueue(echo, {}, { tx });
  });
  await pawl.work();
  expect((await doneTask(pawl, id)).result).toEqual({ answers: ANSWERS });
});

test("in a source's `store`, whose own enqueue and record find the schema", async () => {
  const seen: unknown[] = [];
  const { source } = fakeSource(1, {
    name: "feed",
    store: async (_, { tx, enqueue, record }) => {
      seen.push(await answersOf(tx));
      await enqueue(echo, {});
      await record("order.placed", { aggregate: ["order", 1], payload: {} });
    },
  });
  const { pawl } = await shop({ jobs: [echo], sources: [source] });
  await pawl.work();
  await until("its job is done", async () => {
    const [row] = await pawl.store.rows<{ n: number }>(
      "select count(*)::int as n from pawl.finished",
    );
    return row?.n === 1;
  });
  expect(seen).toEqual([ANSWERS]);
});

test("in a destination, and in a delivery that tests it; what Pawl's own destinations write finds the schema", async () => {
  const seen: unknown[] = [];
  const own = (name: string): DestinationDefinition => ({
    type: "own",
    config: {},
    timeoutMs: 600_000,
    deliver: async (_, { tx }) => {
      seen.push(name, await answersOf(tx));
      return {};
    },
  });
  const ownType = defineDestinationType({
    type: "own",
    label: "Own",
    fields: {},
    define: () => own("type"),
  });
  const { pawl } = await shop({
    jobs: [echo],
    destinationTypes: [ownType],
    destinations: { own: own("code"), job: toJob(echo), again: flow({ name: "order.again" }) },
    routes: [on("order.placed").to("own", "job", "again")],
  });
  for (const name of ["job", "again"])
    expect(await pawl.destinations.test(name)).toMatchObject({
      accepted: true,
      isRolledBack: true,
    });
  await pawl.destinations.add({ name: "added", type: "own" });
  for (const name of ["added", "own"])
    expect(await pawl.destinations.test(name)).toMatchObject({ accepted: true });
  await pawl.work();
  const { id } = await pawl.record("order.placed", { aggregate: ["order", 1], payload: {} });
  await until("all three are delivered", async () => {
    const rows = await deliveriesOf(pawl.store, id);
    return rows.filter(({ status }) => status === "published").length === 3;
  });
  expect(seen).toEqual(["type", ANSWERS, "code", ANSWERS, "code", ANSWERS]);
  expect(await pawl.event(id)).toMatchObject({ name: "order.placed" });
  const names = await pawl.store.rows("select name from pawl.event order by number");
  expect(names).toEqual([{ name: "order.placed" }, { name: "order.again" }]);
});

test("in a transaction of another client", async () => {
  const { pawl, url } = await shop({ jobs: [echo] });
  const client = await openTransaction(url);
  const { id } = await pawl.enqueue(echo, {}, { tx: client });
  expect(await answersOf(client)).toEqual(ANSWERS);
  await client.query("commit");
  expect(await pawl.task(id)).toMatchObject({ kind: "echo" });
});

test("a handle around `context.tx` counts as a transaction of another client", async () => {
  const wrapped = defineJob({
    name: "wrapped",
    input: z.any(),
    run: async (_, { tx }) => {
      const handle = { query: (text: string, values?: unknown[]) => tx.query(text, values) };
      return pawl.enqueue(echo, {}, { tx: handle });
    },
  });
  const { pawl } = await shop({ jobs: [echo, wrapped], destinations: { none: nullDestination() } });
  await pawl.work();
  const { id } = await pawl.enqueue(wrapped, {});
  expect((await doneTask(pawl, id)).result).toMatchObject({ outcome: "created" });
});

test("a process that sends ever new texts keeps none of them", async () => {
  v8.setFlagsFromString("--expose-gc");
  const collect = vm.runInNewContext("gc") as () => void;
  const { pawl } = await shop({});
  const usedBytes = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = usedBytes();
  const render = renderer("shop");
  for (let i = 0; i < 100; i += 1) {
    const text = `select 1 as one -- ${i} ${"x".repeat(1_000_000)}`;
    await pawl.transaction((tx) => tx.query(text));
    render(text);
  }
  expect((usedBytes() - before) / 1_000_000).toBeLessThan(50);
});

test("of ever new texts that are to be prepared, a connection and its server keep a thousand", async () => {
  const { url } = await freshDatabase();
  const store = openStore({ url, max: 1 });
  onTestFinished(() => store.close());
  for (let i = 0; i < 1_100; i += 1)
    expect(await store.prepared(`select $1::int + ${i} as n`, [1])).toEqual([{ n: 1 + i }]);
  const rows = await store.rows<{ n: number }>(
    "select count(*)::int as n from pg_prepared_statements where name like 'pawl%'",
  );
  expect(rows).toEqual([{ n: 1_000 }]);
});
