/** 10,000 schedules: those that are due together, and what a look costs that finds none due. The clock stands still. */

import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { defineJob, type Pawl } from "../../src/index.ts";
import { fireDue } from "../../src/schedule/scheduler.ts";
import { openTransaction } from "../support/database.ts";
import { type ScheduleBench, scheduleBench } from "../support/schedules.ts";

const MANY = 10_000;
const at = (time: string) => `2026-05-05T${time}:00Z`;
const tick = defineJob({ name: "tick", input: z.object({}), run: () => undefined });

let bench: ScheduleBench;
let pawl: Pawl;

beforeAll(async () => {
  bench = await scheduleBench(at("00:00"));
  pawl = await bench.app({ jobs: [tick] });
  await pawl.schedules.add("hourly", { cron: "0 * * * *", job: "tick", overlap: "all" });
  await bench.store.rows(
    `insert into pawl.schedule (name, cron, time_zone, jitter_ms, starts, target, task, missed, overlap, is_enabled, next_at, fire_at)
     select s.name || '-' || n, s.cron, s.time_zone, 0, s.starts, s.target, s.task, s.missed, s.overlap, true, s.next_at, s.fire_at
       from pawl.schedule s, generate_series(2, $1::int) n`,
    [MANY],
  );
});

test("R66: of 10,000 schedules none is read by a look that finds none due, nor by the question of an idle worker", async () => {
  const client = await openTransaction(bench.url);
  await client.query("select pawl.is_schedule_due_v1('{}')"); // plans read statistics
  const read = async () => {
    const { rows } = await client.query<{ read: number }>(
      "select (seq_tup_read + coalesce(idx_tup_fetch, 0))::int as read from pg_stat_xact_user_tables where schemaname = 'pawl' and relname = 'schedule'",
    );
    return rows[0]?.read ?? 0;
  };
  const before = await read();
  await client.query("select pawl.is_schedule_due_v1('{}')");
  await client.query("select * from pawl.look_at_schedules_v1(2000, '{}')");
  expect((await read()) - before).toBeLessThan(10);
  await client.query("rollback");
});

test("R66: 10,000 due times of one moment are fired in a few rounds, each once, though two schedulers fire them", async () => {
  await bench.at(at("01:00"));
  let rounds = 0;
  let fired = 0;
  const scheduler = async () => {
    for (let isMore = true; isMore; ) {
      const round = await fireDue(bench.store);
      fired += round.fired.length;
      if (round.fired.length > 0) rounds += 1; // in any other one all was being fired by the other scheduler
      isMore = round.isMore;
    }
  };
  await Promise.all([scheduler(), scheduler()]);
  expect(fired).toBe(MANY);
  expect(rounds).toBeLessThanOrEqual(30);
  const [tasks] = await bench.store.rows(
    "select count(*)::int as tasks, count(distinct meta -> 'schedule' ->> 'name')::int as schedules from pawl.task",
  );
  expect(tasks).toEqual({ tasks: MANY, schedules: MANY });
});
