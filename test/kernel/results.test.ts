import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl, Unrecoverable } from "../../src/index.ts";
import { removeDead, retryDead } from "../../src/kernel/operator/dead/sql.ts";
import { freshDatabase, isLockAwaited, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";

let pawl: Pawl;
let url: string;

const job = defineJob({
  name: "sum",
  input: z.object({ n: z.number(), how: z.string().optional() }),
  run: ({ n, how }) => {
    if (how === "dies") throw new Unrecoverable("n is odd");
    return how === "nothing" ? undefined : { sum: n + 1 };
  },
});
const app = defineApp({ jobs: [job] });

beforeAll(async () => {
  ({ url } = await freshDatabase({ longLeases: true }));
  pawl = await connect(app, { databaseUrl: url, log: silentLogger });
});
afterAll(() => pawl.close());

const put = (n: number, more: object = {}) => pawl.enqueue(job, { n, ...more }, { delay: "1h" });

async function run(ids: readonly string[]): Promise<void> {
  for (const id of ids) await pawl.reschedule(id, { delay: 0 });
  const worker = await pawl.work({ limit: ids.length });
  onTestFinished(() => worker.stop().then(() => undefined));
  await worker.stopped;
}

const listeners = async () => {
  const [row] = await pawl.store.rows<{ count: number }>(
    "select count(*)::int from pg_stat_activity where datname = current_database() and application_name = 'pawl listen'",
  );
  return row?.count;
};

test("R72 R118: the result of a task comes when it ends, and after it had ended; one without a value is null", async () => {
  const { id } = await put(1);
  const first = pawl.result<{ sum: number }>(id, { timeout: "5m" });
  await run([id]);
  expect(await first).toEqual({ sum: 2 });
  expect(await pawl.result(id)).toEqual({ sum: 2 });
  const none = await put(1, { how: "nothing" });
  await run([none.id]);
  expect(await pawl.result(none.id)).toBeNull();
});

test("R118: many waits share one connection, and each is told its own result", async () => {
  const tasks = await Promise.all(Array.from({ length: 50 }, (_, n) => put(n)));
  const ids = tasks.map(({ id }) => id);
  const waits = [...ids, ...ids].map((id) => pawl.result(id, { timeout: "5m" }));
  await until("one listens", async () => (await listeners()) === 1);
  await run(ids);
  const sums = Array.from({ length: 50 }, (_, n) => ({ sum: n + 1 }));
  expect(await Promise.all(waits)).toEqual([...sums, ...sums]);
  await until("nobody listens any more", async () => (await listeners()) === 0);
});

test("R118: an end is notified only where somebody waits, also once its connection was lost", async () => {
  const client = await rawClient(url);
  const heard: string[] = [];
  client.on("notification", ({ payload }) => heard.push(...(payload ?? "").split(",")));
  await client.query('listen "pawl.ended"');
  const [awaited, alone] = [await put(1), await put(2)];
  const wait = pawl.result(awaited.id, { timeout: "5m" });
  await until("it is awaited", async () => {
    const rows = await pawl.store.rows("select from pawl.awaited where task_id = $1", [awaited.id]);
    return rows.length === 1;
  });
  await until("one listens", async () => (await listeners()) === 1);
  await pawl.store.rows(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pawl listen' and datname = current_database()",
  );
  await run([awaited, alone].map(({ id }) => id));
  expect(await wait).toEqual({ sum: 2 });
  await until("the notification came", () => heard.length > 0);
  expect(heard).toEqual([awaited.id]);
  expect(await pawl.store.rows("select from pawl.awaited")).toEqual([]);
});

test("R118: a task that died, was removed, cancelled, expired or pruned is told as that, in time or later", async () => {
  const dying = await put(1, { how: "dies" });
  const wait = pawl.result(dying.id, { timeout: "5m" });
  wait.catch(() => undefined);
  await run([dying.id]);
  const dead = {
    code: "task_dead",
    message: `result: task ${dying.id} (sum) is dead (unrecoverable): n is odd; see \`pawl tasks show ${dying.id}\``,
    data: { id: dying.id, state: "dead", reason: "unrecoverable", error: { message: "n is odd" } },
  };
  await expect(wait).rejects.toMatchObject(dead);
  await expect(pawl.result(dying.id)).rejects.toMatchObject(dead);
  await removeDead(pawl.store, [dying.id], { by: "ada", why: "test" });
  await expect(pawl.result(dying.id)).rejects.toMatchObject({
    code: "task_dead",
    data: { state: "removed" },
  });

  const cancelled = await put(1);
  const waiting = pawl.result(cancelled.id, { timeout: "5m" });
  waiting.catch(() => undefined);
  await pawl.cancel(cancelled.id, { by: "ada" });
  await expect(waiting).rejects.toMatchObject({
    code: "task_cancelled",
    message: expect.stringContaining("cancelled by ada"),
  });
  const late = await pawl.enqueue(job, { n: 1 }, { delay: "1h", expiresIn: 1 });
  const worker = await pawl.work();
  await expect(pawl.result(late.id, { timeout: "5m" })).rejects.toMatchObject({
    code: "task_expired",
  });
  await worker.stop();
  await pawl.store.rows("delete from pawl.finished where id = $1", [cancelled.id]);
  await expect(pawl.result(cancelled.id)).rejects.toMatchObject({ code: "task_not_found" });
});

test("R118: a wait that is too long says so and leaves the task alone; a closed client ends its waits", async () => {
  const { id } = await put(1);
  const short = await pawl.result(id, { timeout: 1 }).catch((error: unknown) => error);
  expect(short).toMatchObject({ code: "result_timeout", data: { id, timeoutMs: 1 } });
  expect((await pawl.task(id))?.state).toBe("scheduled");
  const other = await connect(app, { databaseUrl: url, log: silentLogger });
  const left = other.result(id, { timeout: "5m" });
  left.catch(() => undefined);
  await other.close();
  await expect(left).rejects.toMatchObject({ code: "client_closed" });
  for (const bad of [{ timeout: "soon" }, { timeout: -1 }, { timeOut: "1s" }])
    await expect(pawl.result(id, bad as object)).rejects.toMatchObject({ code: "invalid_option" });
  await expect(pawl.result("x")).rejects.toMatchObject({ code: "invalid_option" });
});

test("R118: a dead letter that is retried while somebody begins to wait for it is no task that does not exist", async () => {
  const { id } = await put(1, { how: "dies" });
  await run([id]);
  const [lock, one] = [await rawClient(url), await rawClient(url)];
  await lock.query("begin");
  await lock.query("lock table pawl.finished in access exclusive mode");
  const answer = one.query("select id, state from pawl.await_v1($1)", [`{${id}}`]);
  await until("its last statement waits", () => isLockAwaited(lock));
  await retryDead(pawl.store, [id], { by: "ada", why: "test" });
  await lock.query("commit");
  expect((await answer).rows).toEqual([]); // it lives: asked for again
  await pawl.cancel(id, { by: "ada" });
});

test("R118: a wait that begins while the connection lingers is polled at once, not only when that time is over", async () => {
  const { id } = await put(1);
  await run([id]);
  const other = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => other.close());
  const { setTimeout: original } = globalThis;
  const neverEnds = vi
    .spyOn(globalThis, "setTimeout")
    .mockImplementation(((work: () => void, ms: number, ...given: []) =>
      original(work, ms === 2_000 ? 1_000_000 : ms, ...given)) as typeof setTimeout);
  onTestFinished(() => neverEnds.mockRestore());
  await other.result(id);
  await until("it lingers", () => neverEnds.mock.calls.some(([, ms]) => ms === 2_000));
  neverEnds.mockRestore();
  await pawl.store.rows(
    "create or replace function pawl.after_ended(p_ids bigint[]) returns void language plpgsql as 'begin delete from pawl.awaited; end'",
  );
  const next = await put(1);
  const wait = other.result(next.id, { timeout: "5m" });
  await run([next.id]);
  expect(await wait).toEqual({ sum: 2 });
});

test("R118: a wait that is told nothing finds the end by looking", async () => {
  await pawl.store.rows(
    "create or replace function pawl.tell_ends(p_ids bigint[]) returns void language plpgsql as 'begin end'",
  );
  const { id } = await put(1);
  const wait = pawl.result(id, { timeout: "5m" });
  await until("one listens", async () => (await listeners()) === 1);
  await run([id]);
  expect(await wait).toEqual({ sum: 2 });
});
