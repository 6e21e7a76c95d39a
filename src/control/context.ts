/** What the function of a command gets. */

import type { Logger } from "../base/log.ts";
import type { Writes } from "../process/writes.ts";
import type { Transaction } from "../store/transaction.ts";

/** What a command can write in its transaction beside its own SQL. */
export interface CommandWrites extends Writes {}

export interface CommandContext<Param = unknown> {
  /** As it stands in `params`; undefined for a command without them. */
  readonly param: Param;
  /**
   * Aborts when the command's `timeout` is over, when the process is asked to stop, when the lock is lost, and when an operator has released it.
   * The function should then end. The lock is kept until it has.
   */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /**
   * Says how far it is, for operators: a line of text, or a fraction from 0 to 1. The latest of each is written, at most once a second.
   * @throws PawlError `invalid_option`
   */
  readonly progress: (value: string | number) => void;
  /** Rises with each run of this command and parameter: what a system outside has seen with a higher one is not to be overwritten. */
  readonly epoch: string;
  /**
   * Runs `work` in a transaction that commits only if the lock is still held: what it writes through `tx`, and what it enqueues, records
   * and starts, counts or is rolled back together. READ COMMITTED.
   * @throws PawlError `named_lease_lost`
   */
  readonly transaction: <T>(
    work: (tx: Transaction, writes: CommandWrites) => Promise<T>,
  ) => Promise<T>;
}
