/** Writes of an app's client: an event, alone or in the caller's transaction. Everything is checked first. */

import { PawlError, shown } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import {
  chosenTransaction,
  type InTransaction,
  inForeignTransaction,
} from "../store/transaction.ts";
import { eventInsert, type RecordEvent } from "./record.ts";
import { insertEvent } from "./sql.ts";

export async function writeEvent(
  app: { maxPayloadBytes: number },
  store: Store,
  name: string,
  given: RecordEvent,
  options: InTransaction,
  target?: { type: string; name: string },
): Promise<{ id: string }> {
  const call = target === undefined ? "record" : "sendTo";
  refuseUnknownOptions(`${call} ${shown(name)}`, options, ["tx"]);
  const tx = chosenTransaction(options);
  const insert = {
    ...eventInsert(call, name, given, app.maxPayloadBytes),
    ...(target !== undefined && { target }),
  };
  const write = async (executor: Executor, xid: string | null) =>
    (await insertEvent(executor, insert, xid))[0];
  if (tx !== undefined) return inForeignTransaction(tx, store.render, write);
  const written = await write(store, null);
  if (written === undefined)
    throw new PawlError("database_error", `record "${name}": the database returned no row`);
  return written;
}
