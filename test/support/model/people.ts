/** What people do: cancel, move, retry and remove dead letters, throw switches. Answers are as the SQL functions give them. */

import type { Task, World } from "./world.ts";

export interface Answer {
  readonly id: string;
  readonly outcome: string;
}

export function cancel(world: World, ids: readonly string[]): Answer[] {
  const live = liveOf(world, ids);
  const running = live.filter((task) => task.running !== null);
  const waiting = live.filter((task) => task.running === null);
  for (const task of running) task.isCancelRequested = true;
  for (const task of waiting) world.end(task, "cancelled", {});
  world.promoteLanes(waiting);
  return [...answers(waiting, "cancelled"), ...answers(running, "requested")];
}

export interface Move {
  readonly runAt: number | null;
  readonly priority: number | null;
}

export function change(world: World, ids: readonly string[], { runAt, priority }: Move): Answer[] {
  const live = liveOf(world, ids);
  const running = live.filter((task) => task.running !== null);
  const waiting = live.filter((task) => task.running === null);
  const major = world.act();
  for (const task of waiting) {
    task.runAt = runAt ?? task.runAt;
    if (priority !== null && priority !== task.priority) {
      task.priority = priority;
      task.place = 1;
    }
    task.isLate = false;
    if (task.state === "ready" || task.state === "scheduled") {
      world.makeReady(task, { major, minor: null });
    }
  }
  return [...answers(waiting, "changed"), ...answers(running, "running")];
}

export function retryDead(world: World, ids: readonly string[]): Answer[] {
  return deadOf(world, ids).map((task) => {
    if (world.keyHolder(task.kind, task.key) !== undefined) {
      return { id: task.id, outcome: "duplicate" };
    }
    task.history.push(`${task.attempt} dead`);
    const isHead = task.lane === null || task.isBlocking;
    const isOver = task.expiresAt !== null && task.expiresAt <= world.now;
    Object.assign(task, {
      attempt: 0,
      crashes: 0,
      losses: task.reason === "crashed" ? 1 : 0,
      runAt: world.now,
      isBlocking: false,
      worker: null,
      solo: task.reason === "crashed",
      place: 1,
      reason: null,
      expiresAt: isOver ? null : task.expiresAt,
      state: isHead ? "ready" : "arrived",
      rank: { major: world.act(), minor: 0 },
    });
    return { id: task.id, outcome: "retried" };
  });
}

export function removeDead(world: World, ids: readonly string[]): Answer[] {
  const dead = deadOf(world, ids);
  for (const task of dead) world.end(task, "removed", { isBlocking: false, reason: null });
  world.promoteLanes(dead);
  return answers(dead, "removed");
}

export function off(world: World, scope: string, until: number | null): void {
  world.switches.set(scope, until);
}

/** Whether it was off. */
export function on(world: World, scope: string): boolean {
  const until = world.switches.get(scope);
  world.switches.delete(scope);
  return until !== undefined && (until === null || until > world.now);
}

const liveOf = (world: World, ids: readonly string[]): Task[] =>
  world.live.filter((task) => ids.includes(task.id));

const deadOf = (world: World, ids: readonly string[]): Task[] =>
  world.all.filter((task) => task.state === "dead" && ids.includes(task.id));

const answers = (tasks: readonly Task[], outcome: string): Answer[] =>
  tasks.map(({ id }) => ({ id, outcome }));
