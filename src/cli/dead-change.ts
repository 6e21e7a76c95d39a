/** Changes many dead letters, a batch in each transaction; a run that was interrupted can be repeated. */

import { type DeadSelection, deadIds } from "../kernel/people/sql.ts";
import type { Store } from "../store/store.ts";
import { endProgress, progress } from "./output.ts";

const BATCH = 1_000;

type Apply = (ids: readonly string[]) => Promise<string[]>;

/** @returns the ids that were changed */
export async function changeOnly(ids: readonly string[], apply: Apply): Promise<string[]> {
  const changed: string[] = [];
  for (let start = 0; start < ids.length; start += BATCH) {
    changed.push(...(await apply(ids.slice(start, start + BATCH))));
  }
  return changed;
}

export interface ChangeAll {
  selection: DeadSelection;
  found: { count: number; last: string };
  apply: Apply;
  verb: string;
}

/** What is dead at the start and selected: goes up the ids once, so one that dies again is not met again. */
export async function changeAll(
  store: Store,
  { selection, found, apply, verb }: ChangeAll,
): Promise<number> {
  let changed = 0;
  let after = "0";
  for (;;) {
    const ids = await deadIds(store, { ...selection, after, last: found.last, limit: BATCH });
    after = ids.at(-1) ?? after;
    if (ids.length === 0) break;
    changed += (await apply(ids)).length;
    progress(`${verb}: ${changed} of ${found.count}`);
  }
  endProgress();
  return changed;
}
