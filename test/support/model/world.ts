/**
 * The model: tasks, lanes, leases and the gate as plain data, with the few rules that everything else is made of.
 * Times are milliseconds since the stopped clock's start. Nothing here knows the database.
 */

import assert from "node:assert/strict";
import type { TurnRow } from "../../../src/kernel/sql.ts";
import { type Kind, LINES, shardKey } from "./catalogue.ts";
import type { Rank } from "./rank.ts";

export const LEASE_MS = 10_000;

export type LiveState = "scheduled" | "ready" | "arrived" | "waiting";
export type EndState = "done" | "cancelled" | "expired" | "removed";

export interface Task {
  readonly id: string;
  readonly kind: Kind;
  readonly lane: string | null;
  readonly key: string | null;
  readonly createdAt: number;
  readonly maxAttempts: number | null;
  state: LiveState | EndState | "dead";
  priority: number;
  solo: boolean;
  /** Which of its shards; null until it was seen. */
  place: number | null;
  rank: Rank;
  /** Committed behind the cursor: only a sweep finds it. */
  isLate: boolean;
  /** Attempts that ended. */
  attempt: number;
  crashes: number;
  /** With its worker, in a row. */
  losses: number;
  /** The attempts that were not the last one, as `number outcome`. */
  readonly history: string[];
  runAt: number;
  expiresAt: number | null;
  isCancelRequested: boolean;
  running: Handle | null;
  /** Who ended it. */
  worker: number | null;
  reason: string | null;
  /** A dead letter that holds its lane. */
  isBlocking: boolean;
}

/** What a worker holds of a task that it claimed. It is good as long as the task runs under it. */
export interface Handle {
  readonly worker: number;
  readonly claim: number;
  readonly claimedAt: number;
  readonly row: TurnRow;
  readonly isExpired: boolean;
  fate: "open" | "recorded" | "taken";
}

export interface Worker {
  readonly id: number;
  leaseUntil: number;
  hasEnded: boolean;
  nextClaim: number;
  /** Claims that are still there. */
  readonly claims: Set<number>;
}

export class World {
  now = 0;
  readonly tasks = new Map<string, Task>();
  /** Enqueued by a transaction that is still open. */
  readonly pending: Task[] = [];
  readonly workers = new Map<number, Worker>();
  readonly slots: (Worker | undefined)[] = [undefined, undefined, undefined];
  readonly handles: Handle[] = [];
  readonly switches = new Map<string, number | null>();
  readonly cursors = new Map<string, Rank>();
  /** When a turn last tried a shard. */
  readonly triedAt = new Map<string, number>();
  /** The rate's theoretical arrival time, a queue. */
  readonly arrivalDue = new Map<Kind, number>();
  /** Where the last pass of the sorter ended; null: at the end. */
  sortedTo: string | null = null;
  /** Shards that a look shows, beside those that it always does. */
  readonly used = new Set<string>();
  readonly log: string[] = [];
  lastAct = 0;

  act(): number {
    this.lastAct += 1;
    return this.lastAct;
  }

  /** Oldest first. */
  get all(): Task[] {
    return [...this.tasks.values()].toSorted((a, b) => Number(a.id) - Number(b.id));
  }

  get live(): Task[] {
    return this.all.filter(isLive);
  }

  task(id: string): Task {
    const task = this.tasks.get(id);
    assert(task !== undefined, `task ${id} is not known`);
    return task;
  }

  taskOf(handle: Handle): Task {
    return this.task(handle.row.id);
  }

  openHandles(worker: number): Handle[] {
    return this.handles.filter((handle) => handle.worker === worker && handle.fate === "open");
  }

  hasLease(id: number): boolean {
    const worker = this.workers.get(id);
    return worker !== undefined && !worker.hasEnded && worker.leaseUntil > this.now;
  }

  keyHolder(kind: Kind, key: string | null): Task | undefined {
    if (key === null) return undefined;
    return this.live.find((task) => task.kind === kind && task.key === key);
  }

  headOf(kind: Kind, lane: string): Task | undefined {
    return this.all.find(
      (task) => task.kind === kind && task.lane === lane && (task.isBlocking || isActive(task)),
    );
  }

  shardOf(task: Task): string {
    const { kind, priority, solo, place } = task;
    assert(place !== null, `the shard of task ${task.id} was never seen`);
    return shardKey({ kind, priority, solo, place });
  }

  isUsed({ key, priority, solo }: { key: string; priority: number; solo: boolean }): boolean {
    return solo || priority === 1 || this.used.has(key);
  }

  isOff(kind: Kind): boolean {
    return ["all", `queue:${kind}`].some((scope) => {
      const until = this.switches.get(scope);
      return until !== undefined && (until === null || until > this.now);
    });
  }

  runningIn(kind: Kind): number {
    return this.live.filter((task) => task.kind === kind && task.running !== null).length;
  }

  /** GCRA; null: no rate. */
  startsLeft(kind: Kind): number | null {
    const { rate } = LINES[kind];
    if (rate === null) return null;
    const gap = rate.per_ms / rate.limit;
    const due = Math.max(this.arrivalDue.get(kind) ?? Number.NEGATIVE_INFINITY, this.now);
    return Math.max(Math.floor((this.now + rate.burst * gap - due) / gap), 0);
  }

  /** The task leaves the live: to history, or to the dead letters. Its lane is not looked at. */
  end(task: Task, state: EndState | "dead", how: Partial<Task>): void {
    Object.assign(task, { ...how, state, running: null, isLate: false, isCancelRequested: false });
  }

  makeReady(task: Task, rank: Rank): void {
    Object.assign(task, { state: task.runAt > this.now ? "scheduled" : "ready", rank });
  }

  /** Lanes whose head has gone: the oldest that waits becomes the head. */
  promoteLanes(gone: readonly Task[], major = this.act()): void {
    for (const { kind, lane } of gone) {
      if (lane === null || this.headOf(kind, lane) !== undefined) continue;
      const next = this.live.find(
        (task) => task.kind === kind && task.lane === lane && task.state === "waiting",
      );
      if (next !== undefined) this.makeReady(next, { major, minor: null });
    }
  }
}

export function isLive(task: Task): boolean {
  return ["scheduled", "ready", "arrived", "waiting"].includes(task.state);
}

/** Holds its lane, if it has one. */
export function isActive(task: Task): boolean {
  return task.state === "ready" || task.state === "scheduled";
}
