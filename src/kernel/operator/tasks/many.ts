/** `cancel` and `retry` of all tasks that filters find: once through what is there at the start, a batch in each transaction. */

import type { Calling, Desk } from "../../../operate/verb.ts";
import type { Store } from "../../../store/store.ts";
import { countDead, deadIds } from "../dead/sql.ts";
import {
  LIVE_STATES,
  RETRIED_STATES,
  type Selection,
  statesOf,
  type TaskState,
} from "../filter.ts";
import { inBatches, type Page } from "../in-batches.ts";
import { requireNames } from "../known.ts";
import { countLive, type LiveId, liveIds } from "../sql.ts";
import type { Ended, Retried } from "./tasks.ts";

export interface Many extends Selection {
  limit: number;
  isDryRun: boolean;
}

/** What becomes of a batch, or would. */
type EndSome = (rows: readonly LiveId[]) => Promise<Pick<Ended, "cancelled" | "requested">>;
type RetrySome = (rows: readonly LiveId[]) => Promise<Pick<Retried, "count" | "duplicates">>;

export async function countToCancel(store: Store, selection: Selection): Promise<number> {
  await requireNames(store, selection);
  const states = statesOf(selection.filter, LIVE_STATES);
  return (await countLive(store, { ...selection, states })).count;
}

export async function cancelAll(
  { store, report }: Desk,
  { limit, isDryRun, ...selection }: Many,
  { where }: Calling,
  end: EndSome,
): Promise<Ended> {
  await requireNames(store, selection);
  const live = { ...selection, states: statesOf(selection.filter, LIVE_STATES) };
  const found = await countLive(store, live);
  const ended = { cancelled: [] as string[], requested: [] as string[] };
  const seen = await inBatches({
    found,
    limit,
    read: (page) => liveIds(store, { ...live, ...page }),
    each: async (rows) => {
      const { cancelled, requested } = await end(rows);
      ended.cancelled.push(...cancelled);
      ended.requested.push(...requested);
    },
    action: where,
    report,
  });
  return { dryRun: isDryRun, ...ended, more: Math.max(found.count - seen, 0) };
}

/** The dead first, then the scheduled. */
export async function retryAll(
  { store, report }: Desk,
  { limit, isDryRun, ...selection }: Many,
  { where }: Calling,
  retry: RetrySome,
): Promise<Retried> {
  await requireNames(store, selection);
  const states = statesOf(selection.filter, RETRIED_STATES);
  const retried = { count: 0, ids: [] as string[], duplicates: [] as string[] };
  let seen = 0;
  let count = 0;
  for (const state of states) {
    const { found, read } = await placeOf(store, selection, state);
    count += found.count;
    seen += await inBatches({
      found,
      limit: limit - seen,
      read,
      each: async (rows) => {
        const some = await retry(rows);
        retried.count += some.count;
        for (const { id } of rows) retried.ids.push(id);
        retried.duplicates.push(...some.duplicates);
      },
      action: `${where}: ${state}`,
      report,
    });
  }
  return { dryRun: isDryRun, ...retried, more: Math.max(count - seen, 0) };
}

async function placeOf(store: Store, selection: Selection, state: TaskState) {
  if (state !== "dead") {
    const live = { ...selection, states: [state] };
    const read = (page: Page) => liveIds(store, { ...live, ...page });
    return { found: await countLive(store, live), read };
  }
  const read = async (page: Page): Promise<LiveId[]> => {
    const ids = await deadIds(store, { ...selection, ...page });
    return ids.map((id) => ({ id, state }));
  };
  return { found: await countDead(store, selection), read };
}
