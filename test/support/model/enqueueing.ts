/** Enqueueing, and what any worker does for the fleet: sorting lanes, promoting what is due, expiring. */

import assert from "node:assert/strict";
import { type Kind, LINES } from "./catalogue.ts";
import type { Task, World } from "./world.ts";

/** How many of a lane's arrivals a pass sorts; few, where the lane is empty. */
const LANE_AT_ONCE = 50;
const EMPTY_LANE_AT_ONCE = 4;

export interface Spec {
  readonly kind: Kind;
  readonly priority: number;
  readonly lane?: string | undefined;
  readonly key?: string | undefined;
  readonly delayMs?: number | undefined;
  readonly ttlMs?: number | undefined;
  readonly maxAttempts?: number | undefined;
}

interface Enqueued {
  readonly id: string;
  readonly outcome: string;
}

/** `isOpen`: in a transaction that has not ended. */
export function enqueue(
  world: World,
  specs: readonly Spec[],
  answer: readonly Enqueued[],
  isOpen: boolean,
): void {
  assert.equal(answer.length, specs.length, "one answer a task");
  const major = world.act();
  for (const [minor, spec] of specs.entries()) {
    const { id = "", outcome } = answer[minor] ?? {};
    const holder = world.keyHolder(spec.kind, spec.key ?? null);
    if (holder !== undefined) {
      assert.deepEqual({ id, outcome }, { id: holder.id, outcome: "duplicate" });
      continue;
    }
    assert.equal(outcome, "created", `key ${spec.key} of ${spec.kind} is free`);
    assert(isNewest(world, id), `task ${id} is not younger than all others`);
    const task = newTask(world, id, spec, { major, minor });
    if (isOpen) world.pending.push(task);
    else world.tasks.set(id, task);
  }
}

function isNewest(world: World, id: string): boolean {
  return [...world.all, ...world.pending].every((task) => Number(task.id) < Number(id));
}

function newTask(world: World, id: string, spec: Spec, rank: Task["rank"]): Task {
  const { kind, priority, lane = null, key = null, delayMs = 0, ttlMs, maxAttempts = null } = spec;
  const runAt = world.now + delayMs;
  const state = lane !== null ? "arrived" : delayMs > 0 ? "scheduled" : "ready";
  const place = LINES[kind].shards === 1 ? 1 : null;
  return {
    id,
    kind,
    lane,
    key,
    priority,
    maxAttempts,
    state,
    runAt,
    rank,
    place,
    createdAt: world.now,
    expiresAt: ttlMs === undefined ? null : world.now + ttlMs,
    solo: false,
    isLate: false,
    attempt: 0,
    crashes: 0,
    losses: 0,
    history: [],
    isCancelRequested: false,
    running: null,
    worker: null,
    reason: null,
    isBlocking: false,
  };
}

/** One pass, lane by lane, goes on after the lane where the last one ended; answers how many got their place. */
export function sort(world: World, limit: number): number {
  const seen = arrivalsByLane(world)
    .flatMap((lane) => lane.slice(0, hasHead(world, lane) ? LANE_AT_ONCE : EMPTY_LANE_AT_ONCE))
    .slice(0, limit);
  const major = world.act();
  for (const task of seen) {
    if (hasHead(world, [task])) task.state = "waiting";
    else world.makeReady(task, { major, minor: null });
  }
  const last = seen[limit - 1];
  world.sortedTo = last === undefined ? null : laneOf(last);
  return seen.length;
}

function arrivalsByLane(world: World): Task[][] {
  const arrivals = world.live.filter((task) => task.state === "arrived");
  const lanes = [...new Set(arrivals.map(laneOf))].toSorted();
  return lanes
    .filter((lane) => world.sortedTo === null || lane > world.sortedTo)
    .map((lane) => arrivals.filter((task) => laneOf(task) === lane));
}

function hasHead(world: World, [task]: readonly Task[]): boolean {
  const lane = task?.lane ?? null;
  return task !== undefined && lane !== null && world.headOf(task.kind, lane) !== undefined;
}

/** In the order of queues and lanes; queues are numbered in the order of their names. */
export function laneOf({ kind, lane }: Pick<Task, "kind" | "lane">): string {
  return `${kind} ${lane}`;
}

export function promote(world: World, limit: number): { promoted: number; next_ms: number | null } {
  const scheduled = () => world.live.filter((task) => task.state === "scheduled");
  const due = scheduled()
    .filter((task) => task.runAt <= world.now)
    .toSorted((a, b) => a.runAt - b.runAt)
    .slice(0, limit);
  const major = world.act();
  for (const [minor, task] of due.entries()) world.makeReady(task, { major, minor });
  const times = scheduled().map((task) => Math.max(task.runAt - world.now, 0));
  return { promoted: due.length, next_ms: times.length === 0 ? null : Math.min(...times) };
}

/** What may expire now. */
export function expirable(world: World): Task[] {
  return world.live.filter(
    (task) => task.running === null && task.expiresAt !== null && task.expiresAt <= world.now,
  );
}

/** These were found to have expired. */
export function expire(world: World, gone: readonly Task[]): void {
  for (const task of gone) world.end(task, "expired", {});
  world.promoteLanes(gone);
}
