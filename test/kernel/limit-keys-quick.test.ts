/** The quick ways through limits per key are exact: paces that pass soon and are noted in one row, and claims whose keys are not counted. */

import { beforeEach, expect, test } from "vitest";
import { admit, forgetPaces } from "../../src/kernel/limit-keys/sql.ts";
import { type QueueRow, register, type TurnRow } from "../../src/kernel/sql.ts";
import type { Store } from "../../src/store/store.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore, openTransaction, rawClient } from "../support/database.ts";
import {
  count,
  done,
  enqueueSql,
  executorOn,
  LONG_LEASE,
  newWorker,
  QUICK_RETRY,
  sendTurn,
} from "../support/kernel.ts";

const GAP_MS = 10;
const BURST = 3;
const RATE = { limit: 100, per_ms: 1_000, burst: BURST };
const EXPIRED = 2_000;
const KEYS = ["a", "b", "c"] as const;

let store: Store;
let worker: number;
let clock: Awaited<ReturnType<typeof movableClock>>;
let claim = 0;

async function limit(limits: Partial<QueueRow>): Promise<void> {
  await register(store, {
    application: "test",
    revision: 0,
    payload_bytes_max: 1_048_576,
    queues: [{ name: "q", retry: QUICK_RETRY, timeout_ms: null, shards: 1, ...limits }],
    streams: [{ queue: "q", kind: "k", version: 1, retry: null, timeout_ms: null }],
  });
}

beforeEach(async () => {
  store = await freshStore({ max: 4 });
  await store.rows(LONG_LEASE);
  worker = await newWorker(store);
  clock = await movableClock(store, { isStill: true }); // the paces are of milliseconds
  await limit({ key_rate: RATE });
});

/** One task a letter, whose limit key that letter is; the payload is the letter too. */
const put = (letters: string) =>
  enqueueSql(
    store,
    letters.split("").map((key) => ({ kind: "k", payload: key, limit_key: key })),
  );

async function turn(executor: Parameters<typeof sendTurn>[0] = store): Promise<TurnRow[]> {
  claim += 1;
  const rows = await sendTurn(executor, { worker, claim, limit: 100 });
  return rows.filter((row) => row.id !== null);
}

function randomFrom(seed: number): (below: number) => number {
  let random = seed;
  return (below) => {
    random = (random * 48_271) % 2_147_483_647;
    return random % below;
  };
}

const letters = (rows: readonly TurnRow[]) => rows.map((row) => row.payload).join("");
const settle = (rows: readonly TurnRow[]) =>
  sendTurn(store, { worker, outcomes: rows.map((row) => done(row, claim)) });

test("R71: what a claim noted in one row counts for the next, whichever way that goes", async () => {
  await put("aab");
  const first = await turn();
  expect(letters(first)).toBe("aab");
  expect([await count(store, "brief_key_pace"), await count(store, "key_pace")]).toEqual([1, 0]);
  await settle(first); // its claim is gone
  await put("b");
  const second = await turn();
  expect(letters(second)).toBe("b");
  await settle(second);
  expect([await count(store, "brief_key_pace"), await count(store, "key_pace")]).toEqual([2, 0]);
  await put("aaabb");
  expect(letters(await turn())).toBe("ab");
  expect(letters(await turn())).toBe("");
});

test("R71: starts that a long pace lets through are noted in its own row", async () => {
  await put("aaab");
  await turn();
  const rows = await store.rows(
    "select key from pawl.key_pace union all select unnest(keys) from pawl.brief_key_pace",
  );
  expect(rows).toEqual([{ key: "a" }, { key: "b" }]);
  expect(await count(store, "key_pace")).toBe(1);
  await clock.advance(GAP_MS);
  await put("aa");
  expect(letters(await turn())).toBe("a");
});

test("R71: a claim that is rolled back has used nothing", async () => {
  await put("aa");
  const lost = await openTransaction(store.url);
  expect(letters(await turn(executorOn(lost)))).toBe("aa");
  await lost.query("rollback");
  await lost.end();
  await put("aa");
  expect(letters(await turn())).toBe("aaa");
});

test.each([1, 2, 3])(
  "R71: over many claims of each key as many run as its limit allows, never more (%i)",
  async (seed) => {
    const SEATS = 6;
    await limit({ key_concurrency: SEATS });
    const next = randomFrom(seed);
    const waiting = { a: 0, b: 0, c: 0 };
    const running: { row: TurnRow; claim: number }[] = [];
    for (let n = 0; n < 40; n += 1) {
      const more = KEYS.map((key) => key.repeat(next(4))).join("");
      for (const key of more) waiting[key as "a"] += 1;
      if (more !== "") await put(more);
      const ended = running.splice(0, next(running.length + 1));
      await sendTurn(store, { worker, outcomes: ended.map((one) => done(one.row, one.claim)) });
      const rows = await turn();
      for (const key of KEYS) {
        const left = SEATS - running.filter(({ row }) => row.payload === key).length;
        const starts = Math.min(waiting[key], left);
        expect([n, key, rows.filter((row) => row.payload === key).length]).toEqual([
          n,
          key,
          starts,
        ]);
        waiting[key] -= starts;
      }
      running.push(...rows.map((row) => ({ row, claim })));
    }
  },
);

test.each([1, 2, 3])(
  "R71: over many claims each key starts as often as its rate allows, never sooner (%i)",
  async (seed) => {
    const next = randomFrom(seed);
    const waiting = { a: 0, b: 0, c: 0 };
    const tat = { a: 0, b: 0, c: 0 };
    let now = 0;
    for (let n = 0; n < 40; n += 1) {
      const more = KEYS.map((key) => key.repeat(next(3))).join("");
      for (const key of more) waiting[key as "a"] += 1;
      if (more !== "") await put(more);
      await admit(store, 100);
      const rows = await turn();
      if (rows.length > 0) await settle(rows);
      for (const key of KEYS) {
        const left = Math.floor((now + BURST * GAP_MS - Math.max(tat[key], now)) / GAP_MS);
        const starts = Math.min(waiting[key], left, BURST);
        expect([n, key, rows.filter((row) => row.payload === key).length]).toEqual([
          n,
          key,
          starts,
        ]);
        waiting[key] -= starts;
        if (starts > 0) tat[key] = Math.max(tat[key], now) + starts * GAP_MS;
      }
      const step = GAP_MS * next(4);
      now += step;
      await clock.advance(step);
    }
  },
);

test("R71: a limit that is taken away and comes back finds the paces from before", async () => {
  await put("aaa");
  expect(await turn()).toHaveLength(3);
  await limit({});
  await limit({ key_rate: RATE });
  await put("a");
  expect(await turn()).toEqual([]);
});

test("R71: a claim reads no pace that has passed, and what has passed is deleted", async () => {
  await store.rows("alter table pawl.key_pace set (autovacuum_enabled = off)");
  await store.rows("alter table pawl.brief_key_pace set (autovacuum_enabled = off)");
  await store.rows(
    `insert into pawl.key_pace (queue_id, key, tat) select q.id, g::text, pawl.now() - interval '1 hour'
       from pawl.queue q cross join generate_series(1, $1) g where q.name = 'q'`,
    [EXPIRED],
  );
  await store.rows(
    `insert into pawl.brief_key_pace (queue_id, until, keys, tats)
     select q.id, pawl.now() - t.ago, array[g::text], array[pawl.now() - t.ago]
       from pawl.queue q cross join generate_series(1, $1) g
      cross join unnest('{1 hour, 10 seconds}'::interval[]) t (ago) where q.name = 'q'`,
    [EXPIRED],
  );
  await put("abc");
  const client = await rawClient(store.url);
  const read = async () => {
    const { rows } = await client.query(
      `select coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::int as rows
         from pg_stat_xact_user_tables where schemaname = 'pawl' and relname in ('key_pace', 'brief_key_pace')`,
    );
    return Number(rows[0]?.rows);
  };
  await client.query("begin");
  const from = await read();
  expect(letters(await turn(executorOn(client)))).toBe("abc");
  expect((await read()) - from).toBe(0);
  await client.query("commit");
  await client.end();
  await admit(store, 100);
  expect(await count(store, "brief_key_pace")).toBe(EXPIRED + 1); // it does not walk over those of an hour, each time
  await forgetPaces(store, 100);
  expect(await count(store, "brief_key_pace")).toBe(1);
});
