/** A change that no database function records itself: the change and its row in the audit are in one transaction. */

import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import { inForeignTransaction, type Transaction } from "../store/transaction.ts";
import { type AuditEntry, recordAct } from "./sql.ts";

export interface Change<T> {
  result: T;
  /** Left out if nothing was changed. */
  entry?: AuditEntry;
}

/** Commits both, or neither. */
export async function recorded<T>(
  store: Store,
  change: (executor: Executor, tx: Transaction) => Promise<Change<T>>,
): Promise<T> {
  const { result } = await store.ownTransaction((tx) =>
    inForeignTransaction(tx, store.render, async (executor) => {
      const done = await change(executor, tx);
      if (done.entry !== undefined) await recordAct(executor, done.entry);
      return done;
    }),
  );
  return result;
}
