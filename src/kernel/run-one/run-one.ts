/**
 * One try of one task now, due or not, in this process. It is a worker of its own with a lease, that claims this task
 * and no other; its outcome is settled by the same turn as everywhere.
 */

import { hostname } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { PawlError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { type Loop, loop } from "../../base/loop.ts";
import { isA, messageOf } from "../../base/thrown.ts";
import type { Store } from "../../store/store.ts";
import { around, type Middleware } from "../middleware.ts";
import type { Outcome } from "../outcome.ts";
import { type Running, runTask } from "../run.ts";
import { endWorker, heartbeat, offStreams, seeOff, startWorker } from "../sql.ts";
import type { ClaimedTask, StreamHandler } from "../task.ts";
import { type Dropped, settleAndClaim } from "../turn.ts";
import { type ClaimOneRow, claimOne } from "./sql.ts";

const HEARTBEAT_MS = 3_000;
/** Others hold the limits for the length of a turn. */
const BUSY_MS = 20;
/** It sends no heartbeat until it has claimed, so this is less than its lease of 10 s. */
const BUSY_MS_MAX = 5_000;
/** The length of the lease. After it, another worker may have the task, and `off` no longer waits for this one. */
const START_WITHIN_MS = 10_000;
/** Numbers of this worker's claims: the one that it makes, and that of the settling. */
const CLAIM = 1;
const SETTLING = 2;

export interface RunOneOptions {
  store: Store;
  handler: StreamHandler;
  application: string;
  revision: number;
  resultBytesMax: number;
  /** Around its attempt. */
  use?: readonly Middleware[];
  log: Logger;
  /** Gives the task back, uncounted. */
  stop: Promise<void>;
  /** Whether something on this host holds it now: it starts no further step. */
  isOffHere?: () => Promise<boolean>;
}

/** What decides whether a task of many steps starts another one. */
interface Going {
  readonly worker: number;
  /** When its lease was granted last, by this process's steady clock. */
  grantedAt: number;
  isOff: boolean;
}

export type RunOne =
  | { did: "run"; outcome: Outcome }
  | { did: "stop" }
  /** The task is not live, or something holds it. */
  | { did: "nothing"; why: ClaimOneRow | undefined };

/** @throws PawlError `lease_lost` when nobody knows any more what became of it */
export async function runOne(id: string, options: RunOneOptions): Promise<RunOne> {
  const { store, handler, application, revision } = options;
  const askedAt = performance.now();
  const worker = await startWorker(store, {
    host: hostname(),
    pid: process.pid,
    application,
    revision,
    queues: [handler.queue],
    concurrency: 1,
    refused: 0,
    streams: [],
    off_here: [],
  });
  try {
    const row = await claimWhenFree(worker, id, options);
    if (row === "stopped") return { did: "stop" };
    if (row?.outcome !== "claimed") return { did: "nothing", why: row };
    if (performance.now() - askedAt > START_WITHIN_MS) throw late(id);
    return await tryClaimed({ worker, grantedAt: askedAt, isOff: false }, row, options);
  } finally {
    await endWorker(store, worker); // what was not settled goes back
  }
}

/** A rejected `stop` means: now. */
function whenOver(stop: Promise<void>, act: () => void): void {
  stop.then(act, act).catch(() => undefined);
}

async function claimWhenFree(
  worker: number,
  id: string,
  { store, stop }: RunOneOptions,
): Promise<ClaimOneRow | "stopped" | undefined> {
  const end = performance.now() + BUSY_MS_MAX;
  let isStopped = false;
  whenOver(stop, () => {
    isStopped = true;
  });
  for (;;) {
    const row = await claimOne(store, { worker, claim: CLAIM, id });
    if (row?.outcome !== "busy" || performance.now() >= end) return row;
    await wait(BUSY_MS);
    if (isStopped) return "stopped";
  }
}

async function tryClaimed(going: Going, row: ClaimOneRow, options: RunOneOptions): Promise<RunOne> {
  const { store, stop } = options;
  const { worker } = going;
  let beats: Loop | undefined;
  try {
    // not reported to a breaker: one try by hand says little about the receiver
    const outcome = await new Promise<Outcome | undefined>((resolve, reject) => {
      const running = start(row, going, options, resolve);
      beats = heartbeats(going, running, options, reject);
      beats.start();
      whenOver(stop, () => {
        running.abort(stopped(row.id));
        resolve(undefined);
      });
    });
    if (outcome === undefined) return { did: "stop" };
    const dropped: Dropped = new Map();
    const request = { worker, claim: SETTLING, limit: 0, shards: [], solo: false, dropped };
    const refused = await settleAndClaim(store, { ...request, outcomes: [outcome], gone: [CLAIM] });
    for (const error of dropped.values()) throw error;
    if (refused.length > 0) throw lost(row.id);
    return { did: "run", outcome };
  } finally {
    await beats?.stop();
  }
}

function start(
  row: ClaimOneRow,
  going: Going,
  { store, handler, resultBytesMax, use = [], log }: RunOneOptions,
  ended: (outcome: Outcome) => void,
): Running {
  return runTask(claimedTask(row), around(handler, use), {
    log,
    resultBytesMax,
    transactions: { store, pool: store, workerId: going.worker },
    progressed: () => undefined,
    mayGoOn: () => !going.isOff && performance.now() - going.grantedAt < START_WITHIN_MS,
    quietMs: () => 0, // asked at the claim; after that the operator decides
    leftMs: () => Number.POSITIVE_INFINITY,
    ended: (_, outcome) => ended(outcome),
  });
}

function heartbeats(
  going: Going,
  running: Running,
  { store, log, isOffHere }: RunOneOptions,
  ended: (error: unknown) => void,
): Loop {
  const { worker } = going;
  let seen = "0";
  return loop({
    runOnce: async () => {
      const askedAt = performance.now();
      const beat = { worker, known: [CLAIM], next: SETTLING, running: 1, refused: 0, tally: [] };
      const { cancelled, off_epoch } = await heartbeat(store, {
        ...beat,
        streams: null,
        offHere: null,
      });
      going.grantedAt = askedAt;
      if (off_epoch !== seen) {
        const off = await offStreams(store, [running.task.streamId]);
        going.isOff ||= off.length > 0;
        await seeOff(store, worker, off_epoch); // what it claimed has started, and starts no further step
      }
      seen = off_epoch;
      going.isOff ||= (await isOffHere?.()) ?? false;
      if (cancelled !== null) running.cancel(cancelledByPerson(running.task.id));
      return HEARTBEAT_MS;
    },
    failed: (error) => {
      if (isA(error, PawlError) && error.code === "lease_lost") {
        running.abort(error);
        ended(error);
      } else log.warn({ err: messageOf(error) }, "a heartbeat failed, it is tried again");
    },
  });
}

function claimedTask(row: ClaimOneRow): ClaimedTask {
  return {
    id: row.id,
    seq: row.seq,
    attempt: row.attempt + 1,
    claim: CLAIM,
    streamId: row.stream_id,
    solo: true,
    payload: row.payload,
    meta: row.meta,
    ref: row.ref,
    createdAt: row.created_at,
    shardId: row.shard_id ?? 0,
    isExpired: row.is_expired,
    isLaned: row.is_laned,
  };
}

function stopped(id: string): PawlError {
  return new PawlError("worker_stopping", `task ${id}: this process stops, it is given back`);
}

function late(id: string): PawlError {
  return new PawlError(
    "lease_lost",
    `task ${id}: its claim came too late and was not started; it is given back, try again`,
  );
}

function cancelledByPerson(id: string): PawlError {
  return new PawlError("task_cancelled", `task ${id}: cancelled by a person`);
}

function lost(id: string): PawlError {
  return new PawlError(
    "lease_lost",
    `task ${id}: it was run, but its outcome came too late to be recorded; see \`pawl tasks show ${id}\``,
  );
}
