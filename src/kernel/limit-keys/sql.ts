/** The statements of limits per key. The work is in `src/kernel/sql/limit-keys.sql`. */

import type { Executor } from "../../store/executor.ts";

export interface Admitted {
  /** Tasks that were brought back; null when somebody else does it. */
  admitted: number | null;
  /** Where the next pass goes on; null: from the beginning. */
  after_queue: number | null;
  after_key: string | null;
  /** How long until a rate lets the next one start; null: none is known. */
  next_ms: number | null;
}

export async function admit(
  executor: Executor,
  limit: number,
  after?: Admitted,
): Promise<Admitted> {
  const [row] = await executor.rows<Admitted>("select * from pawl.admit_v1($1, $2, $3)", [
    limit,
    after?.after_queue ?? null,
    after?.after_key ?? null,
  ]);
  return row ?? { admitted: null, after_queue: null, after_key: null, next_ms: null };
}

export interface Forgotten {
  forgotten: number;
  /** Where the next pass goes on; null: that was all. */
  after_queue: number | null;
  after_key: string | null;
}

/** @param limit how many keys it looks at */
export async function forgetPaces(
  executor: Executor,
  limit: number,
  after?: Forgotten,
): Promise<Forgotten> {
  const [row] = await executor.rows<Forgotten>("select * from pawl.forget_paces_v1($1, $2, $3)", [
    limit,
    after?.after_queue ?? null,
    after?.after_key ?? null,
  ]);
  return row ?? { forgotten: 0, after_queue: null, after_key: null };
}
