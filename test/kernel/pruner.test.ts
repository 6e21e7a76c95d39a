import { expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { pruner } from "../../src/kernel/pruner.ts";
import type { Store } from "../../src/store/store.ts";
import { movableClock } from "../support/clock.ts";
import { freshStore } from "../support/database.ts";
import { defineKinds, enqueueCount } from "../support/kernel.ts";
import { until } from "../support/until.ts";

test("one worker prunes by itself what is past its time, and another takes over when it stops", async () => {
  const store = await freshStore();
  const clock = await movableClock(store);
  await defineKinds(store);
  const ids = await enqueueCount(store, 3);
  await store.rows("select pawl.cancel_v1($1, 'test', null)", [ids]);
  await clock.advance(40 * 86_400_000);
  const left = async () => (await store.rows("select 1 from pawl.finished")).length;
  expect(await left()).toBe(3);

  const first = pruner({ store, owner: "first", log: silentLogger, firstMs: 0 });
  const second = pruner({ store, owner: "second", log: silentLogger, firstMs: 0 });
  first.start();
  second.start();
  await until("history is pruned", async () => (await left()) === 0);
  const owner = async () => {
    const rows = await store.rows<{ owner: string }>(
      "select owner from pawl.lease where name = 'pawl:prune' and lease_until > pawl.now()",
    );
    return rows[0]?.owner;
  };
  const one = await until("one has the lease", owner);
  const [winner, other] = one === "first" ? [first, second] : [second, first];
  await winner.stop();
  await until("the other takes over", async () => {
    other.wake();
    const now = await owner();
    return now !== undefined && now !== one;
  });
  await other.stop();
  expect(await owner()).toBeUndefined();
});

test("a worker that stops while it takes the lease lets go of it", async () => {
  const store = await freshStore();
  let stopped: Promise<void> | undefined;
  const stopsMeanwhile: Store = {
    ...store,
    rows: async (text, values) => {
      const rows = await store.rows(text, values);
      if (text.includes("take_lease")) stopped = stopping.stop();
      return rows as never;
    },
  };
  const stopping = pruner({ store: stopsMeanwhile, owner: "it", log: silentLogger, firstMs: 0 });
  stopping.start();
  await until("it stops", () => stopped !== undefined);
  await stopped;
  expect(await store.rows("select 1 from pawl.lease where lease_until > pawl.now()")).toEqual([]);
});
