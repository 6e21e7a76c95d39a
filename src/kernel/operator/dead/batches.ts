/** Changes many dead letters, a batch in each transaction; a run that was interrupted can be repeated. */

import type { Store } from "../../../store/store.ts";
import type { Selection } from "../filter.ts";
import { type DeadChange, deadIds } from "./sql.ts";

const BATCH = 1_000;
const BAR_CHARS = 20;

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
  found: { count: number; last: string };
  apply: Apply;
  action: string;
  report: (text: string) => void;
}

/** Goes once through the selected tasks that are dead at the start, by id: a task that dies again is not met again. */
export async function changeAll(
  store: Store,
  { selection, found, apply, action, report }: ChangeAll,
): Promise<Changed> {
  const changed: Changed = { ids: [], duplicates: [] };
  let after = "0";
  let seen = 0;
  for (;;) {
    const ids = await deadIds(store, { ...selection, after, last: found.last, limit: BATCH });
    after = ids.at(-1) ?? after;
    if (ids.length === 0) break;
    add(changed, await apply(ids));
    seen += ids.length;
    report(`${action}: ${bar(seen / found.count)} ${seen} of ${found.count}`);
  }
  report("");
  return changed;
}

function bar(share: number): string {
  const full = Math.min(BAR_CHARS, Math.round(share * BAR_CHARS));
  return `[${"#".repeat(full)}${".".repeat(BAR_CHARS - full)}]`;
}

function add(changed: Changed, rows: readonly DeadChange[]): void {
  for (const { id, outcome } of rows) {
    (outcome === "duplicate" ? changed.duplicates : changed.ids).push(id);
  }
}
