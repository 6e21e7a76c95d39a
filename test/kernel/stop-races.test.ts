import { once } from "node:events";
import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { PawlError } from "../../src/base/errors.ts";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, defineSource } from "../../src/index.ts";
import { workers } from "../../src/kernel/operator/sql.ts";
import { LAST_WORDS_MS, Session, type SessionOptions, within } from "../../src/kernel/session.ts";
import type { TurnRow } from "../../src/kernel/sql.ts";
import type { StreamHandler } from "../../src/kernel/task.ts";
import type { Store } from "../../src/store/store.ts";
import { freshDatabase, freshStore } from "../support/database.ts";
import { databaseProxy } from "../support/database-proxy.ts";
import { allStreams, count, defineKinds, enqueueCount, LONG_LEASE } from "../support/kernel.ts";
import { workerOn } from "../support/lossy.ts";
import { stalls } from "../support/stalls.ts";
import { until } from "../support/until.ts";

const STOPPING = new PawlError("worker_stopping", "stopping");

function handlerOf(run: StreamHandler["run"]): StreamHandler {
  return { queue: "q", kind: "k", version: 1, timeoutMs: 60_000, run };
}

test("a task whose claim is answered only after the grace is not started: it is given back", async () => {
  const store = await freshStore();
  await store.rows(LONG_LEASE);
  await defineKinds(store);
  let isHeld = false;
  let letGo: (() => void) | undefined;
  const prepared: Store["prepared"] = async (text, values) => {
    const rows = await store.prepared(text, values);
    const isClaim = text.includes("turn_v1") && (rows as unknown as TurnRow[]).length > 0;
    if (isHeld && isClaim) {
      await new Promise<void>((resolve) => {
        letGo = resolve;
      });
    }
    return rows as never;
  };
  let runs = 0;
  let aborted = false;
  const handler = handlerOf((_, { signal }) => {
    runs += 1;
    return new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        aborted = true;
        reject(signal.reason);
      });
    });
  });
  const worker = workerOn({ ...store, prepared }, handler, 2);
  await worker.start();
  await enqueueCount(store, 1);
  await until("one runs", () => runs === 1);
  isHeld = true;
  await enqueueCount(store, 1);
  await until("another is claimed, and the answer is on its way", () => letGo !== undefined);
  const stopped = worker.stop(0);
  await until("the grace is over", () => aborted);
  letGo?.();
  expect([0, 2]).toContain(await stopped); // 0: the database has not answered within the 3 s that it waits
  await until("it has signed off", async () => (await count(store, "claim")) === 0);
  expect(runs).toBe(1);
  expect(await store.rows("select state, attempt from pawl.task")).toEqual(
    Array(2).fill({ state: "ready", attempt: 0 }),
  );
});

test("a session that ended without a database tries no further turn", async () => {
  const store = await freshStore();
  await store.rows(LONG_LEASE);
  await defineKinds(store);
  let isDown = false;
  let failures = 0;
  const down = () => {
    failures += 1;
    return new PawlError("database_unreachable", "down");
  };
  const away: Store = {
    ...store,
    rows: async (text, values) => {
      if (isDown) throw down();
      return store.rows(text, values);
    },
    prepared: async (text, values) => {
      if (isDown) throw down();
      return store.prepared(text, values);
    },
  };
  const [stream = 0] = await allStreams(store);
  let end: (() => void) | undefined;
  const handler = handlerOf(
    () =>
      new Promise<void>((resolve) => {
        end = resolve;
      }),
  );
  const session = await Session.start(sessionOn(away, stream, handler));
  await enqueueCount(store, 1);
  await until("it runs", () => end !== undefined);
  isDown = true;
  end?.();
  await until("its outcome could not be recorded", () => failures > 0);
  expect(await session.stop(0, STOPPING)).toBe(0);
  await session.pump.drained(); // nothing is left that it would still try to send
  expect(await count(store, "finished")).toBe(0);
});

test("what others of a worker take after its grace takes nothing from the time to sign off", async () => {
  const store = await freshStore();
  await store.rows(LONG_LEASE);
  await defineKinds(store);
  const lateMs = 500; // a database that is busy: longer than the least that it is waited for
  const late: Store = {
    ...store,
    rows: async (text, values) => {
      if (text.includes("end_worker_v1")) await pause(lateMs);
      return store.rows(text, values);
    },
  };
  const [stream = 0] = await allStreams(store);
  const handler = handlerOf(
    (_, { signal }) =>
      new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve())),
  );
  const session = await Session.start(sessionOn(late, stream, handler));
  await enqueueCount(store, 1);
  await until("it runs", () => session.pump.running === 1);
  expect(await session.stop(0, STOPPING, pause(LAST_WORDS_MS + lateMs))).toBe(1);
});

/** A handler that runs until its signal aborts. */
function untilAborted() {
  const seen = { runs: 0, aborted: false };
  const job = defineJob({
    name: "job",
    input: z.object({}),
    run: (_, { signal }) => {
      seen.runs += 1;
      return new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => {
          seen.aborted = true;
          resolve();
        });
      });
    },
  });
  return { job, seen };
}

test("the grace of tasks runs from the stop, however long a source takes to answer", async () => {
  const { job, seen } = untilAborted();
  let answer: (() => void) | undefined;
  const source = defineSource({
    name: "slow",
    fetch: () =>
      new Promise((resolve) => {
        answer = () => resolve({ events: [] });
      }),
  });
  const { url } = await freshDatabase({ longLeases: true });
  const app = defineApp({ jobs: [job], sources: [source] });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  await pawl.enqueue(job, {});
  const worker = await pawl.work();
  await until("both run", () => seen.runs === 1 && answer !== undefined);
  const stopped = worker.stop(0);
  await until("the task is aborted", () => seen.aborted); // the source answers only afterwards
  // who waits for its end, as `stop-workers --wait`, waits for the source too
  const [{ later } = { later: new Date() }] = await pawl.store.rows<{ later: Date }>(
    "select pawl.now() + interval '1 second' as later",
  );
  await until("it lives on", async () =>
    (await workers(pawl.store)).some(({ heartbeatAt }) => heartbeatAt > later),
  );
  answer?.();
  expect([0, 1]).toContain((await stopped).givenBack);
  await until("it has signed off", async () => (await workers(pawl.store)).length === 0);
  expect(await pawl.store.rows("select state, attempt from pawl.task")).toEqual([
    { state: "ready", attempt: 0 },
  ]);
});

test("a stop aborts what runs after its grace although the database has fallen silent", async () => {
  const { job, seen } = untilAborted();
  const proxy = await databaseProxy((await freshDatabase()).url);
  const pawl = await connect(defineApp({ jobs: [job] }), {
    databaseUrl: proxy.url,
    log: silentLogger,
  });
  await pawl.enqueue(job, {});
  const worker = await pawl.work();
  await until("it runs", () => seen.runs === 1);
  proxy.freeze();
  const stalledMs = stalls();
  const askedAt = performance.now();
  const stopped = worker.stop(0);
  await until("it is aborted", () => seen.aborted);
  // and not when a statement has missed its deadline
  expect(performance.now() - askedAt - stalledMs()).toBeLessThan(5_000);
  proxy.goAway();
  expect(await stopped).toEqual({ givenBack: 0 });
  await pawl.close();
});

function sessionOn(store: Store, stream: number, handler: StreamHandler): SessionOptions {
  return {
    store,
    transactionPool: store,
    concurrency: 2,
    turns: 1,
    handlers: new Map([[stream, handler]]),
    queueRank: () => 0,
    resultBytesMax: 1_000,
    log: silentLogger,
    info: {
      host: "test",
      pid: 1,
      application: "test",
      revision: 0,
      queues: ["q"],
      concurrency: 2,
      refused: 0,
      streams: [stream],
      off_here: [],
    },
    offHere: () => [],
    scopesOf: () => [],
    isOpen: () => true,
    openStreams: () => [stream],
    hasBreaker: () => false,
    started: async () => undefined,
    lost: () => undefined,
    stopRequested: () => undefined,
    leftMs: () => Number.POSITIVE_INFINITY,
    ended: () => undefined,
  };
}

test("an answer that came while a stopping process stood still is heard", async () => {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const accepted = once(server, "connection") as Promise<[net.Socket]>;
  const client = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
  const [other] = await accepted;
  onTestFinished(() => void client.destroy());
  const answer = once(client, "data").then(() => "an answer");
  const waited = within(150, answer);
  await new Promise((resolve) => setImmediate(resolve)); // what is due comes before what has arrived
  other.end("it is there");
  const until = performance.now() + 400;
  while (performance.now() < until); // nobody hears anything meanwhile, and all timers are due
  expect(await waited).toBe("an answer");
});
