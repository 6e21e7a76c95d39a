import { expect, test } from "vitest";
import { defineSource } from "../../src/index.ts";
import { inboxApp, upTo } from "../support/inbox-app.ts";
import { waitForLocks } from "../support/kernel.ts";
import { until } from "../support/until.ts";

const DAYS_40 = "interval '40 days'";

test("R49: old windows are removed, the current one never; with archive each row is copied first", async () => {
  const source = defineSource({ name: "orders", gap: 0, limit: 10, idle: "1h", fetch: upTo(50) });
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("orders", { storedCount: 50, windowState: "empty" });
  await pawl.sources.pause("orders");
  await pawl.store.rows(
    `update pawl.source_window set ended_at = ended_at - ${DAYS_40}, reserved_at = reserved_at - ${DAYS_40}`,
  );
  await pawl.store.rows(`update pawl.source set window_at = window_at - ${DAYS_40}`);
  expect(await pawl.sources.pruneLog({ archive: true, dryRun: true })).toMatchObject({
    windows: 5,
  });
  expect(await pawl.sources.windows()).toHaveLength(6);
  const pruned = await pawl.sources.pruneLog({ archive: true });
  expect(pruned).toMatchObject({ windows: 5, archived: 5 });
  const left = await pawl.sources.windows();
  expect(left.map((one) => one.state)).toEqual(["empty"]);
  const archived = await pawl.store.rows<{ events: number }>(
    "select events from pawl.source_window_archive",
  );
  expect(archived.map((row) => row.events)).toEqual([10, 10, 10, 10, 10]);
  expect(await pawl.sources.pruneLog()).toMatchObject({ windows: 0 });
});

test("R49: archiving that cannot copy a row deletes none", async () => {
  const source = defineSource({ name: "orders", gap: 0, limit: 10, idle: "20ms", fetch: upTo(20) });
  const { pawl, becomes } = await inboxApp([source]);
  await becomes("orders", { storedCount: 20, windowState: "empty" });
  await pawl.sources.pause("orders");
  await pawl.store.rows(`update pawl.source_window set ended_at = ended_at - ${DAYS_40}`);
  await pawl.store.rows(
    "insert into pawl.source_window_archive select w.*, pawl.now() from pawl.source_window w order by id limit 1",
  );
  await expect(pawl.sources.pruneLog({ archive: true })).rejects.toThrow(/duplicate key/);
  expect(await pawl.sources.windows()).toHaveLength(3);
});

test("R49: the months of the log are made by themselves and ahead, and an empty past month is dropped", async () => {
  const source = defineSource({ name: "orders", gap: 0, limit: 10, idle: "1h", fetch: upTo(5) });
  const { pawl, becomes } = await inboxApp([source]);
  // a drop would wait for whoever reads or writes the log, and give up after a while
  await waitForLocks(pawl.store, "drop_empty_windows_v1", "make_missing_partitions_v1");
  await becomes("orders", { storedCount: 5, status: "waiting" });
  const made = await until("they are made, and not by the worker at this moment", async () => {
    const names = await pawl.sources.makePartitions(4);
    return names.length > 0 && names;
  });
  // this month and two ahead have been made, of the log and of its archive
  expect(made).toHaveLength(4);
  expect(await pawl.sources.makePartitions(4)).toEqual([]);
  await pawl.store.rows(
    "create table pawl.source_window_200001 (like pawl.source_window including constraints)",
  );
  await pawl.store.rows(
    "alter table pawl.source_window attach partition pawl.source_window_200001 for values from ('2000-01-01') to ('2000-02-01')",
  );
  expect((await pawl.sources.pruneLog()).dropped).toEqual(["source_window_200001"]);
  expect(await pawl.sources.windows({ state: "done" })).toHaveLength(1);
});
