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
import { recordingsOf } from "./recordings.ts";
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
  const written =
    tx === undefined
      ? await write(store, null)
      : await inForeignTransaction(tx, store.render, write);
  if (written === undefined)
    throw new PawlError("database_error", `record "${name}": the database returned no row`);
  const { id, xid } = written;
  const { aggregateType, aggregateId } = insert;
  recordingsOf(store).recorded(
    { eventId: id, eventName: name, aggregateType, aggregateId },
    tx === undefined ? null : xid,
  );
  return { id };
}
