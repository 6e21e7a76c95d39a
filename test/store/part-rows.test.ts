/** What a part tells the layers below it, as rows: its queues and its partitioned tables. They know no part by name. */

import { expect, test } from "vitest";
import { migrate } from "../../src/store/migrate.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore } from "../support/database.ts";
import { enqueueSql } from "../support/kernel.ts";

const store = await freshStore({ max: 2 });

test("nobody enqueues into a queue that a part has named as its own, and the part says what to do instead", async () => {
  await store.rows("insert into pawl.part_queue values ('toy:%', 'toy', 'a toy is wound up')");
  for (const kind of ["k", "other"]) {
    await expect(enqueueSql(store, [{ kind, queue: "toy:bear" }])).rejects.toMatchObject({
      code: "invalid_option",
      message: expect.stringMatching(/part of Pawl.*a toy is wound up/s),
    });
  }
  await expect(enqueueSql(store, [{ kind: "k", queue: "toys" }])).rejects.toMatchObject({
    code: "unknown_queue",
  });
});

test("migrating makes the partitions that a part has named, and not again", async () => {
  await movableClock(store, { isSlow: true }); // no month ends meanwhile
  await store.rows(
    "create table pawl.toy (made_at timestamptz not null) partition by range (made_at)",
  );
  await store.rows("create table pawl.toy_default partition of pawl.toy default");
  await store.rows("insert into pawl.toy values (pawl.now())");
  await store.rows("insert into pawl.partitioned values ('toy', 'toy', 'made_at', 'month', 2)");
  await migrate(store);
  const made = "select inhrelid::regclass::text as name from pg_inherits where inhparent = $1";
  const oid = await store.rows<{ oid: number }>("select 'pawl.toy'::regclass::oid as oid");
  const names = async () =>
    (await store.rows<{ name: string }>(made, [oid[0]?.oid])).map((row) => row.name);
  expect(await names()).toHaveLength(4);
  expect(await store.rows("select from pawl.toy_default")).toEqual([]);
  const before = await names();
  await migrate(store);
  expect(await names()).toEqual(before);
});
