/**
 * Finds up to which id a table can be read without losing a row. Numbers are drawn in order but committed in any order, so a
 * row may appear below one that was read. A mark is an id and the transactions that were writing to the table
 * when it was seen; once they have all ended, nothing can appear at or below it any more.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Json } from "../source.ts";
import type { Look } from "./sql.ts";

/** Most writers end within this time; for the others the mark is kept until the next request. */
const WAIT_MS = 400;
const LOOK_MS = 20;

export interface Mark {
  readonly upTo: string;
  /** By the clock of that database. */
  readonly atMs: number;
  readonly writers: readonly string[];
}

interface Marking {
  /** From the state of the last page. */
  known: Mark | undefined;
  after: string;
  settleMs: number;
  signal: AbortSignal;
}

/** `undefined`: nothing is after the cursor. Rows up to the mark cannot be read yet if it has `writers` or is too young. */
export async function markBeyond(
  look: () => Promise<Look>,
  { known, after, settleMs, signal }: Marking,
): Promise<{ mark: Mark; isSettled: boolean } | undefined> {
  const end = performance.now() + WAIT_MS;
  let mark = known !== undefined && isBeyond(known.upTo, after) ? known : undefined;
  for (;;) {
    const seen = await look();
    mark = mark === undefined ? markOf(seen) : withoutEnded(mark, seen);
    if (mark === undefined || !isBeyond(mark.upTo, after)) return undefined;
    const isSettled = mark.writers.length === 0 && Number(seen.at_ms) - mark.atMs >= settleMs;
    if (isSettled || performance.now() >= end) return { mark, isSettled };
    await sleep(LOOK_MS, undefined, { signal });
  }
}

export function markIn(state: Json | null): Mark | undefined {
  if (state === null || typeof state !== "object" || !("mark" in state)) return undefined;
  return (state.mark ?? undefined) as unknown as Mark | undefined;
}

function markOf({ up_to, at_ms, writers }: Look): Mark | undefined {
  return up_to === null ? undefined : { upTo: up_to, atMs: Number(at_ms), writers };
}

function withoutEnded(mark: Mark, { writers }: Look): Mark {
  return { ...mark, writers: mark.writers.filter((one) => writers.includes(one)) };
}

export function isBeyond(id: string, after: string): boolean {
  return BigInt(id) > BigInt(after);
}
