/**
 * Writes of single calls that come at about the same time: they travel in one statement and one commit, each is answered after that commit,
 * and one that is refused fails alone. What could wait for somebody's lock must not travel with others.
 */

import { PawlError } from "../base/errors.ts";
import { gather } from "../base/gather.ts";
import { inParts } from "./in-parts.ts";

const BATCH = { most: 200, calls: 2 };
/** A larger one is sent by itself, so that statements stay small. */
const CHARS_MAX = 16_384;

export interface Written<Row> {
  row: Row;
  /** Length of what is written, as text. */
  chars: number;
}

/** @param write answers in the order of the rows */
export function together<Row, Out>(
  write: (rows: readonly Row[]) => Promise<Out[]>,
): (one: Written<Row>) => Promise<Out> {
  const send = gather((rows: Row[]) => inParts(rows, write), BATCH);
  return async ({ row, chars }) => {
    const answer = chars > CHARS_MAX ? (await inParts([row], write))[0] : await send(row);
    if (answer instanceof PawlError) throw answer;
    if (answer === undefined)
      throw new PawlError("database_error", "the database answered no row for what was written");
    return answer;
  };
}
