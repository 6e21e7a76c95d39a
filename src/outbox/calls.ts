/** Calls of the client that write events, look at one, and replay. */

import { refuseOptions } from "../base/options.ts";
import { type Caller, callsOf } from "../operate/calls.ts";
import { readValue } from "../options/field.ts";
import { eventId, name } from "../options/kinds.ts";
import type { Store } from "../store/store.ts";
import type { InTransaction, Transaction } from "../store/transaction.ts";
import { type Replays, replayCalls } from "./operator/deliveries/replay-calls.ts";
import { deliveriesNoun } from "./operator/deliveries/verbs.ts";
import type { OutboxDesk } from "./operator/nouns.ts";
import type { RecordEvent, RecordOptions } from "./record.ts";
import { type EventRow, events } from "./sql.ts";
import { writeEvent } from "./write.ts";

export interface OutboxCalls extends Replays {
  /**
   * Records an event with one INSERT and returns its id, a UUIDv7. With `to`, it goes only to that destination, whatever the
   * routes say.
   */
  record(name: string, event: RecordEvent, options?: InTransaction): Promise<{ id: string }>;
  /**
   * Records an event for one destination only, whatever the routes say. It only writes to the outbox.
   * @throws PawlError as `record`, and `unknown_destination` if there is none of this type and name
   */
  sendTo(
    type: string,
    destination: string,
    name: string,
    event: RecordOptions,
    options?: InTransaction,
  ): Promise<{ id: string }>;
  event(id: string): Promise<EventRow | undefined>;
}

export const OUTBOX_PRODUCER_CALLS = ["record", "sendTo"] as const;

const NAME = name("of a destination, or its type");

export function outboxCalls(
  app: { maxPayloadBytes: number },
  caller: Caller<OutboxDesk>,
): OutboxCalls {
  const { store } = caller.base;
  return {
    ...replayCalls(callsOf(deliveriesNoun, caller)),
    record: (event, given, options = {}) => writeEvent(app, store, event, given, options),
    sendTo: async (type, destination, event, given, options = {}) =>
      writeEvent(app, store, event, given, options, {
        type: readValue("sendTo", "type", NAME, type),
        name: readValue("sendTo", "destination", NAME, destination),
      }),
    event: async (id, ...more: unknown[]) => {
      refuseOptions("event", more);
      const known = readValue("event", "id", eventId("the event"), id);
      return (await events(store, { id: known, limit: 1 }))[0];
    },
  };
}

export interface OutboxWrites {
  /** Like `pawl.record`, in this transaction. */
  readonly record: (name: string, event: RecordOptions) => Promise<{ id: string }>;
}

export function outboxWrites({
  app,
  store,
  where,
}: {
  app: { maxPayloadBytes: number };
  store: Store;
  where: string;
}): (tx: Transaction) => OutboxWrites {
  return (tx) => ({
    record: async (name, event, ...more: unknown[]) => {
      refuseOptions(`${where}: record`, more);
      return writeEvent(app, store, name, event, { tx });
    },
  });
}
