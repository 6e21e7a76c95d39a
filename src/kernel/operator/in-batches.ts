/** Goes through many tasks, a batch in each transaction; what was interrupted can be repeated. */

import { progressText } from "../../operate/progress.ts";

export const BATCH = 1_000;

/** Of what fits at the start: `last` is the greatest of the ids. */
export interface Found {
  count: number;
  last: string;
}

export interface Page {
  after: string;
  last: string;
  limit: number;
}

export interface Many<Row> {
  found: Found;
  /** Maximum number of rows. Default: all that were found. */
  limit?: number;
  /** Ordered by id. */
  read: (page: Page) => Promise<Row[]>;
  each: (rows: Row[]) => Promise<void>;
  action: string;
  report: (text: string) => void;
}

/** Once, by id: what comes back meanwhile, or is new, is not met again. Returns how many there were. */
export async function inBatches<Row extends { id: string }>({
  found: { count, last },
  limit = Number.POSITIVE_INFINITY,
  read,
  each,
  action,
  report,
}: Many<Row>): Promise<number> {
  let after = "0";
  let seen = 0;
  while (seen < limit) {
    const rows = await read({ after, last, limit: Math.min(BATCH, limit - seen) });
    after = rows.at(-1)?.id ?? after;
    if (rows.length === 0) break;
    await each(rows);
    seen += rows.length;
    report(progressText(action, seen, Math.min(count, limit)));
  }
  report("");
  return seen;
}
