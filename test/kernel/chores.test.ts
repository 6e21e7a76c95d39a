import { expect, test } from "vitest";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp } from "../../src/index.ts";
import { startWorker } from "../../src/kernel/sql.ts";
import { freshDatabase } from "../support/database.ts";
import { slowness } from "../support/slowness.ts";
import { until } from "../support/until.ts";

test("R64: a worker with a poll interval of 30 s still rescues within seconds: chores of the fleet do not wait for the poll", async () => {
  const { url } = await freshDatabase();
  const client = await connect(defineApp({ name: "shop" }), {
    databaseUrl: url,
    log: silentLogger,
  });
  try {
    await client.work({ pollInterval: "30s" });
    const { store } = client;
    // the second comes after a round, so its rescue needs another one
    for (const pid of [1, 2]) {
      const dead = await startWorker(store, {
        host: "gone",
        pid,
        application: "shop",
        revision: 1,
        queues: [],
        concurrency: 1,
        refused: 0,
        streams: [],
        off_here: [],
      });
      const slowMs = slowness(store);
      const diedAt = performance.now();
      await store.rows(
        "update pawl.worker set lease_until = pawl.now() - interval '1 ms' where id = $1",
        [dead],
      );
      await until("its rescue", async () => {
        const [row] = await store.rows(
          "select 1 from pawl.worker where id = $1 and ended_at is null",
          [dead],
        );
        return row === undefined;
      });
      expect(performance.now() - diedAt - slowMs()).toBeLessThan(15_000);
    }
  } finally {
    await client.close();
  }
});
