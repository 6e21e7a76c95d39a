/** A task as its handler sees it, and the handlers that parts give to the kernel. */

import type { Logger } from "../base/log.ts";
import type { Transaction } from "../store/transaction.ts";

/** Ids are bigint in the database: strings here, numbers only to people. */
export type TaskId = string;

export interface ClaimedTask {
  readonly id: TaskId;
  readonly seq: string;
  /** 1-based; this attempt. */
  readonly attempt: number;
  readonly claim: number;
  readonly streamId: number;
  readonly solo: boolean;
  readonly payload: unknown;
  readonly meta: Record<string, unknown> | null;
  readonly ref: string | null;
  /** As PostgreSQL writes it. */
  readonly createdAt: string;
  readonly shardId: number;
  /** Its time was over when it was claimed: it is not to be started. */
  readonly isExpired: boolean;
  /** In a lane: when it ends, the next one becomes ready. */
  readonly isLaned: boolean;
}

export interface TaskContext {
  readonly taskId: TaskId;
  readonly kind: string;
  readonly queue: string;
  /** 1-based. */
  readonly attempt: number;
  /** The same on every try of this task: give it to whatever must not do the work twice. */
  readonly idempotencyKey: string;
  readonly createdAt: Date;
  readonly meta: Record<string, unknown>;
  readonly ref: string | null;
  /** Aborts at the deadline, when the task is cancelled, when the worker stops, and when its lease is lost. */
  readonly signal: AbortSignal;
  /**
   * The task's own transaction, begun by its first statement: what is written through it commits together with the
   * task's outcome, and rolls back if the handler throws. READ COMMITTED. No statement may run when the handler ends.
   */
  readonly tx: Transaction;
  /**
   * Says how far the work is, for people: any JSON of at most 16 KiB, such as `{ done: 3, total: 10 }`. Written at most
   * once a second, the last one; kept until the next attempt or the task's end.
   * @throws PawlError `payload_not_json`, `payload_too_large`
   */
  readonly progress: (value: unknown) => void;
  readonly log: Logger;
}

/** What a part registers: how to run the tasks of one stream. */
export interface TaskHandler {
  readonly queue: string;
  readonly kind: string;
  readonly version: number;
  /** Also runs what waits in other queues under its kind: the job was moved, or enqueued elsewhere through SQL. */
  readonly inAnyQueue?: boolean;
  /** Of its queue it runs every kind that begins with `kind`. */
  readonly isPrefix?: true;
  /** Longest run of one attempt. */
  readonly timeoutMs: number;
  /** Throws an `InvalidPayload` for what it cannot decode: such a task is dead at once. */
  run(payload: unknown, context: TaskContext): unknown;
}

/** The payload does not fit the handler: trying again cannot help. */
export class InvalidPayload extends Error {
  override name = "InvalidPayload";
}
