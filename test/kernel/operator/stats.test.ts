/** Statistics of a long backlog: right, marked where estimated, and without reading the table. */

import { expect, test } from "vitest";
import {
  filterJson,
  LIVE_STATES,
  statesOf,
  taskFilter,
} from "../../../src/kernel/operator/filter.ts";
import { stats } from "../../../src/kernel/operator/sql.ts";
import { outboxStats } from "../../../src/outbox/sql.ts";
import type { Store } from "../../../src/store/store.ts";
import { freshStore } from "../../support/database.ts";

const store = await freshStore({ max: 2 });
const QUEUES = ["long", "later", "laned", "short", "stuck", "buried", "bursts"];
const WIDE = { name: "wide", shards: 20 };
/** None has a task: they cost a row each. */
const EMPTY = Array.from({ length: 300 }, (_, i) => `empty-${i}`);
await store.rows("select pawl.register_v1($1)", [
  JSON.stringify({
    application: "test",
    revision: 0,
    payload_bytes_max: 1_048_576,
    queues: [...[...QUEUES, ...EMPTY].map((name) => ({ name, shards: 1 })), WIDE],
    streams: [...QUEUES, ...EMPTY, WIDE.name].map((queue) => ({ queue, kind: `of-${queue}` })),
  }),
]);

/** As enqueueing leaves them: in runs of a queue, among those of others. */
async function fill(queue: string, tasks: number, state: string, lane: string | null = null) {
  await store.rows(
    `insert into pawl.task (shard_id, queue_id, seq, state, run_at, created_at, payload, lane)
     select h.id, q.id, nextval('pawl.seq'), $3, pawl.now(), pawl.now(), '{}', case $4 when 'each' then 'lane ' || g else $4 end
       from pawl.queue q join pawl.shard h on h.queue_id = q.id and h.priority = 1 cross join generate_series(1, $2::int) g
      where q.name = $1`,
    [queue, tasks, state, lane],
  );
}
for (let run = 0; run < 6; run++) {
  await fill("long", 9_000, "ready");
  await fill("later", 4_000, "scheduled");
  await fill("laned", 7_000, "waiting", "one");
  await fill("short", 50, "ready");
}
await fill("stuck", 40, "blocked", "each");
await store.rows(
  `insert into pawl.dead (id, stream_id, seq, priority, attempt, crashes, reason, payload, created_at, run_at, died_at)
   select nextval('pawl.task_id_seq'), st.id, 0, 1, 1, 0, 'attempts', '{}', pawl.now(), pawl.now(), pawl.now()
     from pawl.stream st cross join generate_series(1, 30000) g where st.kind = 'of-buried'`,
);
await store.rows(
  `insert into pawl.event (name, aggregate_type, aggregate_id, payload, deliveries, routed_at)
   select 'a.b', 'order', '1', '{}', case g % 2 when 0 then 0 end, case g % 2 when 0 then pawl.now() end
     from generate_series(1, 60000) g`,
);

test("R104: counts beyond what is counted are right within 10 %, and marked", async () => {
  const of = new Map((await stats(store)).map((row) => [row.queue, row]));
  for (const [queue, name, count] of [
    ["long", "ready", 54_000],
    ["later", "scheduled", 24_000],
    ["laned", "waiting", 42_000],
    ["buried", "dead", 30_000],
  ] as const) {
    const row = of.get(queue);
    expect(row?.estimates).toEqual([name]);
    expect(Math.abs((row?.[name] ?? 0) / count - 1), `${queue}: ${row?.[name]}`).toBeLessThan(0.1);
  }
  expect(of.get("short")).toMatchObject({ ready: 300, estimates: [], isEstimate: false });
  expect(of.get("stuck")).toMatchObject({ blocked: 40, estimates: [] });
  expect(of.get("empty-7")).toMatchObject({ ready: 0, waiting: 0, dead: 0, estimates: [] });
  const outbox = await outboxStats(store);
  expect(outbox.estimates).toEqual(["toRoute", "unrouted"]);
  expect(Math.abs(outbox.toRoute / 30_000 - 1)).toBeLessThan(0.1);
  expect(Math.abs(outbox.unrouted / 30_000 - 1)).toBeLessThan(0.1);
});

/** Rows of tasks, or of their indexes, that the statistics read. */
async function rowsRead(): Promise<number> {
  return store.transaction(async (tx) => {
    const readSoFar = async () => {
      const { rows } = await tx.query<{ rows: string }>(
        `select sum(pg_stat_get_xact_tuples_returned(c.oid)) as rows from (
           select 'pawl.task'::regclass as oid union all
           select indexrelid from pg_index where indrelid = 'pawl.task'::regclass) c`,
      );
      return Number(rows[0]?.rows);
    };
    const before = await readSoFar(); // of what came before on this connection
    await tx.query("select * from pawl.stats_v1()");
    return (await readSoFar()) - before;
  });
}

test("R104: what statistics read of a queue does not grow with its shards", async () => {
  const before = await rowsRead();
  await fill("wide", 4_000, "ready"); // in each shard
  const read = (await rowsRead()) - before;
  expect(read).toBeGreaterThan(10_000);
  expect(read).toBeLessThan(60_000);
  const wide = (await stats(store)).find((row) => row.queue === "wide");
  expect(wide?.estimates).toEqual(["ready"]);
  expect(Math.abs((wide?.ready ?? 0) / 80_000 - 1), `${wide?.ready}`).toBeLessThan(0.1);
});

test("R104: a backlog in bursts, far from each other and from one old task, is estimated as well", async () => {
  const at = await store.rows<{ seq: string }>("select nextval('pawl.seq') as seq");
  await fill("bursts", 1, "ready");
  for (const [tasks, distance] of [
    [2_000, 9],
    [15_000, 10],
    [13_000, 11],
  ] as const) {
    await store.rows("select setval('pawl.seq', $1)", [Number(at[0]?.seq) + 10 ** distance]);
    await fill("bursts", tasks, "ready");
  }
  const bursts = (await stats(store)).find((row) => row.queue === "bursts");
  expect(bursts?.estimates).toEqual(["ready"]);
  expect(Math.abs((bursts?.ready ?? 0) / 30_001 - 1), `${bursts?.ready}`).toBeLessThan(0.1);
});

/** Each row of `select part, n`, where n is there once. */
const CROWDS: Record<string, string> = {
  "side by side in 8 parts": "select g % 8, g from generate_series(1, 30000) g",
  "60 bursts, ever further from each other":
    "select 0, 10000 * b ^ 3 + g from generate_series(1, 60) b cross join generate_series(1, 500) g",
  "300 small bursts":
    "select 0, 3000 * b ^ 2 + g from generate_series(1, 300) b cross join generate_series(1, 100) g",
  "256 bursts at even distances":
    "select 0, 100000 * b + g from generate_series(1, 256) b cross join generate_series(1, 100) g",
  "6 bursts of 8 parts":
    "select g % 8, 100000000 * b + g from generate_series(1, 6) b cross join generate_series(1, 5000) g",
  "5 bursts of 40 parts":
    "select g % 40, 100000000 * b + g from generate_series(1, 5) b cross join generate_series(1, 6000) g",
  "few in most of 40 parts":
    "select floor(40 * (g * 0.6180339887 % 1) ^ 3), g * 331 from generate_series(1, 30000) g",
  "a block of each of 1,000 parts":
    "select g / 30, g + 100 * (g / 30) from generate_series(0, 29999) g",
  "old ones in each of 1,000 parts": `select g, g from generate_series(0, 999) g
     union all select g % 1000, 1000000000 + g from generate_series(1, 30000) g`,
  "ever fewer, the older":
    "select 0, 10000000000 - floor(3000000000 / g) from generate_series(1, 30000) g",
};
await store.rows("create table public.crowd (part int, n bigint, primary key (part, n))");

for (const [name, rows] of Object.entries(CROWDS)) {
  test(`R104: an estimate is right within 10 %: ${name}`, async () => {
    await store.rows("truncate public.crowd");
    await store.rows(`insert into public.crowd select * from (${rows}) r on conflict do nothing`);
    const [count] = await store.rows<{ estimated: string; counted: string }>(
      `select pawl.estimated_count('public.crowd r where r.part = p.part', 'r.n', 'true', array(select distinct part from public.crowd)) as estimated,
              (select count(*) from public.crowd) as counted`,
    );
    const { estimated, counted } = count ?? { estimated: 0, counted: 0 };
    expect(Number(counted)).toBeGreaterThan(10_000);
    expect(Math.abs(Number(estimated) / Number(counted) - 1), `${estimated}`).toBeLessThan(0.1);
  });
}

/** How often a statement of the function read a table whole. */
async function wholeReads(at: Store, statement: string): Promise<unknown[]> {
  return at.transaction(async (tx) => {
    await tx.query(statement);
    const { rows } = await tx.query(
      `select relname from pg_stat_xact_user_tables
        where schemaname = 'pawl' and relname in ('task', 'dead', 'event') and seq_scan > 0`,
    );
    return rows;
  });
}

const read = (text: string) => taskFilter.read(text, { label: "`filter`", option: "filter" });
const jsonOf = (filter: string) => filterJson({ filter: read(filter) });
const tasksOf = (filter: string, states: readonly string[]) =>
  `select * from pawl.tasks_v1('{${states.join()}}', '${jsonOf(filter)}', 20, 100)`;

test("R104: statistics and lists never read all tasks, whatever the planner believes", async () => {
  for (const analyzed of [false, true]) {
    if (analyzed) await store.rows("analyze pawl.task, pawl.dead, pawl.event");
    for (const statement of [
      "select * from pawl.stats_v1()",
      "select * from pawl.outbox_stats_v1()",
      "select * from pawl.queues_v1()",
      "select * from pawl.switches_v1()",
      ...[
        "",
        "queue:long",
        "id:1,2",
        "key:a",
        "lane:b",
        "payload.a:1",
        "state:dead queue:long",
      ].map((filter) => tasksOf(filter, statesOf(read(filter), LIVE_STATES))),
      tasksOf("queue:long", ["ready"]),
      tasksOf("", ["running"]),
      ...["", "queue:long", "id:1,2", "since:1h", "err:x", "lane:b"].map(
        (filter) => `select * from pawl.dead_v1('${jsonOf(filter)}', 20, 100)`,
      ),
      "select * from pawl.why_task_v1((select max(id) from pawl.task))",
    ]) {
      expect(await wholeReads(store, statement), statement).toEqual([]);
    }
  }
});
