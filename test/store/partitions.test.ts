import type pg from "pg";
import { expect, test } from "vitest";
import { defineSource } from "../../src/index.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore, isLockAwaited, openTransaction, rawClient } from "../support/database.ts";
import { inboxApp, upTo } from "../support/inbox-app.ts";
import { until } from "../support/until.ts";

/** It is tried for 2 s once a minute, which a test that stands still may miss. */
const PATIENCE_MS = 300_000;

/** A row that came before the partition of its time was there lies in the default one. */
const EARLY = {
  finished: `insert into pawl.finished (id, seq, stream_id, priority, attempt, outcome, created_at, run_at, finished_at, payload)
             values (1, 1, 1, 1, 1, 'done', pawl.now(), pawl.now(), pawl.now(), '{}')`,
  source_window: `insert into pawl.source_window (source_id, state, after_cursor, epoch, holder)
                  values (1, 'reserved', '0', 1, 'ada')`,
} as const;

async function leaveDefault(client: pg.Client, table: string): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    "select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::regclass",
    [`pawl.${table}`],
  );
  for (const { name } of rows)
    if (!name.endsWith("_default")) await client.query(`drop table ${name}`);
}

test.each([
  ["finished", "make_missing_partitions_v1('kernel', 7)"],
  ["source_window", "make_missing_partitions_v1('inbox', 2)"],
] as const)(
  "R49 R105: whoever reads %s while the partition of now is made sees what moves into it",
  async (table, make) => {
    const store = await freshStore({ max: 1 });
    const { url } = store;
    await movableClock(store, { isSlow: true }); // no day ends meanwhile
    const maker = await openTransaction(url);
    const reader = await rawClient(url);
    await leaveDefault(reader, table);
    await reader.query(EARLY[table]);
    await maker.query(`select pawl.${make}`);
    const reading = reader.query(`select from pawl.${table}`);
    await until("the reader waits", () => isLockAwaited(maker));
    await maker.query("commit");
    expect((await reading).rowCount).toBe(1);
    const { rows: left } = await reader.query(`select from pawl.${table}_default`);
    expect(left).toEqual([]);
  },
);

test("R49: behind a long query no month can be made, and loading goes on without", async () => {
  const source = defineSource({ name: "orders", gap: 0, limit: 10, idle: "1h", fetch: upTo(5) });
  const { pawl, url, becomes } = await inboxApp([source], { work: false });
  await leaveDefault(await rawClient(url), "source_window");
  const query = await openTransaction(url);
  await query.query("select from pawl.source_window");
  await pawl.work();
  await until("a month is to be made", () => isLockAwaited(query), PATIENCE_MS);
  await becomes("orders", { storedCount: 5 });
  const { rows } = await query.query(
    "select state from pawl.source_window_default where events > 0",
  );
  expect(rows).toEqual([{ state: "done" }]);
  await query.query("commit");
});
