/** What a worker runs now. A task leaves its slot when its attempt has ended, or when it was aborted; never twice. */

import { PawlError } from "../base/errors.ts";
import type { Candidate } from "./candidates.ts";
import type { Outcome } from "./outcome.ts";
import { type Running, type RunOptions, runTask } from "./run.ts";
import type { TurnRow } from "./sql.ts";
import type { ClaimedTask, TaskHandler } from "./task.ts";

export type TaskRow = TurnRow & { shard_id: number };

export interface SlotsOptions extends Omit<RunOptions, "ended"> {
  /** By stream id. */
  handlers: ReadonlyMap<number, TaskHandler>;
  ended: (outcome: Outcome) => void;
}

export class Slots {
  readonly #handlers: SlotsOptions["handlers"];
  readonly #runOptions: RunOptions;
  readonly #running = new Map<string, Running>();
  #solo = 0;

  constructor(options: SlotsOptions) {
    const { log, resultBytesMax, transactions, progressed } = options;
    this.#handlers = options.handlers;
    this.#runOptions = {
      log,
      resultBytesMax,
      transactions,
      progressed,
      ended: ({ task }, outcome) => {
        if (task.solo) this.#solo -= 1;
        if (this.#running.delete(task.seq)) options.ended(outcome);
      },
    };
  }

  get count(): number {
    return this.#running.size;
  }

  /** Something runs that was lost with a worker before. */
  get hasSolo(): boolean {
    return this.#solo > 0;
  }

  run(row: TaskRow, claim: number, from: Candidate): void {
    const handler = this.#handlers.get(from.stream);
    if (handler === undefined) return;
    const task = claimedTask(row, claim, from);
    if (task.solo) this.#solo += 1;
    this.#running.set(task.seq, runTask(task, handler, this.#runOptions));
  }

  /** Tells running tasks that somebody cancelled them. */
  cancel(ids: readonly string[]): void {
    for (const running of this.#running.values()) {
      const { id } = running.task;
      if (ids.includes(id)) running.cancel(cancelled(id));
    }
  }

  /** Aborts what runs. How it ends is no outcome any more. */
  abort(reason: PawlError): void {
    for (const running of this.#running.values()) running.abort(reason);
    this.#running.clear();
  }
}

function claimedTask(row: TaskRow, claim: number, from: Candidate): ClaimedTask {
  return {
    id: row.id,
    seq: row.seq,
    attempt: row.attempt + 1,
    claim,
    streamId: from.stream,
    solo: from.solo,
    payload: row.payload,
    meta: row.meta,
    ref: row.ref,
    createdAt: row.created_at,
    shardId: row.shard_id,
    isExpired: row.is_expired,
    isLaned: row.is_laned,
  };
}

function cancelled(id: string): PawlError {
  return new PawlError("task_cancelled", `task ${id}: cancelled by a person`);
}
