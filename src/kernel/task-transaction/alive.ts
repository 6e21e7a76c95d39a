/**
 * Keeps a transaction of an app's code alive. A frozen process must not hold its locks for ever; a slow one may. So the server
 * ends the transaction when its client is silent for the length of a lease, and a live client sends something.
 */

import { executorIn, type Transaction } from "../../store/transaction.ts";
import { signOfLife } from "./sql.ts";

/** A handler that waits for something else must not look frozen. */
const SIGN_OF_LIFE_MS = 3_000;

/** For a transaction that was begun with LIMIT_SILENCE. Returns how to stop. `isBusy`: a statement is running, which is a sign of life. */
export function keepAlive(tx: Transaction, isBusy: () => boolean = () => false): () => void {
  const executor = executorIn(tx);
  const alive = setInterval(() => {
    if (!isBusy()) signOfLife(executor).catch(() => undefined);
  }, SIGN_OF_LIFE_MS);
  alive.unref();
  return () => clearInterval(alive);
}
