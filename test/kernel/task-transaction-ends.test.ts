import { expect, test, vi } from "vitest";
import type { ClaimedTask } from "../../src/kernel/task.ts";
import { settling } from "../../src/kernel/task-transaction/sql.ts";
import {
  TaskTransaction,
  type TaskTransactions,
} from "../../src/kernel/task-transaction/task-transaction.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { atEnd } from "../support/at-end.ts";
import { commitProxy } from "../support/commit-proxy.ts";
import { freshStore } from "../support/database.ts";
import {
  claimed,
  defineKinds,
  enqueueCount,
  LONG_LEASE,
  newWorker,
  sendTurn,
} from "../support/kernel.ts";
import { timersOf } from "../support/timers.ts";
import { until } from "../support/until.ts";

/** One task, claimed. */
async function oneClaimed(): Promise<{ store: Store; task: ClaimedTask; workerId: number }> {
  const store = await freshStore();
  await store.rows(LONG_LEASE); // a transaction may be silent for as long
  await defineKinds(store);
  await enqueueCount(store, 1);
  const workerId = await newWorker(store);
  const [row] = await sendTurn(store, { worker: workerId, claim: 1, limit: 1 });
  if (row === undefined) throw new Error("nothing was claimed");
  return { store, task: claimed(row, 1), workerId };
}

/** As many handlers as have a transaction at once: one. */
function poolOfOne(url: string): Store {
  const pool = openStore({ url, max: 1, connectTimeoutMs: 60_000 });
  atEnd(() => void pool.close()); // a connection that leaked would hold it up for ever
  return pool;
}

test("a connection that is lost right after BEGIN goes back to the pool", async () => {
  const { store, task, workerId } = await oneClaimed();
  const pool = poolOfOne(store.url);
  const cut: TaskTransactions["pool"] = {
    ...pool,
    begin: async () => {
      const open = await pool.begin();
      const { rows } = await open.tx.query<{ pid: number }>("select pg_backend_pid() as pid");
      await store.rows("select pg_terminate_backend($1, 10000)", [rows[0]?.pid]);
      return open;
    },
  };
  const transaction = new TaskTransaction(task, { store, pool: cut, workerId });
  await expect(transaction.tx.query("select 1")).rejects.toThrow();
  await transaction.rollback();
  const next = await pool.begin();
  await next.rollback();
});

test("a handler that ended while it waited for a connection leaves no transaction and no timer", async () => {
  const { store, task, workerId } = await oneClaimed();
  const pool = poolOfOne(store.url);
  const holder = await pool.begin();
  const intervals = timersOf(/task-transaction/, "setInterval");
  const transaction = new TaskTransaction(task, { store, pool, workerId });
  const asked = transaction.tx.query("select 1");
  transaction.abandon();
  await holder.rollback();
  await expect(asked).rejects.toThrow();
  vi.restoreAllMocks();
  expect(intervals).toEqual([]);
  await (await pool.begin()).rollback();
});

test("a COMMIT without an answer is not looked up for ever when the worker has given the task up", async () => {
  const { store, task, workerId } = await oneClaimed();
  const proxy = await commitProxy(store.url);
  const away = openStore({ url: store.url });
  await away.close();
  const pool = poolOfOne(proxy.url);
  const transaction = new TaskTransaction(task, { store: away, pool, workerId });
  await transaction.tx.query("select 1");
  proxy.arm("answer lost");
  let ended: unknown;
  transaction.commit(settling(workerId, task, null)).catch((error: unknown) => {
    ended = error;
  });
  await until("it has committed", async () => {
    return (await store.rows("select 1 from pawl.finished")).length === 1;
  });
  transaction.abandon();
  await until("it is over", () => ended !== undefined);
  expect(ended).toMatchObject({ code: "worker_stopping" });
});
