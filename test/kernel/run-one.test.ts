import { afterEach, expect, test, vi } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { type RunOneOptions, runOne } from "../../src/kernel/run-one/run-one.ts";
import { freshStore, rawClient } from "../support/database.ts";
import { defineKinds, enqueueCount, LONG_LEASE } from "../support/kernel.ts";
import { until } from "../support/until.ts";

/** As `pawl.lease_length()` has it; in the database it is longer here, for a machine that stands still. */
const LEASE_MS = 10_000;

afterEach(() => {
  vi.restoreAllMocks();
});

/** One task that cannot be claimed as long as another turn holds its shard. By the process's own clock each try takes `tryMs`. */
async function busyTask(tryMs: number) {
  const store = await freshStore();
  await store.rows(LONG_LEASE);
  await defineKinds(store);
  const [id = ""] = await enqueueCount(store, 1);
  await store.rows(
    "select pawl.shards_of(f.stream_id, f.priority, true) from pawl.task t join pawl.shard f on f.id = t.shard_id",
  );
  const holder = await rawClient(store.url);
  await holder.query("begin; select 1 from pawl.shard where solo for update");
  let tries = 0;
  let ownMs = 0;
  vi.spyOn(performance, "now").mockImplementation(() => ownMs);
  const tried = (text: string) => {
    if (!text.includes("claim_one")) return;
    tries += 1;
    ownMs += tryMs;
  };
  const options: RunOneOptions = {
    store: {
      ...store,
      rows: (text, values) => {
        tried(text);
        return store.rows(text, values);
      },
      prepared: (text, values) => {
        tried(text);
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
  return { store, id, options, tries: () => tries, ownMs: () => ownMs };
}

test("a stop ends the wait for a task whose limits others hold", async () => {
  const { store, id, options, tries } = await busyTask(0);
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
  const { id, options, ownMs } = await busyTask(1_000);
  expect(await runOne(id, options)).toMatchObject({ did: "nothing", why: { outcome: "busy" } });
  expect(ownMs()).toBeLessThan(LEASE_MS);
});
