/** Which answers to a claim are right. The kernel may choose only between a sweep's finds and what lies beyond the cursor. */

import assert from "node:assert/strict";
import { type Kind, LINES } from "./catalogue.ts";
import { areFirst, isBefore, type Rank } from "./rank.ts";
import type { Handle, Task, Worker, World } from "./world.ts";

/** A sweep of a shard is due at the latest after this time. */
const SWEEP_PAUSE_MS = 200;

export interface Asked {
  readonly worker: Worker;
  readonly claim: number;
  readonly limit: number;
  readonly solo: boolean;
  /** In the order in which they are to be tried. */
  readonly shards: readonly { readonly key: string; readonly kind: Kind; readonly solo: boolean }[];
}

interface ClaimedRow {
  readonly key: string;
  readonly row: Handle["row"];
}

/** @throws AssertionError when these rows are no right answer */
export function claim(world: World, asked: Asked, rows: readonly ClaimedRow[]): void {
  let left = rows;
  let isSoloAllowed = asked.solo;
  for (const shard of asked.shards) {
    const limit = limitOf(world, shard, asked.limit - (rows.length - left.length));
    if (limit <= 0 || (shard.solo && !isSoloAllowed)) continue;
    const offer = offerOf(world, shard.key);
    world.triedAt.set(shard.key, world.now);
    const taken = left.filter((row) => row.key === shard.key);
    left = left.filter((row) => row.key !== shard.key);
    if (taken.length > 0) {
      take(world, { asked, limit, offer, kind: shard.kind }, taken);
      isSoloAllowed &&= !shard.solo;
      continue;
    }
    const due = offer.isSweepDue ? [...offer.late, ...offer.fresh] : offer.fresh;
    assert(due.length === 0, `claimed ${shown(rows)}, but ${shard.key} offers ${idsOf(due)}`);
  }
  assert.equal(left.length, 0, `claimed ${shown(left)}, but nothing more may start`);
}

/** Shards with something to claim, as a look reports them. */
export function hasFresh(world: World, key: string): boolean {
  return offerOf(world, key).fresh.length > 0;
}

export function startsAllowed(world: World, kind: Kind): number {
  if (world.isOff(kind)) return 0;
  const { concurrency } = LINES[kind];
  const slots =
    concurrency === null ? Number.POSITIVE_INFINITY : concurrency - world.runningIn(kind);
  return Math.min(slots, world.startsLeft(kind) ?? Number.POSITIVE_INFINITY);
}

function limitOf(world: World, shard: Asked["shards"][number], wanted: number): number {
  const allowed = Math.min(wanted, startsAllowed(world, shard.kind));
  return shard.solo ? Math.min(allowed, 1) : allowed;
}

interface Offer {
  readonly fresh: readonly Task[];
  readonly late: readonly Task[];
  readonly isSweepDue: boolean;
}

function offerOf(world: World, key: string): Offer {
  const ready = world.live.filter(
    (task) => task.state === "ready" && task.running === null && world.shardOf(task) === key,
  );
  const late = ready.filter((task) => task.isLate);
  const triedAt = world.triedAt.get(key) ?? Number.NEGATIVE_INFINITY;
  const isSweepDue = late.length > 0 && world.now - triedAt > SWEEP_PAUSE_MS;
  return { fresh: ready.filter((task) => !task.isLate), late, isSweepDue };
}

function take(
  world: World,
  { asked, limit, offer, kind }: { asked: Asked; limit: number; offer: Offer; kind: Kind },
  rows: readonly ClaimedRow[],
): void {
  const tasks = rows.map(({ row }) => world.task(row.id));
  const isLate = tasks.some((task) => task.isLate);
  const offered = isLate ? offer.late : offer.fresh;
  assert(isLate || !offer.isSweepDue, `claimed ${shown(rows)} before ${idsOf(offer.late)}`);
  assert(
    tasks.every((task) => offered.includes(task)) && new Set(tasks).size === tasks.length,
    `claimed ${shown(rows)} where only ${idsOf(offered)} may be`,
  );
  assert.equal(tasks.length, Math.min(limit, offered.length), `claimed ${shown(rows)} of ${limit}`);
  const left = offered.filter((task) => !tasks.includes(task));
  assert(
    areFirst(ranksOf(tasks), ranksOf(left)),
    `claimed ${shown(rows)} out of order, left ${idsOf(left)}`,
  );
  for (const { row } of rows) start(world, asked, row);
  asked.worker.claims.add(asked.claim);
  const last = tasks.at(-1);
  if (last !== undefined && !isLate) world.cursors.set(world.shardOf(last), last.rank);
  countStarts(world, kind, tasks.length);
}

function start(world: World, { worker, claim }: Asked, row: Handle["row"]): void {
  const task = world.task(row.id);
  assert.equal(row.attempt, task.attempt, `attempts of task ${row.id} that ended`);
  const isExpired = task.expiresAt !== null && task.expiresAt <= world.now;
  assert.equal(row.is_expired === true, isExpired, `whether task ${row.id} has expired`);
  const handle: Handle = {
    worker: worker.id,
    claim,
    claimedAt: world.now,
    row,
    isExpired,
    fate: "open",
  };
  world.handles.push(handle);
  task.running = handle;
  task.isLate = false;
}

function countStarts(world: World, kind: Kind, starts: number): void {
  const { rate } = LINES[kind];
  if (rate === null) return;
  const due = Math.max(world.arrivalDue.get(kind) ?? Number.NEGATIVE_INFINITY, world.now);
  world.arrivalDue.set(kind, due + starts * (rate.per_ms / rate.limit));
}

/** A transaction that commits late: what lies behind the cursor is found by sweeps only. */
export function commitLate(world: World, task: Task): void {
  const cursor = world.cursors.get(world.shardOf(task));
  task.isLate = task.state === "ready" && cursor !== undefined && isBefore(task.rank, cursor);
}

const ranksOf = (tasks: readonly Task[]): Rank[] => tasks.map((task) => task.rank);
const idsOf = (tasks: readonly Task[]): string => `[${tasks.map((task) => task.id).join(" ")}]`;
const shown = (rows: readonly ClaimedRow[]): string =>
  rows.length === 0 ? "nothing" : rows.map(({ row, key }) => `${row.id} of ${key}`).join(", ");
