import type { RequestListener, ServerResponse } from "node:http";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../../src/base/log.ts";
import {
  type AppOptions,
  connect,
  defineApp,
  defineJob,
  env,
  on,
  type Pawl,
  webhook,
} from "../../../src/index.ts";
import { httpServer } from "../../sender/local-servers.ts";
import { freshDatabase } from "../../support/database.ts";
import { until } from "../../support/until.ts";

process.env.HANGING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SLOTS = 20;

const closers: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const close of closers.reverse()) await close();
});

async function open(options: AppOptions): Promise<Pawl> {
  const { url } = await freshDatabase({ longLeases: true });
  const app = defineApp({ http: { allow: ["127.0.0.1"] }, ...options });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  closers.push(() => pawl.close());
  return pawl;
}

/** Keeps its callers waiting until it is told to answer them. */
async function receiver(isHanging: boolean) {
  const held: ServerResponse[] = [];
  let count = 0;
  const listener: RequestListener = (request, response) => {
    count += 1;
    request.resume();
    if (isHanging) held.push(response);
    else response.writeHead(204).end();
  };
  const server = await httpServer(listener);
  closers.push(() => server.close());
  return {
    url: server.url,
    held,
    get count() {
      return count;
    },
  };
}

const claimedOf = async (pawl: Pawl): Promise<number> => {
  const [row] = await pawl.store.rows<{ n: number }>(
    "select coalesce(sum(cardinality(seqs)), 0)::int as n from pawl.claim",
  );
  return row?.n ?? 0;
};

test("R114: two hosts that hang, 10 requests each: requests to others go out within a second, and hold to that", async () => {
  // the second worker has nothing that hangs: how long a request takes on this machine now
  const [pawl, calm] = [await open({}), await open({})];
  const hanging = await Promise.all([receiver(true), receiver(true)]);
  const [healthy, other] = await Promise.all([receiver(false), receiver(false)]);
  for (const { url } of hanging) {
    for (let n = 0; n < 10; n += 1)
      await pawl.request({ method: "POST", url, body: "x", timeout: "10m" });
  }
  const workers = [
    await pawl.work({ concurrency: SLOTS }),
    await calm.work({ concurrency: SLOTS }),
  ];
  await until("both have requests under way", () => hanging.every((one) => one.held.length > 0));
  const waitMs = async (from: Pawl, to: { url: string; count: number }, n: number) => {
    const began = performance.now();
    const { id } = await from.request({ method: "POST", url: to.url, body: "x" });
    await until("it has arrived", () => to.count === n);
    const wait = performance.now() - began;
    await until("its end is recorded", async () => (await from.task(id))?.state === "done");
    return wait;
  };
  const waits: number[] = [];
  const later: number[] = [];
  for (let n = 1; n <= 8; n += 1) {
    const [wait, usual] = await Promise.all([waitMs(pawl, healthy, n), waitMs(calm, other, n)]);
    waits.push(wait);
    later.push(wait - usual);
  }
  console.log(`requests to a healthy host waited ${waits.map(Math.round).join(", ")} ms`);
  // all would wait if those that hang were in the way, since none of these ends; a busy machine makes one or the other wait
  expect(later.toSorted((a, b) => a - b)[1]).toBeLessThan(1_000);
  expect(await claimedOf(pawl)).toBeLessThanOrEqual((SLOTS * 3) / 4);
  for (const worker of workers) await worker.stop("1ms");
});

test("R114: the breaker of a destination that hangs opens before its timeout; others deliver; late good answers are taken back", async () => {
  const [erp, audit] = await Promise.all([receiver(true), receiver(false)]);
  const secret = env("HANGING_SECRET");
  const pawl = await open({
    destinations: {
      erp: webhook({ url: erp.url, secret, timeout: "36s" }),
      audit: webhook({ url: audit.url, secret, timeout: "10m" }),
    },
    routes: [on("order.*").to("erp", "audit")],
  });
  await pawl.store.rows("update pawl.queue set breaker = breaker || '{\"failures\": 4}'");
  for (let n = 0; n < 8; n += 1) {
    await pawl.record("order.placed", { aggregate: ["order", n], payload: { n } });
  }
  const worker = await pawl.work({ concurrency: SLOTS });
  await until("all are delivered to the other", () => audit.count === 8);
  const state = async () => pawl.destinations.show("erp");
  await until("it is open", async () => (await state())?.state === "open");
  expect(await state()).toMatchObject({ reason: "no end of an attempt within 12s" });
  expect(await pawl.store.rows("select count(*)::int as ended from pawl.attempt")).toEqual([
    { ended: 0 },
  ]);
  for (const response of erp.held.splice(0)) response.writeHead(204).end();
  await until("it closes", async () => (await state())?.state !== "open");
  await worker.stop("1ms");
});

test("R114: a kind of job that hangs leaves slots to one that waits beside it; alone it takes all", async () => {
  let held = 0;
  let quick = 0;
  const stuck = defineJob({
    name: "stuck",
    input: z.object({}),
    run: (_, { signal }) =>
      new Promise((_resolve, reject) => {
        held += 1;
        signal.addEventListener("abort", () => reject(signal.reason));
      }),
  });
  const small = defineJob({
    name: "small",
    input: z.object({}),
    run: () => {
      quick += 1;
    },
  });
  const pawl = await open({ jobs: [stuck, small] });
  await pawl.enqueueMany(stuck, Array(40).fill({}));
  await pawl.enqueueMany(small, Array(100).fill({}));
  const worker = await pawl.work({ concurrency: 8 });
  await until("the other kind is done", () => quick === 100);
  await until("alone it takes all slots", () => held === 8);
  await worker.stop("1ms");
});

test("R111a: why says that a request waits for its host's share of the slots, not that it starts in a moment", async () => {
  const pawl = await open({});
  const [one, other] = await Promise.all([receiver(true), receiver(true)]);
  let last = "";
  for (let n = 0; n < SLOTS; n += 1) {
    for (const { url } of [one, other]) {
      last = (await pawl.request({ method: "POST", url, body: "x", timeout: "10m" })).id;
    }
  }
  await pawl.work({ concurrency: SLOTS });
  const line = await until("it is told with a heartbeat", async () => {
    const why = (await pawl.why(last))?.line ?? "";
    return why.includes("its share") && why;
  });
  expect(line).toMatch(
    /ready for .*: \d+ before it; 1 live worker knows kind .*, \d+ of it run, which is its share of the 20 slots: they are slow or hang/,
  );
});
