/** Tells the worker's observer of the events that steps have recorded. */

import { recordingsOf } from "../../outbox/recordings.ts";
import type { Store } from "../../store/store.ts";
import type { StepRecord } from "../sql.ts";
import { sentEvents } from "./sql.ts";

/** After the rows are recorded. If the database cannot say which event it was, nobody is told. */
export async function tellSent(store: Store, records: readonly StepRecord[]): Promise<void> {
  const recordings = recordingsOf(store);
  if (!recordings.isHeard) return;
  const rows = records
    .filter(({ event }) => event !== undefined)
    .map(({ fence, no }) => ({ run: fence.id, no }));
  if (rows.length === 0) return;
  for (const sent of await sentEvents(store, rows).catch(() => [])) recordings.recorded(sent, null);
}
