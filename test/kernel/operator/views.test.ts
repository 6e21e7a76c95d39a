/** What people read of tasks: each once, wherever it is, and along an index however long the backlog. */

import { expect, test } from "vitest";
import { freshStore } from "../../support/database.ts";

const store = await freshStore({ max: 2 });
const LONG = Array.from({ length: 30 }, (_, i) => `long-${i}`);
const QUEUES = ["short", ...LONG];
await store.rows("select pawl.register_v1($1)", [
  JSON.stringify({
    application: "test",
    revision: 0,
    payload_bytes_max: 1_048_576,
    queues: QUEUES.map((name) => ({ name, shards: 1 })),
    streams: QUEUES.map((queue) => ({ queue, kind: `of-${queue}` })),
  }),
]);

// statistics are made where the test says so, and never in the middle
for (const table of ["task", "dead"])
  await store.rows(`alter table pawl.${table} set (autovacuum_enabled = off)`);

async function fill(queue: string, tasks: number): Promise<void> {
  await store.rows(
    `insert into pawl.task (shard_id, queue_id, seq, state, run_at, created_at, payload, lane, limit_key, key)
     select h.id, q.id, nextval('pawl.seq'), s.state, pawl.now(), pawl.now(), '{}',
            case when s.state in ('arrived', 'waiting', 'blocked') then 'lane ' || s.state || g end,
            case s.state when 'limited' then 'tenant' end, case g when 1 then 'of-short k' || s.state end
       from pawl.queue q join pawl.shard h on h.queue_id = q.id and h.priority = 1 cross join generate_series(1, $2::int) g
       cross join unnest('{ready,scheduled,arrived,waiting,limited,blocked}'::text[]) s (state) where q.name = $1`,
    [queue, tasks],
  );
  await store.rows(
    `insert into pawl.dead (id, seq, stream_id, priority, attempt, crashes, reason, payload, created_at, run_at, died_at, lane)
     select coalesce(t.id, nextval('pawl.task_id_seq')), 0, st.id, 1, 4, 0, 'attempts', '{}', pawl.now(), pawl.now(), pawl.now(), t.lane
       from pawl.stream st join pawl.queue q on q.id = st.queue_id cross join generate_series(1, $2::int) g
       left join pawl.task t on g = 1 and t.state = 'blocked' and t.queue_id = q.id and t.lane = 'lane blocked1'
      where q.name = $1`,
    [queue, tasks],
  );
  await store.rows(
    `insert into pawl.finished (id, seq, stream_id, priority, attempt, outcome, created_at, run_at, finished_at, payload)
     select nextval('pawl.task_id_seq'), 0, st.id, 1, 1, 'done', pawl.now(), pawl.now(), pawl.now(), '{}'
       from pawl.stream st join pawl.queue q on q.id = st.queue_id cross join generate_series(1, $2::int) g where q.name = $1`,
    [queue, tasks],
  );
}
await fill("short", 2);
await store.rows(
  `insert into pawl.claim (worker_id, no, shard_id, stream_id, queue_id, priority, solo, claimed_at, seqs)
   select 7, 1, h.id, h.stream_id, h.queue_id, 1, false, pawl.now(), array[min(t.seq)]
     from pawl.task t join pawl.shard h on h.id = t.shard_id where t.state = 'ready' group by h.id`,
);

test("each task is seen once, in the view of its place, as a look at its id says", async () => {
  const states = "select state, count(*)::int as n from pawl.task_v1 group by 1 order by 1";
  expect(await store.rows(states)).toEqual([
    { state: "arrived", n: 2 },
    { state: "dead", n: 2 },
    { state: "done", n: 2 },
    { state: "limited", n: 2 },
    { state: "ready", n: 1 },
    { state: "running", n: 1 },
    { state: "scheduled", n: 2 },
    { state: "waiting", n: 2 },
  ]);
  const [running] = await store.rows("select * from pawl.task_now_v1 where state = 'running'");
  expect(running).toMatchObject({ queue: "short", kind: "of-short", attempt: 1, worker_id: 7 });
  expect(running).toMatchObject({ max_attempts: 4, key: "kready" });
  const blocking = "select is_blocking from pawl.task_dead_v1 order by 1";
  expect(await store.rows(blocking)).toEqual([{ is_blocking: false }, { is_blocking: true }]);
  const live = (view: string) =>
    `select id, state, queue, kind, priority, attempt, max_attempts, started_at, worker_id, lane, key, error from pawl.${view}`;
  const apart = `(${live("task_now_v1")} except ${live("task_v1")}) union all
    (${live("task_v1")} where state not in ('dead', 'done') except ${live("task_now_v1")})`;
  expect(await store.rows(apart)).toEqual([]);
  const [now, lived] = ["now", "live"].map(
    (one) => `select to_jsonb(t) from pawl.task_${one}_v1 t`,
  );
  expect(await store.rows(`(${now} except ${lived}) union all (${lived} except ${now})`)).toEqual(
    [],
  );
  const differing = await store.rows(
    `select t.id from pawl.task_v1 t left join lateral pawl.find_task_v1(t.id) f on true
      where (f.state, f.queue, f.kind, f.attempt) is distinct from (t.state, t.queue, t.kind, t.attempt)`,
  );
  expect(differing).toEqual([]);
});

const READS = [
  "select * from pawl.task_now_v1 where id = 42",
  "select id, state from pawl.task_now_v1 where queue = 'short'",
  "select * from pawl.task_live_v1 where id = 42",
  "select * from pawl.task_dead_v1 where id = 42",
  "select id, reason from pawl.task_dead_v1 where queue = 'short' order by died_at desc limit 50",
  "select * from pawl.task_ended_v1 where id = 42",
  "select * from pawl.task_v1 where id = 42",
  "select * from pawl.delivery_now_v1 where id = 42",
  "select * from pawl.delivery_now_v1 where event_id = '019a0b6e-2f31-7c55-9d0a-3f1b8e6a4c21'",
  "select * from pawl.delivery_now_v1 where id = any ('{42,43}')",
];

interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Cond"?: string;
  Plans?: Plan[];
}

/** Tables that are read whole: also along an index, when nothing is looked up in it. */
function readWhole(plan: Plan): string[] {
  const { "Node Type": type, "Relation Name": name = "", "Index Cond": condition } = plan;
  const isWhole = type === "Seq Scan" || (type.startsWith("Index") && condition === undefined);
  return [...(isWhole ? [name] : []), ...(plan.Plans ?? []).flatMap(readWhole)];
}

test("a backlog of many queues is read along an index, by id and by queue, with statistics and without", async () => {
  for (const queue of LONG) await fill(queue, 400);
  const large = await store.rows<{ name: string }>(
    "select relname as name from pg_class where relkind = 'r' and pg_relation_size(oid) > 500000",
  );
  const names = large.map((table) => table.name);
  expect(names).toEqual(expect.arrayContaining(["task", "dead"]));
  for (const before of ["select 1", "analyze"]) {
    await store.rows(before);
    for (const read of READS) {
      const [row] = await store.rows<{ "QUERY PLAN": [{ Plan: Plan }] }>(
        `explain (format json) ${read}`,
      );
      const tables = row === undefined ? [] : readWhole(row["QUERY PLAN"][0].Plan);
      expect([before, read, tables.filter((table) => names.includes(table))]).toEqual([
        before,
        read,
        [],
      ]);
    }
  }
});
