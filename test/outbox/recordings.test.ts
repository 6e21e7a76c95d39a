import { expect, test } from "vitest";
import type { RecordedEvent } from "../../src/kernel/heard.ts";
import { recordingsOf } from "../../src/outbox/recordings.ts";
import { type EventInsert, insertEvent } from "../../src/outbox/sql.ts";
import { freshStore, isLockAwaited, openTransaction } from "../support/database.ts";
import { executorOn } from "../support/kernel.ts";
import { until } from "../support/until.ts";

const about = (name: string): EventInsert => ({
  name,
  aggregateType: "order",
  aggregateId: "7",
  payload: "{}",
  meta: "{}",
});

test("R119: an event that a call hands over late, while it is asked about others of its transaction, is told too", async () => {
  const store = await freshStore({ max: 2 });
  const recordings = recordingsOf(store);
  const told: string[] = [];
  const worker = recordings.of({ recorded: ({ eventName }) => void told.push(eventName) });
  worker.loop.start();
  const client = await openTransaction(store.url);
  const written = async (name: string): Promise<[RecordedEvent, string]> => {
    const [row] = await insertEvent(executorOn(client), about(name), null);
    if (row === undefined) throw new Error("no event");
    const { aggregateType, aggregateId } = about(name);
    return [{ eventId: row.id, eventName: name, aggregateType, aggregateId }, row.xid];
  };
  const first = await written("first");
  const late = await written("late");
  await client.query("commit");
  await client.query("begin");
  await client.query("lock table pawl.event");
  recordings.recorded(...first);
  await until("its question waits", () => isLockAwaited(client));
  recordings.recorded(...late);
  await client.query("commit");
  await worker.loop.stop();
  await worker.close();
  expect(told).toEqual(["first", "late"]);
});
