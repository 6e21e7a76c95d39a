/** Retention of events: batch after batch, in the order in which they were recorded. */

import type { Executor } from "../store/executor.ts";
import { pruneEvents } from "./replay/sql.ts";

const BATCH = 2_000;

export interface PruneOptions {
  /** Events that were routed this long ago are removed, with their deliveries. */
  beforeMs: number;
  isDryRun?: boolean;
  progress?: (events: number) => void;
}

export interface Pruned {
  events: number;
  deliveries: number;
}

/** What is about to be delivered or replayed, and what a dead letter is about, stays. */
export async function prune(
  executor: Executor,
  { beforeMs, isDryRun = false, progress }: PruneOptions,
): Promise<Pruned> {
  const pruned: Pruned = { events: 0, deliveries: 0 };
  for (let after: string | null = "0"; after !== null; ) {
    const batch = await pruneEvents(executor, { beforeMs, after, limit: BATCH, isDryRun });
    pruned.events += batch.events;
    pruned.deliveries += batch.deliveries;
    progress?.(pruned.events);
    after = batch.looked_to;
  }
  return pruned;
}
