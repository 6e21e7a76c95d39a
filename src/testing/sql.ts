/** The statements of the test kit: its clock, and what was written since a mark. */

import type { Executor } from "../store/executor.ts";

/** Replaces `pawl.now()`, and keeps what it was. Nothing happens if that was done before. */
export async function installClock(executor: Executor): Promise<void> {
  await executor.rows(
    "create table if not exists pawl.test_clock (ahead interval not null, original text not null)",
  );
  await executor.rows(
    `insert into pawl.test_clock select '0', pg_get_functiondef('pawl.now()'::regprocedure)
      where not exists (select from pawl.test_clock)`,
  );
  await executor.rows(
    `create or replace function pawl.now() returns timestamptz language sql stable
     as $$ select statement_timestamp() + ahead from pawl.test_clock $$`,
  );
}

/** Puts the real clock back. */
export async function removeClock(executor: Executor): Promise<void> {
  const [row] = await executor.rows<{ original: string }>("select original from pawl.test_clock");
  if (row === undefined) return;
  await executor.rows(row.original);
  await executor.rows("drop table pawl.test_clock");
}

export async function moveClock(executor: Executor, ms: number): Promise<void> {
  await executor.rows(
    "update pawl.test_clock set ahead = ahead + make_interval(secs => $1::float8 / 1000)",
    [ms],
  );
}

export async function readClock(executor: Executor): Promise<Date> {
  const [row] = await executor.rows<{ now: Date }>("select pawl.now() as now");
  if (row === undefined) throw new Error("the database returned no time");
  return row.now;
}

/** The last task and the last event. */
export interface Mark {
  readonly task: string;
  readonly event: string;
}

export async function readMark(executor: Executor): Promise<Mark> {
  const [row] = await executor.rows<{ task: string; event: string }>(
    `select coalesce((select max(id) from pawl.task_v1), 0)::text as task,
            coalesce((select max(number) from pawl.event), 0)::text as event`,
  );
  return { task: row?.task ?? "0", event: row?.event ?? "0" };
}

export interface TaskSince {
  readonly id: string;
  readonly kind: string;
  readonly queue: string;
  readonly state: string;
  readonly payload: unknown;
  readonly meta: unknown;
  readonly run_at: Date | null;
}

export function tasksSince(executor: Executor, mark: Mark): Promise<TaskSince[]> {
  return executor.rows(
    `select id::text, kind, queue, state, payload, meta, run_at from pawl.task_v1
      where id > $1::text::bigint order by id`,
    [mark.task],
  );
}

export interface EventSince {
  readonly id: string;
  readonly name: string;
  readonly aggregate_type: string;
  readonly aggregate_id: string;
  readonly payload: unknown;
  readonly meta: unknown;
  readonly destination: string | null;
}

export function eventsSince(executor: Executor, mark: Mark): Promise<EventSince[]> {
  return executor.rows(
    `select e.id::text, e.name, e.aggregate_type, e.aggregate_id, e.payload, e.meta, d.name as destination
       from pawl.event e left join pawl.destination d on d.id = e.target_id
      where e.number > $1::text::bigint order by e.number`,
    [mark.event],
  );
}
