import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type EnqueueOptions, type Pawl } from "../../src/index.ts";
import { retryDead } from "../../src/kernel/operator/dead/sql.ts";
import { promote, sortLanes } from "../../src/kernel/sql.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";

let pawl: Pawl;
const job = defineJob({ name: "step", input: z.object({ n: z.string() }), run: () => undefined });

beforeAll(async () => {
  const { url } = await freshDatabase({ longLeases: true });
  pawl = await connect(defineApp({ jobs: [job] }), { databaseUrl: url, log: silentLogger });
});
afterAll(() => pawl.close());
beforeEach(async () => {
  for (const table of ["task", "task_after", "task_to_wake", "dead"])
    await pawl.store.rows(`delete from pawl.${table}`);
});

async function put(n: string, more: EnqueueOptions = {}): Promise<string> {
  return (await pawl.enqueue(job, { n }, more)).id;
}

const later = { delay: "1h" };
const look = () => promote(pawl.store, 100);
const end = "select pawl.finish_v1(array[$1::bigint], 'cancelled', null)";
const remove = "select from pawl.remove_dead_v1(array[$1::bigint], 'ada', 'test')";
const state = async (id: string) => (await pawl.task(id))?.state;

/** As the promoter of a worker does, until it finds nothing. */
async function promoted(): Promise<void> {
  await until("nothing is left for the promoter", async () => {
    await look();
    return (await pawl.store.rows("select from pawl.task_to_wake")).length === 0;
  });
}

/** Makes a dead letter of a task that waits. */
async function die(id: string): Promise<void> {
  await pawl.store.rows("update pawl.queue set expired_is_dead = true");
  await pawl.store.rows("select pawl.finish_v1(array[$1::bigint], 'expired', null)", [id]);
  await pawl.store.rows("update pawl.queue set expired_is_dead = false");
  expect(await state(id)).toBe("dead");
}

test("R118: a task that comes while a predecessor, watched already, is being ended is woken, not parked for ever", async () => {
  const first = await put("first", later);
  await put("watches", { after: first });
  await promoted();
  const client = await rawClient(pawl.store.url);
  await client.query("begin");
  await client.query(end, [first]); // has told all that wait, and has not committed
  const late = await put("late", { after: first, onDead: "run" });
  await look();
  expect(await state(late)).toBe("parked");
  await client.query("commit");
  await promoted();
  expect(await state(late)).toBe("ready");
});

test("R118: the same while a watched dead letter is being removed", async () => {
  const first = await put("first", later);
  await put("watches", { after: first });
  await promoted();
  await die(first);
  const client = await rawClient(pawl.store.url);
  await client.query("begin");
  await client.query(remove, [first]);
  const late = await put("late", { after: first });
  await look();
  expect(await state(late)).toBe("parked");
  await client.query("commit");
  await promoted();
  expect(await state(late)).toBe("cancelled");
});

test("R118: the promoter never waits for a dead letter that somebody holds: whoever holds it may be waiting for the promoter", async () => {
  const first = await put("first", later);
  await die(first);
  const client = await rawClient(pawl.store.url);
  await client.query("begin");
  await client.query("select from pawl.dead where id = $1 for update", [first]);
  const late = await put("late", { after: first, onDead: "cancel" });
  await look(); // would end with lock_timeout
  expect(await state(late)).toBe("parked");
  await client.query("rollback");
  await promoted();
  expect(await state(late)).toBe("cancelled");
});

test("R118: the end of a task that thousands wait for wakes a few hundred of them, and the promoter the others: its turn stays short", async () => {
  const first = await put("first", later);
  const inputs = Array.from({ length: 1_000 }, (_, n) => ({ n: String(n) }));
  await pawl.enqueueMany(job, inputs, { after: [first], onDead: "run" });
  await promoted();
  await pawl.store.rows(end, [first]);
  const ready = async () => {
    const rows = await pawl.store.rows("select from pawl.task where state = 'ready'");
    return rows.length;
  };
  expect(await ready()).toBe(300);
  expect(await look()).toMatchObject({ next_ms: 0 }); // at once, as long as more are due
  await promoted();
  expect(await ready()).toBe(1_000);
});

test("R118: while somebody holds a predecessor, what waits for it is looked at less and less often, and holds up no others", async () => {
  const [held, first] = [await put("held", later), await put("first", later)];
  const client = await rawClient(pawl.store.url);
  await client.query("begin");
  await client.query("select from pawl.task where id = $1 for update", [held]);
  const inputs = Array.from({ length: 250 }, (_, n) => ({ n: String(n) }));
  await pawl.enqueueMany(job, inputs, { after: [held], onDead: "run" });
  const one = await put("one", { after: first, onDead: "run" });
  await pawl.store.rows("select from pawl.finish_v1(array[$1::bigint], 'cancelled', null)", [
    first,
  ]);
  for (let round = 0; round < 3; round += 1) await look();
  expect(await state(one)).toBe("ready");
  // at the time of the look itself, however late its answer comes
  await pawl.store.rows(`create function public.waits_after_look() returns table (tries int, wait_ms int) language plpgsql as $$ begin
    perform from pawl.promote_v1(100);
    return query select distinct w.tries::int, round(extract(epoch from w.due_at - pawl.now()) * 1000)::int
      from pawl.task_to_wake w order by 1; end $$`);
  const tries = await until("all were tried several times", async () => {
    const rows = await pawl.store.rows<{ tries: number; wait_ms: number }>(
      "select * from public.waits_after_look()",
    );
    return (rows[0]?.tries ?? 0) >= 4 && rows;
  });
  expect(Math.max(...tries.map((row) => row.wait_ms))).toBeGreaterThan(200);
  await client.query("rollback");
  await promoted();
  expect(await pawl.store.rows("select from pawl.task_to_wake")).toEqual([]);
});

const OPERATOR = { by: "ada", why: "test" };
const states = (ids: readonly string[]) => Promise.all(ids.map(state));

test.each(["waits for it", "waits for another that waits for it"])(
  "R118: a dead letter retried into a lane whose parked head %s goes before it: they do not wait for each other for ever",
  async (how) => {
    const lane = "orders";
    const dead = await put("dead", { ...later, lane });
    await sortLanes(pawl.store, 100, undefined);
    await die(dead); // the lane goes on without it
    const between = how === "waits for it" ? [] : [await put("between", { after: dead })];
    const head = await put("head", { lane, after: between[0] ?? dead });
    const behind = await put("behind", { lane });
    await promoted();
    await sortLanes(pawl.store, 100, undefined);
    expect(await states([dead, head, behind])).toEqual(["dead", "parked", "waiting"]);
    await retryDead(pawl.store, [dead], OPERATOR);
    expect(await states([dead, head, behind])).toEqual(["ready", "parked", "waiting"]);
    const worker = await pawl.work({ limit: 3 + between.length });
    await worker.stopped;
    expect(await states([dead, head, behind])).toEqual(["done", "done", "done"]);
  },
);

test("R118: a dead letter that stays dead, because a live task has its key, leaves the parked head of its lane where it is", async () => {
  const lane = "orders";
  const dead = await put("dead", { ...later, lane, key: "k" });
  await sortLanes(pawl.store, 100, undefined);
  await die(dead);
  const head = await put("head", { lane, after: dead });
  await sortLanes(pawl.store, 100, undefined);
  await put("other", { ...later, key: "k" });
  expect(await retryDead(pawl.store, [dead], OPERATOR)).toMatchObject([{ outcome: "duplicate" }]);
  expect(await states([dead, head])).toEqual(["dead", "parked"]);
});
