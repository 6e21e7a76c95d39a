/**
 * One try of one task now, due or not, in this process. It is a worker of its own with a lease, that claims this task
 * and no other; its outcome is settled by the same turn as everywhere.
 */

import { hostname } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { PawlError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { type Loop, loop } from "../../base/loop.ts";
import type { Store } from "../../store/store.ts";
import type { Outcome } from "../outcome.ts";
import { type Running, runTask } from "../run.ts";
import { endWorker, heartbeat, startWorker } from "../sql.ts";
import type { ClaimedTask, TaskHandler } from "../task.ts";
import { settleAndClaim } from "../turn.ts";
import { type ClaimOneRow, claimOne } from "./sql.ts";

const HEARTBEAT_MS = 3_000;
/** Others hold the limits for the length of a turn. */
const BUSY_MS = 20;
/** Until it has claimed it does not beat: less than its lease of 10 s. */
const BUSY_MS_MAX = 5_000;
/** Of this worker's claims: the one that it makes, and the settling. */
const CLAIM = 1;
const SETTLING = 2;

export interface RunOneOptions {
  store: Store;
  /** That the task lies in. */
  queue: string;
  handler: TaskHandler;
  application: string;
  revision: number;
  resultBytesMax: number;
  log: Logger;
  /** Gives the task back, uncounted. */
  stop: Promise<void>;
}

export type RunOne =
  | { did: "run"; outcome: Outcome }
  | { did: "stop" }
  /** It does not live, or something holds it. */
  | { did: "nothing"; why: ClaimOneRow | undefined };

/** @throws PawlError `lease_lost` when nobody knows any more what became of it */
export async function runOne(id: string, options: RunOneOptions): Promise<RunOne> {
  const { store, queue, application, revision } = options;
  const worker = await startWorker(store, {
    host: hostname(),
    pid: process.pid,
    application,
    revision,
    queues: [queue],
    concurrency: 1,
    refused: 0,
    streams: [],
    off_here: [],
  });
  try {
    const row = await claimWhenFree(worker, id, options);
    if (row === "stopped") return { did: "stop" };
    if (row?.outcome !== "claimed") return { did: "nothing", why: row };
    return await tryClaimed(worker, row, options);
  } finally {
    await endWorker(store, worker); // what was not settled goes back
  }
}

async function claimWhenFree(
  worker: number,
  id: string,
  { store, stop }: RunOneOptions,
): Promise<ClaimOneRow | "stopped" | undefined> {
  const end = performance.now() + BUSY_MS_MAX;
  let isStopped = false;
  void stop.then(() => {
    isStopped = true;
  });
  for (;;) {
    const row = await claimOne(store, { worker, claim: CLAIM, id });
    if (row?.outcome !== "busy" || performance.now() >= end) return row;
    await wait(BUSY_MS);
    if (isStopped) return "stopped";
  }
}

async function tryClaimed(
  worker: number,
  row: ClaimOneRow,
  options: RunOneOptions,
): Promise<RunOne> {
  const { store, stop } = options;
  let beats: Loop | undefined;
  try {
    // no breaker is told: what a person tries by hand says little about how the receiver fares
    const outcome = await new Promise<Outcome | undefined>((resolve, reject) => {
      const running = start(row, options, resolve);
      beats = heartbeats(worker, running, options, reject);
      beats.start();
      void stop.then(() => {
        running.abort(stopped(row.id));
        resolve(undefined);
      });
    });
    if (outcome === undefined) return { did: "stop" };
    const request = { worker, claim: SETTLING, limit: 0, shards: [], solo: false };
    const refused = await settleAndClaim(store, { ...request, outcomes: [outcome], gone: [CLAIM] });
    if (refused.length > 0) throw lost(row.id);
    return { did: "run", outcome };
  } finally {
    await beats?.stop();
  }
}

function start(
  row: ClaimOneRow,
  { store, handler, resultBytesMax, log }: RunOneOptions,
  ended: (outcome: Outcome) => void,
): Running {
  return runTask(claimedTask(row), handler, {
    log,
    resultBytesMax,
    transactions: { store, pool: store, workerId: 0 }, // the handler writes nothing
    progressed: () => undefined,
    ended: (_, outcome) => ended(outcome),
  });
}

function heartbeats(
  worker: number,
  running: Running,
  { store, log }: RunOneOptions,
  ended: (error: unknown) => void,
): Loop {
  return loop({
    runOnce: async () => {
      const beat = { worker, known: [CLAIM], next: SETTLING, running: 1, refused: 0, tally: [] };
      const { cancelled } = await heartbeat(store, { ...beat, streams: null, offHere: null });
      if (cancelled !== null) running.cancel(cancelledByPerson(running.task.id));
      return HEARTBEAT_MS;
    },
    failed: (error) => {
      if (error instanceof PawlError && error.code === "lease_lost") {
        running.abort(error);
        ended(error);
      } else log.warn({ err: (error as Error).message }, "a heartbeat failed, it is tried again");
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

function cancelledByPerson(id: string): PawlError {
  return new PawlError("task_cancelled", `task ${id}: cancelled by a person`);
}

function lost(id: string): PawlError {
  return new PawlError(
    "lease_lost",
    `task ${id}: it was run, but its outcome came too late to be recorded; see \`pawl tasks show ${id}\``,
  );
}
