/** What a worker runs now. A task leaves its slot when its attempt has ended, or when it was aborted; never twice. */

import { PawlError } from "../base/errors.ts";
import type { Candidate } from "./candidates.ts";
import type { Outcome } from "./outcome.ts";
import { type Running, type RunOptions, runTask } from "./run.ts";
import type { TurnRow } from "./sql.ts";
import { Suspects } from "./suspects.ts";
import type { ClaimedTask, StreamHandler } from "./task.ts";

export type TaskRow = TurnRow & { shard_id: number };

/** True for a task, false for an outcome that was refused. */
export function isTask(row: TurnRow): row is TaskRow {
  return row.shard_id !== null;
}

export interface SlotsOptions extends Omit<RunOptions, "ended"> {
  /** By stream id. */
  handlers: ReadonlyMap<number, StreamHandler>;
  ended: (outcome: Outcome) => void;
  /** A task that was lost twice has run for long enough: the next such one may start. */
  suspectCleared: () => void;
}

export class Slots {
  readonly #handlers: SlotsOptions["handlers"];
  readonly #runOptions: RunOptions;
  readonly #running = new Map<string, Running>();
  readonly #suspects: Suspects;

  constructor(options: SlotsOptions) {
    const { log, resultBytesMax, transactions, progressed, observer } = options;
    const { mayGoOn, quietMs, leftMs } = options;
    this.#handlers = options.handlers;
    this.#suspects = new Suspects(options.suspectCleared);
    this.#runOptions = {
      log,
      resultBytesMax,
      transactions,
      progressed,
      observer,
      mayGoOn,
      quietMs,
      leftMs,
      ended: ({ task }, outcome) => {
        if (task.solo) this.#suspects.ended(task);
        if (this.#running.delete(task.seq)) options.ended(outcome);
      },
    };
  }

  get count(): number {
    return this.#running.size;
  }

  /** Something runs that was lost twice, and the next such task has to wait. */
  get isWatching(): boolean {
    return this.#suspects.isWatching;
  }

  run(row: TaskRow, claim: number, from: Candidate): ClaimedTask | undefined {
    const handler = this.#handlers.get(from.stream);
    if (handler === undefined) return undefined;
    const task = claimedTask(row, claim, from);
    if (task.solo) this.#suspects.started(task);
    this.#running.set(task.seq, runTask(task, handler, this.#runOptions));
    return task;
  }

  /** Tells running tasks that somebody cancelled them. */
  cancel(ids: readonly string[]): void {
    for (const running of this.#running.values()) {
      const { id } = running.task;
      if (ids.includes(id)) running.cancel(cancelled(id));
    }
  }

  /** Aborts what runs. How it ends no longer counts as an outcome. */
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
