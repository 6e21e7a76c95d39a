import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl, Unrecoverable } from "../../src/index.ts";
import { type TestKit, testKit } from "../../src/testing/index.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const input = z.object({ order: z.string(), amount: z.number().positive() });
const charge = defineJob({
  name: "charge",
  input,
  key: ({ order, amount }) => `${order}-${amount}`,
  lane: ({ order }) => order,
  limitKey: ({ order }) => order,
  run: ({ amount }) => {
    if (amount === 1) throw new Unrecoverable("too little");
    return amount;
  },
});

let pawl: Pawl;
let kit: TestKit;
let url: string;

beforeAll(async () => {
  ({ url } = await freshDatabase({ longLeases: true }));
  const app = defineApp({ name: "edit", jobs: [charge] });
  kit = await testKit(app, { databaseUrl: url });
  pawl = kit.pawl;
  atEnd(() => kit.close());
});

const work = () => kit.runUntilIdle({ concurrency: 1 });

/** A dead letter of an order, which blocks the order's lane. */
async function died(order: string, options = {}): Promise<string> {
  const { id } = await pawl.enqueue(charge, { order, amount: 1 }, options);
  await work();
  return id;
}

test("R55 R59: a dead letter retried with a corrected payload is a new task with the old as its origin, and both say so", async () => {
  const id = await died("a", { meta: { tenant: "t" } });
  const behind = await pawl.enqueue(charge, { order: "a", amount: 3 });
  const done = await pawl.dead.retry(id, {
    payload: { order: "a", amount: 2 },
    by: "ada",
    why: "a typing error",
  });
  expect(done).toEqual({
    dryRun: false,
    count: 1,
    ids: [id],
    duplicates: [],
    as: expect.any(String),
  });
  const as = done.as ?? "";
  expect(await pawl.task(id)).toMatchObject({
    state: "removed",
    payload: { amount: 1 },
    result: { retriedAs: as },
    error: { message: "too little" },
  });
  expect(await pawl.task(as)).toMatchObject({
    state: "ready",
    attempt: 0,
    payload: { order: "a", amount: 2 },
    meta: { tenant: "t", origin: `task:${id}` },
    key: "a-2",
    lane: "a",
  });
  expect(
    (await pawl.audit.list({ action: "dead.retry" })).map(({ target, by, why, detail }) => ({
      target,
      by,
      why,
      detail,
    })),
  ).toEqual([
    { target: `task:${as}`, by: "ada", why: "a typing error", detail: { origin: id } },
    { target: `task:${id}`, by: "ada", why: "a typing error", detail: { as } },
  ]);
  // it kept its place in the lane
  await work();
  const [first, second] = await Promise.all([pawl.task(as), pawl.task(behind.id)]);
  expect([first?.state, second?.state]).toEqual(["done", "done"]);
  expect(Number(first?.endedAt)).toBeLessThanOrEqual(Number(second?.startedAt));
});

test("R59: with a payload of another lane, the old lane goes on and the task waits in the new one", async () => {
  const id = await died("b");
  const behind = await pawl.enqueue(charge, { order: "b", amount: 3 });
  const { as = "" } = await pawl.dead.retry(id, { payload: { order: "c", amount: 2 } });
  expect(await pawl.task(as)).toMatchObject({ lane: "c", key: "c-2" });
  await work();
  expect((await pawl.task(behind.id))?.state).toBe("done");
  expect((await pawl.task(as))?.state).toBe("done");
});

test("R59: a key that enqueue was given stays, and a live task with the new key makes it a duplicate that changes nothing", async () => {
  const id = await died("d", { key: "mine", lane: "own" });
  const { as = "" } = await pawl.dead.retry(id, { payload: { order: "d", amount: 2 } });
  expect(await pawl.task(as)).toMatchObject({ key: "mine", lane: "own" });
  await work();

  const other = await died("e");
  await pawl.enqueue(charge, { order: "e", amount: 5 });
  expect(await pawl.dead.retry(other, { payload: { order: "e", amount: 5 } })).toEqual({
    dryRun: false,
    count: 0,
    ids: [],
    duplicates: [other],
  });
  expect((await pawl.why(other)).line).toContain("lane e waits for it");
  expect(await pawl.stats()).toMatchObject({
    queues: expect.arrayContaining([
      expect.objectContaining({ queue: "normal", blocked: 1, dead: 1 }),
    ]),
  });
  await pawl.dead.remove(other);
  await work();
});

test("R59 R118: a dead letter whose result somebody has waited for can be corrected: that wait is over", async () => {
  const { id } = await pawl.enqueue(charge, { order: "awaited", amount: 1 });
  const wait = pawl.result(id, { timeout: "5m" });
  wait.catch(() => undefined);
  await until("it is awaited", async () => {
    const rows = await pawl.store.rows("select from pawl.awaited where task_id = $1", [id]);
    return rows.length === 1;
  });
  await work();
  await expect(wait).rejects.toMatchObject({ code: "task_dead" });
  const { as } = await pawl.dead.retry(id, { payload: { order: "awaited", amount: 2 } });
  await work();
  expect(await pawl.result(as ?? "")).toBe(2);
});

test("R59: a dead letter that a task waits for cannot be corrected, and a dry run says so; it can once that task has ended", async () => {
  const id = await died("waited");
  const fixed = { order: "waited", amount: 2 };
  const waits = await pawl.enqueue(charge, { order: "later", amount: 3 }, { after: id });
  for (const dryRun of [true, false])
    await expect(pawl.dead.retry(id, { payload: fixed, dryRun })).rejects.toThrow("task waits for");
  await work(); // has marked it as watched
  await expect(pawl.dead.retry(id, { payload: fixed, dryRun: true })).rejects.toMatchObject({
    code: "invalid_option",
    data: { id },
  });
  expect((await pawl.task(id))?.state).toBe("dead");
  await pawl.tasks.cancel(waits.id);
  expect(await pawl.dead.retry(id, { payload: fixed, dryRun: true })).toMatchObject({ count: 1 });
  expect(await pawl.dead.retry(id, { payload: fixed })).toMatchObject({ count: 1 });
});

test("R59: what the schema refuses, several at once, and what is not dead change nothing", async () => {
  const id = await died("f");
  const fixed = { order: "f", amount: 2 };
  await expect(pawl.dead.retry(id, { payload: { order: "f", amount: -1 } })).rejects.toMatchObject({
    code: "invalid_payload",
  });
  await expect(pawl.dead.retry([id, "999"], { payload: fixed })).rejects.toThrow(
    "for one dead letter",
  );
  await expect(
    pawl.dead.retry({ all: true, payload: fixed } as Parameters<typeof pawl.dead.retry>[0]),
  ).rejects.toThrow("for one dead letter");
  expect(await pawl.dead.retry(id, { payload: fixed, dryRun: true })).toEqual({
    dryRun: true,
    count: 1,
    ids: [id],
  });
  await expect(pawl.dead.retry("1", { payload: fixed })).rejects.toMatchObject({
    code: "task_not_found",
  });
  expect((await pawl.task(id))?.state).toBe("dead");

  const bare = await connect(defineApp({ name: "edit" }), {
    databaseUrl: url,
    log: silentLogger,
  });
  await expect(bare.dead.retry(id, { payload: fixed })).rejects.toThrow("no job of this app");
  await bare.close();
});
