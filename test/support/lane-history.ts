/**
 * The oracle of order: what `step` tells of each try, against where each task ended. All times are microseconds of the
 * database's clock.
 */

import type { Executor } from "../../src/store/executor.ts";

export interface Step {
  lane: string;
  task: string;
  pid: number;
  began: number;
  /** null: its process was killed. */
  ended: number | null;
}

export interface LaneEnd {
  id: string;
  lane: string;
  outcome: string;
  /** When what is behind it may start: its end, or its first death where the lane goes on without it. */
  at: number;
}

const MICROSECONDS = "(extract(epoch from %) * 1000000)::float8";
const us = (column: string) => MICROSECONDS.replace("%", column);

export function readSteps(executor: Executor): Promise<Step[]> {
  return executor.rows(
    `select lane, task, pid, ${us("began")} as began, ${us("ended")} as ended from step order by no`,
  );
}

export function readEnds(executor: Executor): Promise<LaneEnd[]> {
  return executor.rows(
    `select e.id, e.lane, e.outcome, ${us("coalesce(case when q.on_dead = 'skip' then e.died_at end, e.at)")} as at
       from (select f.id, f.lane, f.stream_id, f.outcome, f.finished_at as at,
                    (select min(a.ended_at) from pawl.attempt a where a.task_id = f.id and a.outcome = 'dead') as died_at
               from pawl.finished f
             union all
             select d.id, d.lane, d.stream_id, 'dead', d.died_at, d.died_at from pawl.dead d) e
       join pawl.stream st on st.id = e.stream_id join pawl.queue q on q.id = st.queue_id
      order by e.id`,
  );
}

/** When each try was claimed, as history keeps it. */
export function readClaims(executor: Executor): Promise<Pick<Step, "task" | "began">[]> {
  return executor.rows(
    `select task, ${us("at")} as began from (
       select id as task, started_at as at from pawl.finished
       union all select id, started_at from pawl.dead
       union all select task_id, started_at from pawl.attempt) c where at is not null`,
  );
}

/** Tries of one lane that ran beside each other; a killed one ended with its lease. */
export function overlaps(steps: readonly Step[], leaseEnds: ReadonlyMap<number, number>): string[] {
  const found: string[] = [];
  const last = new Map<string, { task: string; ended: number }>();
  for (const step of steps.toSorted((a, b) => a.began - b.began)) {
    const before = last.get(step.lane);
    if (before !== undefined && before.ended > step.began)
      found.push(`${step.lane}: ${step.task} beside ${before.task}`);
    const ended = step.ended ?? leaseEnds.get(step.pid);
    if (ended === undefined) found.push(`${step.lane}: ${step.task} never ended`);
    else last.set(step.lane, { task: step.task, ended });
  }
  return found;
}

/** Tasks that started before every older one of their lane had ended. */
export function inversions(
  steps: readonly Pick<Step, "task" | "began">[],
  ends: readonly LaneEnd[],
): string[] {
  const starts = new Map<string, number>();
  for (const { task, began } of steps)
    starts.set(task, Math.min(began, starts.get(task) ?? Number.POSITIVE_INFINITY));
  const found: string[] = [];
  const latest = new Map<string, LaneEnd>();
  for (const end of ends) {
    const before = latest.get(end.lane);
    const start = starts.get(end.id);
    if (before !== undefined && start !== undefined && start < before.at)
      found.push(
        `${end.lane}: ${end.id} started ${before.at - start} µs before ${before.id} ended`,
      );
    if (before === undefined || end.at > before.at) latest.set(end.lane, end);
  }
  return found;
}
