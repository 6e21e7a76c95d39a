/** What the tests do with each library, in the library's own words. */

import type { ForeignTransaction } from "pawl";

export interface Subject {
  /** As in Pawl's messages. */
  readonly library: string;
  /** Commits, or rolls back if `work` throws. */
  transaction(work: (tx: ForeignTransaction, own: Own) => Promise<void>): Promise<void>;
  /** What must be refused: it would commit each statement alone. */
  readonly roots: readonly unknown[];
  close(): Promise<void>;
}

/** What the app does itself in the same transaction. */
export interface Own {
  insert(n: number): Promise<unknown>;
  /** Sends a statement that fails. */
  fail(): Promise<unknown>;
  /** Releases the savepoint, or rolls back to it if `work` throws. */
  savepoint(work: (tx: ForeignTransaction) => Promise<void>): Promise<unknown>;
}

export const INSERT = "insert into invoice (n) values";
export const FAILS = "select 1 / 0";
