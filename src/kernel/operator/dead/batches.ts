/** Changes many dead letters, a batch in each transaction. */

import type { Store } from "../../../store/store.ts";
import type { Selection } from "../filter.ts";
import { BATCH, type Found, inBatches } from "../in-batches.ts";
import { type DeadChange, deadIds } from "./sql.ts";

type Apply = (ids: readonly string[]) => Promise<DeadChange[]>;

export interface Changed {
  /** In the order of the ids. */
  ids: string[];
  /** Stay dead, since a live task has their key. */
  duplicates: string[];
}

export async function changeOnly(ids: readonly string[], apply: Apply): Promise<Changed> {
  const changed: Changed = { ids: [], duplicates: [] };
  for (let start = 0; start < ids.length; start += BATCH) {
    add(changed, await apply(ids.slice(start, start + BATCH)));
  }
  return changed;
}

export interface ChangeAll {
  selection: Selection;
  found: Found;
  apply: Apply;
  action: string;
  report: (text: string) => void;
}

/** Goes once through the selected tasks that are dead at the start: a task that dies again is not met again. */
export async function changeAll(
  store: Store,
  { selection, apply, ...many }: ChangeAll,
): Promise<Changed> {
  const changed: Changed = { ids: [], duplicates: [] };
  await inBatches({
    ...many,
    read: async (page) => (await deadIds(store, { ...selection, ...page })).map((id) => ({ id })),
    each: async (rows) => add(changed, await apply(rows.map(({ id }) => id))),
  });
  return changed;
}

function add(changed: Changed, rows: readonly DeadChange[]): void {
  for (const { id, outcome } of rows) {
    (outcome === "duplicate" ? changed.duplicates : changed.ids).push(id);
  }
}
