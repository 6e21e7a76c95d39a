import { expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { type RunOneOptions, runOne } from "../../src/kernel/run-one/run-one.ts";
import { freshStore, rawClient } from "../support/database.ts";
import { defineKinds, enqueueCount } from "../support/kernel.ts";
import { until } from "../support/until.ts";

/** One task that cannot be claimed as long as another turn holds its shard. */
async function busyTask() {
  const store = await freshStore();
  await defineKinds(store);
  const [id = ""] = await enqueueCount(store, 1);
  await store.rows(
    "select pawl.shards_of(f.stream_id, f.priority, true) from pawl.task t join pawl.shard f on f.id = t.shard_id",
  );
  const holder = await rawClient(store.url);
  await holder.query("begin; select 1 from pawl.shard where solo for update");
  let tries = 0;
  const options: RunOneOptions = {
    store: {
      ...store,
      rows: (text, values) => {
        if (text.includes("claim_one")) tries += 1;
        return store.rows(text, values);
      },
      prepared: (text, values) => {
        if (text.includes("claim_one")) tries += 1;
        return store.prepared(text, values);
      },
    },
    handler: { queue: "q", kind: "k", version: 1, timeoutMs: 10_000, run: () => undefined },
    application: "test",
    revision: 0,
    resultBytesMax: 1_000,
    log: silentLogger,
    stop: new Promise(() => undefined),
  };
  return { store, id, options, tries: () => tries };
}

test("a stop ends the wait for a task whose limits others hold", async () => {
  const { store, id, options, tries } = await busyTask();
  let stop: (() => void) | undefined;
  const running = runOne(id, {
    ...options,
    stop: new Promise((resolve) => {
      stop = resolve;
    }),
  });
  await until("it tries", () => tries() > 2);
  stop?.();
  const triedBefore = tries();
  expect(await running).toEqual({ did: "stop" });
  expect(tries()).toBeLessThan(triedBefore + 10);
  expect(await store.rows("select state from pawl.task")).toEqual([{ state: "ready" }]);
  expect(await store.rows("select 1 from pawl.worker where ended_at is null")).toEqual([]);
});

test("who waits for a task in vain says what holds it, before the lease runs out", async () => {
  const { id, options } = await busyTask();
  expect(await runOne(id, options)).toMatchObject({ did: "nothing", why: { outcome: "busy" } });
});
