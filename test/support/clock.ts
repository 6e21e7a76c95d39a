/** Moves Pawl's clock in one database: `pawl.now()` is replaced by one that reads a table. */

import type { Store } from "../../src/store/store.ts";

export async function movableClock(store: Store): Promise<{ advance(ms: number): Promise<void> }> {
  await store.rows("create table if not exists pawl.test_clock (ahead interval not null)");
  await store.rows(
    "insert into pawl.test_clock select '0' where not exists (select 1 from pawl.test_clock)",
  );
  await store.rows(
    `create or replace function pawl.now() returns timestamptz language sql stable
     as $$ select statement_timestamp() + (select ahead from pawl.test_clock) $$`,
  );
  return {
    advance: async (ms) => {
      await store.rows("update pawl.test_clock set ahead = ahead + $1 * interval '1 ms'", [ms]);
    },
  };
}
