import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl } from "../../src/index.ts";
import { openStore } from "../../src/store/store.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { databaseProxy } from "../support/database-proxy.ts";
import { executorOn, LONG_LEASE } from "../support/kernel.ts";
import { slowness } from "../support/slowness.ts";
import { stalls } from "../support/stalls.ts";
import { until } from "../support/until.ts";

const job = defineJob({ name: "job", input: z.object({}), run: () => undefined });
/** `pawl.lease_length()`: with two heartbeats that are further apart it is lost. */
const LEASE_MS = 10_000;

async function working(work = job) {
  const { url } = await freshDatabase();
  const proxy = await databaseProxy(url);
  const pawl = await connect(defineApp({ jobs: [work] }), {
    databaseUrl: proxy.url,
    log: silentLogger,
  });
  onTestFinished(() => void pawl.close());
  return { url, pawl, proxy, direct: await rawClient(url) };
}

async function enqueued(direct: Awaited<ReturnType<typeof rawClient>>, count: number) {
  const tasks = Array.from({ length: count }, () => ({ kind: "job", payload: {} }));
  await direct.query("select pawl.enqueue($1)", [JSON.stringify(tasks)]);
}

const finished = async (direct: Awaited<ReturnType<typeof rawClient>>) =>
  (await direct.query("select from pawl.finished")).rowCount;

test("R98: a worker whose connections fall silent without closing goes on with new ones, and keeps its lease", async () => {
  const { url, pawl, proxy, direct } = await working();
  await direct.query(LONG_LEASE); // a machine that stands still meanwhile would outlast the usual one
  await pawl.work();
  await enqueued(direct, 1);
  await until("it works", async () => (await finished(direct)) === 1);
  const beatAt = async () => {
    const { rows } = await direct.query("select heartbeat_at as at from pawl.worker");
    return Number(rows[0].at);
  };
  const slowMs = slowness(executorOn(await rawClient(url)));
  proxy.freeze();
  const before = await beatAt();
  await enqueued(direct, 100);
  await until("it works again", async () => (await finished(direct)) === 101);
  await until("it beats again", async () => (await beatAt()) > before);
  expect((await beatAt()) - before).toBeLessThan(LEASE_MS + slowMs());
  const { rows } = await direct.query("select ended_why from pawl.worker");
  expect(rows).toEqual([{ ended_why: null }]);
});

test("a stop ends within its grace and 5 s although the database has fallen silent, whatever a handler has open", async () => {
  let isOpen = false;
  let pawl: Pawl | undefined;
  const holding = defineJob({
    name: "job",
    input: z.object({}),
    run: () =>
      pawl?.transaction(async (tx) => {
        await tx.query("select 1");
        isOpen = true;
        await tx.query("select pg_sleep(600)");
      }),
  });
  const all = await working(holding);
  pawl = all.pawl;
  await pawl.work({ grace: "1s" });
  await enqueued(all.direct, 1);
  await until("its transaction is open", () => isOpen);
  all.proxy.freeze();
  const stalledMs = stalls();
  const askedAt = performance.now();
  await pawl.close();
  expect(performance.now() - askedAt - stalledMs()).toBeLessThan(6_500);
});

test.each([
  ["a statement", 50, (store: ReturnType<typeof openStore>) => store.rows("select 1", [], 50)],
  [
    "a prepared statement",
    50,
    (store: ReturnType<typeof openStore>) => store.prepared("select 1", [], 50),
  ],
] as const)(
  "%s that gets no answer in time fails, and its connection and those beside it are closed",
  async (_, timeoutMs, send) => {
    const proxy = await databaseProxy((await freshDatabase()).url);
    const store = openStore({ url: proxy.url, max: 3 });
    onTestFinished(() => store.close());
    await Promise.all([1, 2, 3].map(() => store.rows("select pg_sleep(0.01)")));
    proxy.freeze();
    await expect(send(store)).rejects.toMatchObject({
      code: "database_unreachable",
      message: expect.stringContaining(`no answer within ${timeoutMs} ms`),
    });
    // the others have been closed: none of the three would answer
    expect(await store.rows("select 2 as n")).toEqual([{ n: 2 }]);
  },
);

test("a close does not wait for a transaction that nobody ends: it is rolled back", async () => {
  const { url } = await freshDatabase();
  const store = openStore({ url });
  const direct = await rawClient(url);
  const open = await store.begin();
  await open.tx.query("create table left_open (n int)");
  await store.close(0);
  await until("the server has rolled back", async () => {
    const { rowCount } = await direct.query(
      "select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'",
    );
    return rowCount === 0;
  });
});
