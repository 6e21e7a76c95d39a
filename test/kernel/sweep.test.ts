import { beforeEach, describe, expect, test } from "vitest";
import type { Store } from "../../src/store/store.ts";
import { freshStore, openTransaction } from "../support/database.ts";
import {
  count,
  defineKinds,
  done,
  enqueueCount,
  executorOn,
  idsOf,
  newWorker,
  sendTurn,
  wantedShards,
} from "../support/kernel.ts";
import { until } from "../support/until.ts";

let store: Store;

beforeEach(async () => {
  store = await freshStore({ max: 4 });
  await defineKinds(store);
});

/** Transactions of other tests on the server may follow each other. */
const PATIENCE_MS = 300_000;

/** A write transaction anywhere on the server holds a sweep back, so a test may wait longer than a lease. */
async function patientWorker(): Promise<number> {
  const worker = await newWorker(store);
  await store.rows("update pawl.worker set lease_until = pawl.now() + interval '1 hour'");
  return worker;
}

/** Turns until the shards have nothing to claim and no sweep to do; what was claimed is settled at once. */
async function drain(worker: number, from = 100, limit = 100): Promise<string[]> {
  const all: string[] = [];
  let claim = from;
  await until(
    "nothing is left to claim and no sweep is due",
    async () => {
      const rows = await sendTurn(store, { worker, claim: ++claim, limit });
      const outcomes = rows.map((row) => done(row, claim));
      await sendTurn(store, { worker, outcomes, gone: [claim] });
      all.push(...idsOf(rows));
      const [due] = await store.rows<{ n: number }>(
        "select count(*)::int as n from pawl.shard where cursor > swept",
      );
      return rows.length === 0 && due?.n === 0;
    },
    PATIENCE_MS,
  );
  return all;
}

describe("the sweep", () => {
  test("R98: a task whose transaction commits after its successors were claimed is not lost", async () => {
    const worker = await patientWorker();
    const late = await Promise.all([
      openTransaction(store.url),
      openTransaction(store.url),
      openTransaction(store.url),
    ]);
    const lateIds: string[] = [];
    for (const client of late) {
      lateIds.push(...(await enqueueCount(executorOn(client), 3)));
      await enqueueCount(store, 2); // passes their numbers and commits first
    }
    expect(await sendTurn(store, { worker, claim: 1, limit: 100 })).toHaveLength(6);
    const found: string[] = [];
    let claim = 1;
    for (const client of late.toReversed()) {
      await client.query("commit"); // the last number first
      const wanted = found.length + 3;
      await until(
        "the sweep finds the late tasks",
        async () => {
          claim += 1;
          found.push(...idsOf(await sendTurn(store, { worker, claim, limit: 100 })));
          return found.length === wanted;
        },
        PATIENCE_MS,
      );
    }
    expect(found.toSorted()).toEqual(lateIds.toSorted());
  });

  test("R98: a late transaction larger than a claim is found whole, a claim at a time", async () => {
    const worker = await patientWorker();
    const late = await openTransaction(store.url);
    const lateIds = await enqueueCount(executorOn(late), 10);
    await enqueueCount(store, 2);
    const passed = await sendTurn(store, { worker, claim: 1, limit: 100 });
    await sendTurn(store, { worker, outcomes: passed.map((row) => done(row, 1)), gone: [1] });
    await until(
      "a sweep in vain has set the mark behind the late numbers",
      async () => {
        await sendTurn(store, { worker, claim: 2, limit: 3 });
        return (await store.rows("select 1 from pawl.shard where mark > swept")).length > 0;
      },
      PATIENCE_MS,
    );
    await late.query("commit");
    expect((await drain(worker, 100, 3)).toSorted()).toEqual(lateIds.toSorted());
  });

  test("a shard goes on being swept while an old transaction may still commit, and not after", async () => {
    const worker = await patientWorker();
    const late = await openTransaction(store.url);
    const [lateId] = await enqueueCount(executorOn(late), 1);
    await enqueueCount(store, 3);
    const rows = await sendTurn(store, { worker, claim: 1, limit: 10 });
    await sendTurn(store, { worker, outcomes: rows.map((row) => done(row, 1)), gone: [1] });
    // sweeps in vain, several times over, must not move `swept` past the open transaction's number
    for (let claim = 2; claim < 8; ) {
      const shards = await wantedShards(store);
      if (shards.length === 0) continue;
      expect(await sendTurn(store, { worker, claim, limit: 10 })).toEqual([]);
      claim += 1;
    }
    await late.query("commit");
    expect(await drain(worker)).toEqual([lateId]);
    expect(await wantedShards(store)).toEqual([]);
  });

  test("numbers of rolled-back transactions hold nothing back", async () => {
    const worker = await patientWorker();
    const gone = await openTransaction(store.url);
    await enqueueCount(executorOn(gone), 50);
    const all = await enqueueCount(store, 3);
    await gone.query("rollback");
    expect(await drain(worker)).toEqual(all);
    expect(await wantedShards(store)).toEqual([]);
    expect(await count(store, "task")).toBe(0);
  });

  test("an idle shard is not swept: its row stays as it is", async () => {
    const worker = await patientWorker();
    await enqueueCount(store, 3);
    await drain(worker);
    const before = await store.rows("select xmin::text, * from pawl.shard");
    for (let claim = 900; claim < 920; claim += 1) {
      await sendTurn(store, { worker, claim, limit: 10 });
    }
    expect(await store.rows("select xmin::text, * from pawl.shard")).toEqual(before);
  });

  test("every function that numbers tasks takes its transaction's id first: the sweep's proof rests on it", async () => {
    const rows = await store.rows<{ name: string; source: string }>(
      `select p.proname as name, p.prosrc as source from pg_proc p
         join pg_namespace n on n.oid = p.pronamespace and n.nspname = 'pawl'
        where p.prosrc like '%nextval(%'`,
    );
    expect(rows.map((row) => row.name)).toEqual(
      expect.arrayContaining(["give_back_v1", "promote_v1", "retry_dead_v1"]),
    );
    for (const { name, source } of rows) {
      const xid = source.indexOf("perform pg_current_xact_id()");
      expect([name, xid >= 0 && xid < source.indexOf("nextval(")]).toEqual([name, true]);
    }
  });

  test("running tasks behind the cursor are never swept up a second time", async () => {
    const worker = await patientWorker();
    await enqueueCount(store, 30);
    await sendTurn(store, { worker, claim: 1, limit: 30 });
    const other = await patientWorker();
    let claim = 0;
    await until(
      "the sweep has caught up",
      async () => {
        claim += 1;
        expect(await sendTurn(store, { worker: other, claim, limit: 10 })).toEqual([]);
        return (await wantedShards(store)).length === 0;
      },
      PATIENCE_MS,
    );
  });
});
