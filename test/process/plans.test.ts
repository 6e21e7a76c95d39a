/** What recording the end of a step reads: the hazard is a plan, made while the table was new, that reads all of it later. */

import { expect, test } from "vitest";
import { freshDatabase, rawClient } from "../support/database.ts";
import { defineKinds, executorOn, leasedWorker } from "../support/kernel.ts";

const RUNS = 5_000;
const READ_MAX = 50;
const CALLS = [
  `select * from pawl.record_steps_v1($1, '[{"id": 1, "seq": 1, "claim": 1, "no": 1, "step": "a", "outcome": "done"}]')`,
  `select * from pawl.record_items_v1($1, '[{"id": 1, "seq": 1, "claim": 1, "no": 1, "item": 0, "outcome": "done", "round": 0, "attempt": 1}]')`,
  `select * from pawl.prune_runs_v1($1::int * 0, 5, false)`,
  `select * from pawl.process_runs_v1($1, null, null, null, 50, null, null)`,
  `select * from pawl.living_children_v1($1, 100)`,
];
const READ = `select coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::int as rows from pg_stat_xact_user_tables
  where schemaname = 'pawl' and relname in ('process_step', 'process_item', 'process_signal')`;

test("R33: recording the end of a step or an item, pruning a batch and looking at a run read few rows, also where the plan was made while the tables were empty", async () => {
  const client = await rawClient((await freshDatabase({ longLeases: true })).url);
  const store = executorOn(client);
  await defineKinds(store);
  for (const table of ["process_step", "process_item", "process_signal"])
    await store.rows(`alter table pawl.${table} set (autovacuum_enabled = off)`);
  const worker = await leasedWorker(store);
  for (const call of CALLS) await store.rows(call, [worker]);
  await store.rows(
    `insert into pawl.process_step (run_id, no, seq, step, outcome) select n, 1, n, 'a', 'done' from generate_series(2, ${RUNS}) n`,
  );
  await store.rows(
    `insert into pawl.process_item (run_id, no, item, outcome, round, attempt) select n, 1, 0, 'done', 0, 1 from generate_series(2, ${RUNS}) n`,
  );
  await store.rows(
    `insert into pawl.process_signal (run_id, name, payload) select n, 'word', '1' from generate_series(2, ${RUNS}) n`,
  );
  for (const call of CALLS) {
    await store.rows("begin");
    const [from] = await store.rows<{ rows: number }>(READ);
    await store.rows(call, [worker]);
    const [to] = await store.rows<{ rows: number }>(READ);
    await store.rows("commit");
    expect((to?.rows ?? Number.NaN) - (from?.rows ?? 0)).toBeLessThan(READ_MAX);
  }
});
