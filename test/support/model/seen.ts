/** What the database holds, in the model's words; and the comparison of both. */

import assert from "node:assert/strict";
import type { Store } from "../../../src/store/store.ts";
import { KINDS, type Kind, LINES } from "./catalogue.ts";
import { hasFresh, startsAllowed } from "./claiming.ts";
import { type Kernel, START } from "./kernel.ts";
import { isLive, type Task, type World } from "./world.ts";

interface TaskView {
  readonly id: string;
  readonly state: string;
  readonly kind: Kind;
  readonly priority: number;
  readonly attempt: number;
  readonly crashes: number | null;
  readonly history: string[];
  readonly reason: string | null;
  readonly lane: string | null;
  readonly key: string | null;
  readonly worker: number | null;
  readonly runAt: number;
  readonly expiresAt: number | null;
  readonly isCancelRequested: boolean;
  readonly solo: boolean | null;
  readonly place: number | null;
}

/** @throws AssertionError with the difference */
export async function compare(world: World, kernel: Kernel): Promise<void> {
  const [tasks, rules, sight] = await Promise.all([
    tasksSeen(kernel.store),
    rulesSeen(kernel.store),
    kernel.look(),
  ]);
  for (const { id, place } of tasks) {
    const task = world.tasks.get(id);
    if (task !== undefined) task.place ??= place;
  }
  assert.deepEqual(tasks, world.all.map(viewOf));
  assert.deepEqual(rules, {
    blocking: world.all.filter((task) => task.isBlocking).map((task) => task.id),
    claims: claimsOf(world),
    claimedTwice: [],
    lanesWithTwoHeads: [],
    keysTwice: [],
  });
  const ready = sight.shards.filter((row) => row.is_ready).map((row) => row.shard_id);
  const open = kernel.shards.filter(
    (shard) =>
      world.isUsed(shard) && startsAllowed(world, shard.kind) > 0 && hasFresh(world, shard.key),
  );
  const byNumber = (a: number, b: number) => a - b;
  assert.deepEqual(ready.toSorted(byNumber), open.map((shard) => shard.id).toSorted(byNumber));
  assert.equal(sight.waitMs, waitMsOf(world), "how long a look says to wait");
}

/** Every task that any table names, as a person is shown it, and its shard. */
function tasksSeen(store: Store): Promise<TaskView[]> {
  return store.prepared(
    `with named as (
       select id from pawl.task where state <> 'blocked'
       union all select id from pawl.dead union all select id from pawl.finished)
     select f.id, f.state, f.kind, f.priority, f.attempt, coalesce(t.crashes, d.crashes) as crashes, f.reason, f.lane, f.key, f.worker_id as worker,
            (extract(epoch from f.run_at - $1::timestamptz) * 1000)::float8 as "runAt",
            (extract(epoch from f.expires_at - $1::timestamptz) * 1000)::float8 as "expiresAt",
            f.cancel_requested_at is not null as "isCancelRequested", s.solo, s.place,
            array(select a.attempt || ' ' || a.outcome from pawl.attempt a where a.task_id = f.id order by a.seq) as history
       from named n cross join lateral pawl.find_task_v1(n.id) f
       left join pawl.task t on t.id = f.id and t.state <> 'blocked'
       left join pawl.shard s on s.id = t.shard_id left join pawl.dead d on d.id = f.id
      order by f.id`,
    [START],
  );
}

/** The shards' places of what lives. */
export async function placesSeen(store: Store): Promise<Map<string, number>> {
  const rows = await store.prepared<{ id: string; place: number }>(
    "select t.id, s.place from pawl.task t join pawl.shard s on s.id = t.shard_id where t.state <> 'blocked'",
    [],
  );
  return new Map(rows.map(({ id, place }) => [id, place]));
}

async function rulesSeen(store: Store): Promise<unknown> {
  const [row] = await store.prepared(
    `select array(select id from pawl.task where state = 'blocked' order by id) as blocking,
            array(select worker_id || ' ' || no from pawl.claim group by worker_id, no order by worker_id, no) as claims,
            array(select u.seq from pawl.claim c, unnest(c.seqs) u (seq) group by u.seq having count(*) > 1) as "claimedTwice",
            array(select queue_id || ' ' || lane from pawl.task
                   where lane is not null and state in ('ready', 'scheduled', 'blocked')
                   group by queue_id, lane having count(*) > 1) as "lanesWithTwoHeads",
            array(select queue_id || ' ' || key from pawl.task where key is not null
                   group by queue_id, key having count(*) > 1) as "keysTwice"`,
    [],
  );
  return row;
}

function viewOf(task: Task): TaskView {
  const { id, kind, priority, reason, lane, key, runAt, running } = task;
  const shared = { id, kind, priority, reason, lane, key, runAt };
  const live = isLive(task);
  return {
    ...shared,
    history: task.history,
    crashes: live || task.state === "dead" ? task.crashes : null,
    state: running === null ? task.state : "running",
    attempt: task.attempt + (running === null ? 0 : 1),
    worker: live ? (running?.worker ?? null) : task.worker,
    expiresAt: live || task.state === "dead" ? task.expiresAt : null,
    isCancelRequested: task.isCancelRequested,
    solo: live ? task.solo : null,
    place: live ? task.place : null,
  };
}

function claimsOf(world: World): string[] {
  return [...world.workers.values()]
    .toSorted((a, b) => a.id - b.id)
    .flatMap((worker) =>
      [...worker.claims].toSorted((a, b) => a - b).map((claim) => `${worker.id} ${claim}`),
    );
}

/** When a limit may let more through: a slot that another worker frees is looked for every 50 ms. */
function waitMsOf(world: World): number | null {
  const waits = KINDS.flatMap((kind) => {
    const { concurrency, rate } = LINES[kind];
    const isFull = concurrency !== null && world.runningIn(kind) >= concurrency;
    const due = world.arrivalDue.get(kind);
    const isSpent = rate !== null && due !== undefined && world.startsLeft(kind) === 0;
    const gap = rate === null ? 0 : rate.per_ms / rate.limit;
    return [
      ...(isFull ? [50] : []),
      ...(isSpent ? [Math.max(due - ((rate?.burst ?? 1) - 1) * gap - world.now, 1)] : []),
    ];
  });
  return waits.length === 0 ? null : Math.min(...waits);
}
