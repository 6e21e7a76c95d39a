import { expect, test } from "vitest";
import { sortLanes } from "../../src/kernel/sql.ts";
import { hasWork } from "../../src/outbox/sql.ts";
import { bench } from "../kernel/operator/fixture.ts";
import { allStreams } from "../support/kernel.ts";

test("--until-idle: a task that has just arrived in a lane is work, one that waits behind a dead letter is none", async () => {
  const at = await bench();
  const streams = await allStreams(at.store);
  const isLeft = () => hasWork(at.store, { streams, withinMs: 1_000 });
  expect(await isLeft()).toBe(false);
  const head = await at.enqueue({ lane: "order-7" });
  expect(await isLeft()).toBe(true);
  await sortLanes(at.store, 10);
  expect(await isLeft()).toBe(true);
  await at.enqueue({ lane: "order-7" });
  await sortLanes(at.store, 10);
  await at.store.rows("update pawl.task set state = 'blocked' where id = $1", [head]);
  expect(await isLeft()).toBe(false);
});
