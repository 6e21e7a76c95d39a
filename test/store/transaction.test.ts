import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, type Pawl } from "../../src/index.ts";
import type { Transaction } from "../../src/store/transaction.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { count } from "../support/kernel.ts";

const job = defineJob({ name: "job", input: z.object({ n: z.number() }), run: () => undefined });
let url: string;
let pawl: Pawl;

beforeAll(async () => {
  ({ url } = await freshDatabase());
  pawl = await connect(defineApp({ jobs: [job] }), { databaseUrl: url, log: silentLogger });
  await pawl.store.rows("create table public.invoice (n int)");
});
afterAll(() => pawl.close());

const invoices = async () => (await pawl.store.rows("select n from invoice")).length;

describe("our own transaction", () => {
  test("R78: what it writes and what it enqueues commit together", async () => {
    const before = [await invoices(), await count(pawl.store, "task")] as const;
    const { id } = await pawl.transaction(async (tx) => {
      await tx.query("insert into invoice values ($1)", [1]);
      const enqueued = await pawl.enqueue(job, { n: 1 }, { tx });
      expect(await pawl.task(enqueued.id)).toBeUndefined();
      return enqueued;
    });
    expect(await pawl.task(id)).toMatchObject({ state: "ready" });
    expect([await invoices(), await count(pawl.store, "task")]).toEqual([
      before[0] + 1,
      before[1] + 1,
    ]);
  });

  test("R78: when its function throws, nothing is left and the connection is clean", async () => {
    const before = [await invoices(), await count(pawl.store, "task")];
    await expect(
      pawl.transaction(async (tx) => {
        await tx.query("insert into invoice values (2)");
        await pawl.enqueue(job, { n: 2 }, { tx });
        throw new Error("changed my mind");
      }),
    ).rejects.toThrow("changed my mind");
    expect([await invoices(), await count(pawl.store, "task")]).toEqual(before);
    await pawl.transaction((tx) => pawl.enqueue(job, { n: 3 }, { tx }));
    expect(await count(pawl.store, "task")).toBe(Number(before[1]) + 1);
  });

  test("a swallowed error does not look like a commit", async () => {
    const before = await invoices();
    await expect(
      pawl.transaction(async (tx) => {
        await tx.query("insert into invoice values (4)");
        await tx.query("select 1/0").catch(() => undefined);
      }),
    ).rejects.toMatchObject({
      code: "database_error",
      message: expect.stringContaining("swallowed"),
    });
    expect(await invoices()).toBe(before);
  });

  test("used after its end it is refused, and writes nothing", async () => {
    let kept: Transaction | undefined;
    await pawl.transaction(async (tx) => {
      kept = tx;
    });
    const before = await count(pawl.store, "task");
    if (kept === undefined) throw new Error("no transaction");
    await expect(pawl.enqueue(job, { n: 5 }, { tx: kept })).rejects.toMatchObject({
      code: "not_a_transaction",
    });
    expect(await count(pawl.store, "task")).toBe(before);
  });

  test("it is READ COMMITTED whatever the database's default is", async () => {
    const client = await rawClient(url);
    const { rows } = await client.query<{ name: string }>("select current_database() as name");
    await client.query(
      `alter database ${rows[0]?.name} set default_transaction_isolation = 'serializable'`,
    );
    const other = await connect(pawl.app, { databaseUrl: url, log: silentLogger });
    const level = await other.transaction(async (tx) => {
      const answer = await tx.query<{ transaction_isolation: string }>(
        "show transaction_isolation",
      );
      return answer.rows[0]?.transaction_isolation;
    });
    await other.close();
    await client.query(`alter database ${rows[0]?.name} reset default_transaction_isolation`);
    expect(level).toBe("read committed");
  });
});

describe("a foreign transaction", () => {
  test("a pg client that sent BEGIN commits or discards the task with its own work", async () => {
    const client = await rawClient(url);
    const before = await count(pawl.store, "task");
    await client.query("begin");
    await client.query("insert into invoice values (6)");
    await pawl.enqueue(job, { n: 6 }, { tx: client });
    await client.query("rollback");
    expect(await count(pawl.store, "task")).toBe(before);
    await client.query("begin");
    const { id } = await pawl.enqueue(job, { n: 7 }, { tx: client });
    expect(await pawl.task(id)).toBeUndefined();
    await client.query("commit");
    expect(await pawl.task(id)).toMatchObject({ payload: { n: 7 } });
  });

  test("a pool in its place is refused, and nothing is written", async () => {
    const pool = new pg.Pool({ connectionString: url, max: 3 });
    const before = await count(pawl.store, "task");
    for (let i = 0; i < 3; i += 1) {
      await expect(pawl.enqueue(job, { n: 8 }, { tx: pool })).rejects.toMatchObject({
        code: "not_a_transaction",
        message: expect.stringContaining("BEGIN"),
      });
    }
    await pool.end();
    expect(await count(pawl.store, "task")).toBe(before);
  });

  test("a client without BEGIN is refused, and so is one after its COMMIT", async () => {
    const client = await rawClient(url);
    const before = await count(pawl.store, "task");
    const refused = { code: "not_a_transaction" };
    await expect(pawl.enqueue(job, { n: 9 }, { tx: client })).rejects.toMatchObject(refused);
    await client.query("begin");
    await pawl.enqueue(job, { n: 9 }, { tx: client });
    await client.query("commit");
    await expect(pawl.enqueue(job, { n: 9 }, { tx: client })).rejects.toMatchObject(refused);
    await client.query("begin"); // the next transaction on the same client is as good as the first
    await pawl.enqueue(job, { n: 9 }, { tx: client });
    await client.query("commit");
    expect(await count(pawl.store, "task")).toBe(before + 2);
  });

  test("the second write in the same transaction costs one round trip", async () => {
    const client = await rawClient(url);
    const sent: string[] = [];
    const tx = {
      query: (text: string, values?: unknown[]) => {
        sent.push(text);
        return client.query(text, values);
      },
    };
    await client.query("begin");
    await pawl.enqueue(job, { n: 10 }, { tx });
    const first = sent.length;
    await pawl.enqueue(job, { n: 11 }, { tx });
    await client.query("rollback");
    expect(first).toBeLessThanOrEqual(3);
    expect(sent.length - first).toBe(1);
  });

  test("a client that answers plain arrays is accepted", async () => {
    const client = await rawClient(url);
    const tx = {
      query: async (text: string, values?: unknown[]) => (await client.query(text, values)).rows,
    };
    await client.query("begin");
    const { id } = await pawl.enqueue(job, { n: 12 }, { tx });
    await client.query("commit");
    expect(await pawl.task(id)).toMatchObject({ payload: { n: 12 } });
  });

  test("what has no query method, or answers no rows, is refused with a word about it", async () => {
    const refused = { code: "not_a_transaction" };
    for (const tx of [{}, 5, { query: "text" }]) {
      const enqueued = pawl.enqueue(job, { n: 13 }, { tx: tx as never });
      await expect(enqueued).rejects.toMatchObject(refused);
    }
    const mute = { query: async () => undefined };
    await expect(pawl.enqueue(job, { n: 13 }, { tx: mute })).rejects.toMatchObject(refused);
  });

  test("an error in it is translated, and the caller's rollback still discards everything", async () => {
    const client = await rawClient(url);
    const before = await count(pawl.store, "task");
    await client.query("begin");
    await pawl.enqueue(job, { n: 14 }, { tx: client });
    await client.query("select 1/0").catch(() => undefined);
    await expect(pawl.enqueue(job, { n: 15 }, { tx: client })).rejects.toMatchObject({
      code: "database_error",
      data: { sqlstate: "25P02" },
    });
    await client.query("rollback");
    expect(await count(pawl.store, "task")).toBe(before);
  });
});
