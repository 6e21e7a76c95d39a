/** A task as its handler sees it, and the handlers that parts give to the kernel. */

import type { Logger } from "../base/log.ts";
import type { Transaction } from "../store/transaction.ts";
import type { Seal } from "./task-transaction/seal.ts";

/** A task's id: a bigint in the database, a string here. */
export type TaskId = string;

export interface ClaimedTask {
  readonly id: TaskId;
  readonly seq: string;
  /** The number of this attempt, from 1. */
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
  /** It had expired when it was claimed, and must not be started. */
  readonly isExpired: boolean;
  /** In a lane: when it ends, the next one becomes ready. */
  readonly isLaned: boolean;
}

export interface TaskContext {
  readonly taskId: TaskId;
  readonly kind: string;
  readonly queue: string;
  /** The number of this attempt, from 1. */
  readonly attempt: number;
  /** The same in every attempt of this task. Pass it to systems that must not do the work twice. */
  readonly idempotencyKey: string;
  readonly createdAt: Date;
  readonly meta: Record<string, unknown>;
  /** Returns the task's payload as stored, in JSON, with all digits of its numbers. Queries the database each time. */
  readonly payloadText: () => Promise<string>;
  readonly ref: string | null;
  /** Aborts at the deadline, when the task is cancelled, when the worker stops, and when the worker loses its lease. */
  readonly signal: AbortSignal;
  /**
   * The task's own transaction, begun by its first statement. Writes through it commit together with the task's outcome, and
   * roll back if the handler throws. READ COMMITTED. All statements must have ended when the handler ends.
   */
  readonly tx: Transaction;
  /**
   * Reports progress to operators: any JSON of at most 16 KiB, such as `{ done: 3, total: 10 }`. Only the latest value is
   * written, at most once per second; it is kept until the next attempt or the task's end.
   * @throws PawlError `payload_not_json`, `payload_too_large`
   */
  readonly progress: (value: unknown) => void;
  readonly log: Logger;
}

/** What proves that a task is still this worker's. */
export interface Fence {
  readonly worker: number;
  readonly id: TaskId;
  readonly seq: string;
  readonly claim: number;
}

/** What the kernel gives to handlers of parts, beside what the app's code gets of it. */
export interface HandlerContext extends TaskContext {
  /** False when this worker is stopping, or the task was turned off: what can be left for later is. Asked before each step. */
  readonly mayGoOn: () => boolean;
  /** For how long quiet hours hold a step that takes at most `takesMs`; 0: it may begin. */
  readonly quietMs: (takesMs: number) => number;
  /** For how long this worker goes on, as far as is known now; Infinity: it has no time limit. */
  readonly leftMs: () => number;
  readonly fence: Fence;
  /** A transaction whose last statement is what `seal` records. The task goes on after it. */
  inTransaction<T>(work: (tx: Transaction) => Promise<T>, seal: (made: T) => Seal): Promise<T>;
}

/** What a part registers: how to run matching tasks. The first that matches is chosen. */
export interface TaskHandler {
  /**
   * The only queue that it serves; may end in `*`. Default: any that no handler names, because a job may have been moved, or enqueued
   * elsewhere through SQL.
   */
  readonly queue?: string;
  /** A `*` at the end matches any text: `request:*`. */
  readonly kind: string;
  readonly version: number;
  /** Maximum time of one attempt. */
  readonly timeoutMs: number;
  /** How long an attempt may run before a breaker counts it as a failure, until it succeeds; default half of `timeoutMs`. */
  readonly slowMs?: number;
  /** How many tasks it likes to get at once; a claim may be that large. */
  readonly atOnce?: number;
  /** Its part has recorded how an attempt went: no middleware changes that afterwards. */
  readonly hasLastWord?: true;
  /** Throws `InvalidPayload` for a payload that it cannot decode; the task is then dead at once. */
  run(payload: unknown, context: HandlerContext): unknown;
}

/** A handler of the tasks of one queue and kind. */
export interface StreamHandler extends TaskHandler {
  readonly queue: string;
}

/** The payload does not fit the handler, so another attempt cannot help. */
export class InvalidPayload extends Error {
  override name = "InvalidPayload";
}
