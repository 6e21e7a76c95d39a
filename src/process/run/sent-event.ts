/** Tells the worker's observer of the events that steps have recorded. */

import { recordingsOf } from "../../outbox/recordings.ts";
import type { Store } from "../../store/store.ts";
import type { StepRecord } from "../sql.ts";
import { sentEvent } from "./sql.ts";

/** After the rows are recorded. If the database cannot say which event it was, nobody is told. */
export async function tellSent(store: Store, records: readonly StepRecord[]): Promise<void> {
  const recordings = recordingsOf(store);
  if (!recordings.isHeard) return;
  for (const { event, fence, no } of records) {
    if (event === undefined) continue;
    const sent = await sentEvent(store, { run: fence.id, no }).catch(() => undefined);
    if (sent !== undefined) recordings.recorded(sent, null);
  }
}
