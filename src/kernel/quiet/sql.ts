/** Statements of quiet hours. The work is in `src/kernel/sql/quiet.sql`. */

import { type Executor, LOOP_MS } from "../../store/executor.ts";
import type { QuietHours } from "./quiet-hours.ts";

/** @throws PawlError `owned_by_code`, `invalid_option` for a time zone that PostgreSQL does not know */
export async function writeQuietHours(
  executor: Executor,
  application: string,
  all: readonly QuietHours[],
): Promise<void> {
  const rows = all.map(({ from, to, timeZone, ...rest }) => ({
    ...rest,
    time_zone: timeZone,
    begins_at: from,
    ends_at: to,
  }));
  await executor.rows("select pawl.define_quiet_v1($1, $2)", [application, JSON.stringify(rows)]);
}

/** Keeps the next time of each window. Answers in how many milliseconds that has to be done again; null: there is no window. */
export async function keepQuiet(executor: Executor): Promise<number | null> {
  const [row] = await executor.rows<{ ms: number | null }>(
    "select pawl.keep_quiet_v1() as ms",
    [],
    LOOP_MS,
  );
  return row?.ms ?? null;
}

export interface QuietAhead {
  name: string;
  holds: string[];
  exempt: string[];
  begins_ms: number;
  ends_ms: number;
}

export function quietAhead(executor: Executor, withinMs: number): Promise<QuietAhead[]> {
  return executor.rows("select * from pawl.quiet_ahead_v1($1)", [withinMs], LOOP_MS);
}
