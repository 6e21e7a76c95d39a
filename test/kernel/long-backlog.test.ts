/** What concerns running tasks alone costs no more where many wait: the hazard is a plan that reads all that is ready. */

import { expect, test } from "vitest";
import { freshDatabase, rawClient } from "../support/database.ts";

const RUNNING = 200;
const READY = 20_000;
/** Rows of `pawl.task` read by one call: some for each that runs, however many wait. */
const READ_MAX = 12 * RUNNING;

/** Of what runs, with the claim of each. */
const TEN = "array(select c.id from pawl.claimed_task c order by c.id limit 10)";
const SEQS = "array(select c.seq from pawl.claimed_task c order by c.id limit 10)";

/** $1: the worker. */
const CALLS = [
  "select * from pawl.heartbeat_v1($1, '{1}', 2, 0, 0, '[]', null, null)",
  "select pawl.running_in((select min(c.queue_id) from pawl.claim c where c.worker_id = $1))",
  "select pawl.running_of((select min(c.stream_id) from pawl.claim c where c.worker_id = $1))",
  "select count(*) from pawl.running_by_shard() where $1 > 0",
  "select count(*) from pawl.tasks_v1('{running}', null, 100, 10000) where $1 > 0",
  "select pawl.give_back_v1($1, '{1}')",
  `select pawl.progress_v1($1, ${TEN}, ${SEQS}, array_fill('1'::text, '{10}'))`,
  `select * from pawl.settle_v1($1, ${TEN}, ${SEQS}, array_fill(1::bigint, '{10}'), array_fill(null::text, '{10}'), null)`,
  `select pawl.fail_v1($1, (select jsonb_agg(jsonb_build_object('id', c.id, 'seq', c.seq, 'claim', 1, 'outcome', 'retry'))
     from (select * from pawl.claimed_task order by id limit 10) c))`,
  `select count(*) from pawl.cancel_v1(${TEN}, 'test', null) where $1 > 0`,
  `select count(*) from pawl.change_tasks_v1(${TEN}, pawl.now(), 1, 'test', null) where $1 > 0`,
  "select * from pawl.promote_v1(10) where $1 > 0",
  "select pawl.expire_v1(10) where $1 > 0",
  "select * from pawl.sort_lanes_v1(10, null, null) where $1 > 0",
  "select * from pawl.rescue_v1() where $1 > 0",
  `select * from pawl.turn_v1($1, '{}', '{}', '{}', '{}', null, '{}', 9, 50, array(select h.id from pawl.shard h), false)`,
];
/** What changes in the same transaction first. */
const BEFORE = new Map([
  [
    "select * from pawl.rescue_v1() where $1 > 0",
    "update pawl.worker set lease_until = pawl.now() where id = $1",
  ],
]);

const client = await rawClient((await freshDatabase({ longLeases: true })).url);
const rows = async <R>(text: string, values: unknown[] = []): Promise<R[]> =>
  (await client.query(text, values)).rows as R[];

await rows("select pawl.register_v1($1)", [
  JSON.stringify({
    application: "test",
    revision: 0,
    payload_bytes_max: 1_048_576,
    queues: [{ name: "normal", shards: 1 }],
    streams: [{ queue: "normal", kind: "job" }],
  }),
]);
await rows("alter table pawl.task set (autovacuum_enabled = off)");
const worker = { host: "here", pid: 1, application: "test", revision: 0, concurrency: 1 };
const [started] = await rows<{ id: number }>("select pawl.start_worker_v1($1) as id", [
  JSON.stringify({ ...worker, queues: ["normal"], streams: [1] }),
]);

const READ = `select coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::int as rows
  from pg_stat_xact_user_tables where schemaname = 'pawl' and relname = 'task'`;

async function rowsRead(call: string): Promise<number> {
  const before = BEFORE.get(call);
  await rows("begin");
  if (before !== undefined) await rows(before, [started?.id]);
  const [from] = await rows<{ rows: number }>(READ);
  await rows(call, [started?.id]);
  const [to] = await rows<{ rows: number }>(READ);
  await rows("rollback");
  return (to?.rows ?? Number.NaN) - (from?.rows ?? 0);
}

async function allRead(): Promise<[string, number][]> {
  const read: [string, number][] = [];
  for (const call of CALLS) read.push([call, await rowsRead(call)]);
  return read;
}

test("a heartbeat, a rescue, a limit or a list of what runs reads no backlog, planned while empty or when full", async () => {
  for (let i = 0; i < 6; i++) await allRead(); // on this connection, so its plans are those of an empty table
  await rows(
    `insert into pawl.task (shard_id, queue_id, seq, state, run_at, created_at, expires_at, payload, lane)
     select h.id, h.queue_id, nextval('pawl.seq'), s.state,
            pawl.now() + case when s.state = 'scheduled' and g > 10 then interval '1 day' else '0' end, pawl.now(),
            pawl.now() + case when s.state = 'ready' and g between 300 and 310 then interval '0' else '1 day' end, '{}',
            case when s.state in ('waiting', 'arrived') then 'lane' || g end
       from unnest('{ready,scheduled,waiting,arrived}'::text[]) s (state) cross join generate_series(1, $1::int) g cross join pawl.shard h
      where h.priority = 1 and not h.solo and h.stream_id = (select min(st.id) from pawl.stream st)`,
    [READY],
  );
  // 100 lie behind the cursor, as if they had come late: the turn sweeps
  await rows(
    `with run as (
       select t.shard_id, array_agg(t.seq) as seqs, max(t.seq) as last
         from (select * from pawl.task where state = 'ready' order by seq limit $2) t group by t.shard_id
     ), moved as (update pawl.shard h set cursor = r.last + 100 from run r where h.id = r.shard_id)
     insert into pawl.claim (worker_id, no, shard_id, stream_id, queue_id, priority, solo, claimed_at, seqs)
     select $1, 1, h.id, h.stream_id, h.queue_id, 1, false, pawl.now(), r.seqs
       from run r join pawl.shard h on h.id = r.shard_id`,
    [started?.id, RUNNING],
  );
  const tooMany = async () => (await allRead()).filter(([, read]) => read > READ_MAX);
  expect(await tooMany()).toEqual([]);
  await rows("analyze");
  expect(await tooMany()).toEqual([]);
});
