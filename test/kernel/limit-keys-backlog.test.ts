/** Limits per key where one key has a long backlog: what others need costs no more, and nothing waits for it. */

import { expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { forgetter } from "../../src/kernel/limit-keys/forgetter.ts";
import { admit } from "../../src/kernel/limit-keys/sql.ts";
import { rounds } from "../../src/kernel/rounds.ts";
import { Scout } from "../../src/kernel/scout.ts";
import { register, sortLanes } from "../../src/kernel/sql.ts";
import { freshStore, openTransaction, rawClient } from "../support/database.ts";
import {
  allStreams,
  count,
  enqueueSql,
  LONG_LEASE,
  newWorker,
  QUICK_RETRY,
  sendTurn,
} from "../support/kernel.ts";
import { until } from "../support/until.ts";

const BACKLOG = 20_000;
/** Rows read by one call: some for each that it may bring back, however many wait. */
const READ_MAX = 1_000;

const store = await freshStore({ max: 4 });
await store.rows(LONG_LEASE);
await register(store, {
  application: "test",
  revision: 0,
  payload_bytes_max: 1_048_576,
  queues: [
    { name: "q", retry: QUICK_RETRY, timeout_ms: null, shards: 1, key_concurrency: 1 },
    {
      name: "paced",
      retry: QUICK_RETRY,
      timeout_ms: null,
      shards: 1,
      key_rate: { limit: 1, per_ms: 60_000, burst: 1 },
    },
  ],
  streams: ["q", "q", "paced"].map((queue, n) => ({
    queue,
    kind: `k${n}`,
    version: 1,
    retry: null,
    timeout_ms: null,
  })),
});
await store.rows("alter table pawl.task set (autovacuum_enabled = off)");
await store.rows("alter table pawl.key_pace set (autovacuum_enabled = off)");
const worker = await newWorker(store);
const [shard] = await store.rows<{ id: number; queue: number }>(
  `select h.id, h.queue_id as queue from pawl.shard h join pawl.stream st on st.id = h.stream_id
    where st.kind = 'k0' and h.priority = 1 and not h.solo order by h.id`,
);
const [shardId, queueId] = [shard?.id ?? 0, shard?.queue ?? 0];

const clear = async () => {
  for (const table of ["task", "claim", "key_pace"]) await store.rows(`delete from pawl.${table}`);
};

/** Tasks of one key or lane, as if they had been set aside, or had arrived. */
const fill = (state: "limited" | "arrived", name: string, tasks: number) =>
  store.rows(
    `insert into pawl.task (shard_id, queue_id, seq, state, run_at, created_at, payload, limit_key, lane)
     select $1, $2, nextval('pawl.seq'), $3, pawl.now(), pawl.now(), '{}', case when $3 = 'limited' then $4 end,
            case when $3 = 'arrived' then $4 end from generate_series(1, $5::int)`,
    [shardId, queueId, state, name, tasks],
  );

/** Rows of a table that the call reads, by a plan of this connection. */
async function rowsRead(
  client: Awaited<ReturnType<typeof rawClient>>,
  table: string,
  call: string,
): Promise<number> {
  const read = async () => {
    const { rows } = await client.query(
      `select coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::int as rows
         from pg_stat_xact_user_tables where schemaname = 'pawl' and relname = $1`,
      [table],
    );
    return Number(rows[0]?.rows);
  };
  await client.query("begin");
  const from = await read();
  await client.query(call);
  const to = await read();
  await client.query("rollback");
  return to - from;
}

test.each([
  ["limited", `select pawl.admit(${queueId}, '{z}')`],
  ["limited", "select * from pawl.admit_v1(100, null, null)"],
  [
    "limited",
    "select pawl.why_limited(t) from (select * from pawl.task order by id desc limit 1) t",
  ],
  ["arrived", `select * from pawl.sort_lanes_v1(100, ${queueId}, 'a')`],
] as const)(
  "R71: one key or lane that fills the table is not read to find another (%s): %s",
  async (state, call) => {
    await clear();
    await fill(state, "a", BACKLOG);
    await fill(state, "z", 10);
    await store.rows("analyze pawl.task");
    const client = await rawClient(store.url);
    expect(await rowsRead(client, "task", call)).toBeLessThan(READ_MAX);
    await client.end();
  },
);

test.each([
  "select * from pawl.admit_v1(10, null, null)",
  "select * from pawl.forget_paces_v1(10, null, null)",
  `select pawl.count_key_starts((select l.queue_id from pawl.queue_limit l where l.key_gap is not null), '{1,2}', '{1,1}', pawl.now())`,
])(
  "R71: where the paces of many keys are kept, they are not all read by a plan from before: %s",
  async (call) => {
    await clear();
    await fill("limited", "a", 1);
    const pace = (from: number, to: number, due: string) =>
      store.rows(
        `insert into pawl.key_pace (queue_id, key, tat, due_at)
       select l.queue_id, g::text, pawl.now() - interval '1 hour', ${due}
         from pawl.queue_limit l cross join generate_series($1::int, $2::int) g where l.key_gap is not null`,
        [from, to],
      );
    await pace(1, 2, "pawl.now()");
    await store.rows("analyze pawl.key_pace");
    const client = await rawClient(store.url);
    for (let i = 0; i < 6; i++) await rowsRead(client, "key_pace", call);
    await pace(3, BACKLOG, "null");
    expect(await rowsRead(client, "key_pace", call)).toBeLessThan(READ_MAX);
    await client.end();
  },
);

test("R71: setting aside a long backlog is no miss: the turn says that its shard went on", async () => {
  await clear();
  const keys = [...Array.from({ length: 4_000 }, () => "a"), "b"];
  await enqueueSql(
    store,
    keys.map((limit_key, payload) => ({ queue: "q", kind: "k0", payload, limit_key })),
  );
  const claimed: unknown[] = [];
  for (let claim = 1; claimed.length < 2; claim += 1) {
    const moved = new Set<number>();
    const rows = await sendTurn(store, { worker, claim, limit: 10, shards: [shardId], moved });
    if (claim > 1 && rows.length === 0) expect([...moved]).toEqual([shardId]);
    claimed.push(...rows.map((row) => row.payload));
  }
  expect(claimed).toEqual([0, 4_000]);
  const moved = new Set<number>();
  await sendTurn(store, { worker, claim: 99, limit: 10, shards: [shardId], moved });
  expect([...moved]).toEqual([]);
});

test("R71: a shard that goes on without a start does not rest while others have work", async () => {
  await clear();
  await enqueueSql(store, [
    { queue: "q", kind: "k0", payload: 0 },
    { queue: "q", kind: "k1", payload: 0 },
  ]);
  const streams = await allStreams(store);
  let hasFound = false;
  const scout = new Scout({
    store,
    streams: () => streams,
    queueRank: (stream) => streams.indexOf(stream),
    log: silentLogger,
    found: () => {
      hasFound = true;
    },
    foundNothing: () => undefined,
  });
  scout.start();
  await until("the look has found both", () =>
    Promise.resolve(hasFound && scout.waiting.size === 2),
  );
  await scout.stop();
  const next = () => scout.next(1, 10, true, () => 10).shards;
  for (let turn = 1; turn <= 10; turn += 1) {
    const shards = next();
    expect(shards.map((one) => one.shard)).toEqual([shardId]);
    scout.tried(shards, [], { limit: 10, moved: new Set([shardId]) });
  }
  scout.tried(next(), [], { limit: 10 });
  expect(next().map((one) => one.shard)).not.toEqual([shardId]);
});

test.each(["admit", "sort_lanes"] as const)(
  "R71: a pass that finds another one at work keeps its place in the round: %s",
  async (name) => {
    await clear();
    for (const letter of ["a", "b", "c"])
      await fill(name === "admit" ? "limited" : "arrived", letter, 2);
    const places: (string | null)[] = [];
    const common = {
      partMs: 0,
      roundMs: { baseMs: 1, maxMs: 1, busyMs: 1 },
      wake: () => undefined,
    };
    const runOnce =
      name === "admit"
        ? rounds({
            ...common,
            isIdle: () => true,
            pass: async (after: Awaited<ReturnType<typeof admit>> | undefined) => {
              places.push(after?.after_key ?? null);
              return await admit(store, 1, after);
            },
            done: ({ admitted }) => admitted,
            isOver: ({ after_key }) => after_key === null,
          })
        : rounds({
            ...common,
            isIdle: () => true,
            pass: async (after: Awaited<ReturnType<typeof sortLanes>> | undefined) => {
              places.push(after?.after_lane ?? null);
              return await sortLanes(store, 1, after);
            },
            done: ({ sorted }) => sorted,
            isOver: ({ after_lane }) => after_lane === null,
          });
    await runOnce();
    const other = await openTransaction(store.url);
    await other.query("select pg_advisory_xact_lock(hashtextextended($1, 0::bigint))", [
      `pawl.${name}`,
    ]);
    await runOnce();
    await runOnce();
    await other.query("rollback");
    await other.end();
    await runOnce();
    await runOnce();
    expect(places).toEqual([null, "a", "a", "a", "b"]);
  },
);

test("R71: however many keys have been quiet, one round forgets the pace of all", async () => {
  await clear();
  await store.rows(
    `insert into pawl.key_pace (queue_id, key, tat) select 1, g::text, pawl.now() - interval '1 hour' from generate_series(1, 12000) g`,
  );
  const forgets = forgetter({ store, log: silentLogger });
  forgets.start();
  await until("all are forgotten", async () => (await count(store, "key_pace")) === 0);
  await forgets.stop();
});

test("R71: what was set aside counts as a task of its kind and version", async () => {
  await clear();
  await fill("limited", "a", 2);
  const [of] = await store.rows(
    `select pawl.has_tasks('q', 'k0', 1) as has, (select live::int from pawl.count_tasks('q', 'k0', 1)) as live,
            (select count(*)::int from pawl.tasks_of_version('q', 'k0', 1, 0, 10) t where t.state = 'limited') as listed,
            pawl.delivery_status('limited', 0::smallint) as delivery`,
  );
  expect(of).toEqual({ has: true, live: 2, listed: 2, delivery: "pending" });
});
