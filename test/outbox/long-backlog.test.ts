/** What parts ask about some tasks costs no more where many wait, are dead or have ended: the hazard is a view that is read whole. */

import { expect, test } from "vitest";
import { freshDatabase, rawClient } from "../support/database.ts";
import { defineDestinations, recordEvents, routeOnce } from "../support/delivery-catalogue.ts";
import { executorOn } from "../support/kernel.ts";

const EVENTS = 20;
const MANY = 20_000;
/** Rows of the tables of tasks that one call reads, for each event at most this many. */
const READ_MAX = 20 * EVENTS;

const client = await rawClient((await freshDatabase()).url);
const store = executorOn(client);
await defineDestinations(store, {
  destinations: [{ name: "few" }, { name: "many" }],
  routes: [{ pattern: "order.*", destination: "few" }],
});
await store.rows(
  `with q as (insert into pawl.queue (name, application) values ('requests', 'test') returning id)
   insert into pawl.stream (queue_id, kind, application) select q.id, 'request:a', 'test' from q`,
);
await store.rows("alter table pawl.task set (autovacuum_enabled = off)");
await store.rows("alter table pawl.dead set (autovacuum_enabled = off)");

const STREAM = "(select d.stream_id from pawl.destination d where d.name = 'few')";
const FEW = "(select d.id from pawl.destination d where d.name = 'few')";
const CALLS = [
  `select pawl.is_work_left_v1(array[${STREAM}], '1 second')`,
  `select * from pawl.event e cross join lateral pawl.latest_delivery(e.id, ${FEW}) l`,
  "select * from pawl.prune_events_v1('-1 day', 0, 100, true)",
  `select * from pawl.plan_replay_v1('{"limit": 1, "per_ms": 1}')`,
  `select * from pawl.requests_v1(null, null, 'acme', null, null, 50)`,
  `select * from pawl.requests_v1((select min(v.task_id) from pawl.delivery v), null, null, null, null, 50)`,
  `select pawl.drop_waiting_v1(${FEW}, 'ada', null, 'destinations.remove')`,
];

const READ = `select coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::int as rows from pg_stat_xact_user_tables
  where schemaname = 'pawl' and relname in ('task', 'dead', 'finished', 'finished_default', 'shard')`;

async function rowsRead(call: string): Promise<number> {
  await store.rows("begin");
  const [from] = await store.rows<{ rows: number }>(READ);
  await store.rows(call);
  const [to] = await store.rows<{ rows: number }>(READ);
  await store.rows("rollback");
  return (to?.rows ?? Number.NaN) - (from?.rows ?? 0);
}

async function tooMany(): Promise<[string, number][]> {
  const read: [string, number][] = [];
  for (const call of CALLS) read.push([call, await rowsRead(call)]);
  return read.filter(([, rows]) => rows > READ_MAX);
}

test("R92 R105: a replay, a removed destination, a list of requests or retention reads no backlog, planned while empty or when full", async () => {
  await recordEvents(
    store,
    Array.from({ length: EVENTS }, () => ({ name: "order.placed" })),
  );
  await routeOnce(store);
  for (let i = 0; i < 6; i++) await tooMany(); // on this connection, so its plans are those of small tables
  await store.rows(
    `insert into pawl.task (shard_id, queue_id, seq, state, run_at, created_at, payload, lane)
     select h.id, h.queue_id, nextval('pawl.seq'), s.state, pawl.now() + interval '1 day', pawl.now(), '{}',
            case when s.state in ('waiting', 'arrived') then 'lane' || g end
       from unnest('{ready,scheduled,waiting,arrived}'::text[]) s (state) cross join generate_series(1, $1::int) g cross join pawl.shard h
      where h.priority = 1 and not h.solo and h.stream_id = (select d.stream_id from pawl.destination d where d.name = 'many')`,
    [MANY / 4],
  );
  await store.rows(
    `insert into pawl.dead (id, seq, stream_id, priority, attempt, crashes, reason, payload, created_at, run_at, died_at)
     select nextval('pawl.task_id_seq'), 0, d.stream_id, 1, 4, 0, 'attempts', '{}', pawl.now(), pawl.now(), pawl.now()
       from pawl.destination d cross join generate_series(1, $1::int) g where d.name = 'many'`,
    [MANY],
  );
  await store.rows(
    `insert into pawl.finished (id, seq, stream_id, priority, attempt, outcome, created_at, run_at, finished_at, payload)
     select nextval('pawl.task_id_seq'), 0, d.stream_id, 1, 1, 'done', pawl.now(), pawl.now(), pawl.now(), '{}'
       from pawl.destination d cross join generate_series(1, $1::int) g where d.name = 'many'`,
    [MANY],
  );
  expect(await tooMany()).toEqual([]);
  await store.rows("analyze");
  expect(await tooMany()).toEqual([]);
});
