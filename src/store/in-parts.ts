/** Statements that write for many at once: one of them that is at fault fails alone. */

import type { PawlError } from "../base/errors.ts";
import { translateDatabaseError } from "./sqlstate.ts";

/** One of many may be at fault. */
const OF_ONE: ReadonlySet<string> = new Set([
  "database_error",
  "invalid_option",
  "unknown_kind",
  "unknown_queue",
  "unknown_destination",
  "payload_too_large",
]);

/** Tries again in halves what the database refuses, or `send` cannot take together, so that one bad row does not fail the others. */
export async function inParts<In, Out>(
  all: readonly In[],
  send: (some: readonly In[]) => Promise<Out[] | undefined>,
): Promise<(Out | PawlError)[]> {
  let failed: PawlError | undefined;
  try {
    const answers = await send(all);
    if (answers !== undefined) return answers;
  } catch (thrown) {
    failed = translateDatabaseError(thrown);
  }
  if (failed !== undefined && (all.length === 1 || !OF_ONE.has(failed.code)))
    return all.map(() => failed);
  const middle = Math.ceil(all.length / 2);
  const left = await inParts(all.slice(0, middle), send);
  return [...left, ...(await inParts(all.slice(middle), send))];
}
