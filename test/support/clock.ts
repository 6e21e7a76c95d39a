/**
 * Moves Pawl's clock in one database: `pawl.now()` is replaced by one that reads a table. A slow one hardly goes on by
 * itself, so that a busy machine adds nothing to the times that a test looks at; what comes later is still later. One that
 * stands still is for what turns over at an exact time.
 */

import type { Store } from "../../src/store/store.ts";

/** Of a slow clock, in real ones. */
const SLOW_PACE = 0.001;

export async function movableClock(
  store: Store,
  { isSlow = false, isStill = false }: { isSlow?: boolean; isStill?: boolean } = {},
): Promise<{ advance(ms: number): Promise<void> }> {
  await store.rows(
    "create table pawl.test_clock (began timestamptz not null, pace float8 not null, ahead interval not null)",
  );
  await store.rows("insert into pawl.test_clock values (statement_timestamp(), $1, '0')", [
    paceOf({ isSlow, isStill }),
  ]);
  await store.rows(
    `create or replace function pawl.now() returns timestamptz language sql stable
     as $$ select began + (statement_timestamp() - began) * pace + ahead from pawl.test_clock $$`,
  );
  // within a statement too, which may be slow as well
  await store.rows(
    `create or replace function pawl.clock_now() returns timestamptz language sql volatile
     as $$ select began + (clock_timestamp() - began) * pace + ahead from pawl.test_clock $$`,
  );
  return {
    advance: async (ms) => {
      await store.rows("update pawl.test_clock set ahead = ahead + $1 * interval '1 ms'", [ms]);
    },
  };
}

function paceOf({ isSlow, isStill }: { isSlow: boolean; isStill: boolean }): number {
  if (isStill) return 0;
  return isSlow ? SLOW_PACE : 1;
}
