import pg from "pg";
import { expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob, flow, type Pawl } from "../../src/index.ts";
import type {
  DeliveryContext,
  DestinationDefinition,
} from "../../src/outbox/destinations/types.ts";
import { freshDatabase, isLockAwaited, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";

const job = defineJob({ name: "job", input: z.object({}), run: () => undefined });

async function connected(destination?: DestinationDefinition): Promise<Pawl> {
  const { url } = await freshDatabase();
  const app = defineApp({
    jobs: [job],
    ...(destination !== undefined && { destinations: { shop: destination } }),
  });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => void pawl.close());
  return pawl;
}

test("a worker that is still starting when its client closes is stopped too", async () => {
  const pawl = await connected();
  const { url } = pawl.store;
  const blocker = await rawClient(url);
  await blocker.query(`select pg_advisory_lock(1);
    create function held() returns trigger language plpgsql as
      'begin perform pg_advisory_xact_lock(1); return new; end';
    create trigger held before insert on pawl.worker for each row execute function held()`);
  const working = pawl.work();
  await until("it registers", () => isLockAwaited(blocker));
  const closing = pawl.close();
  await blocker.query("select pg_advisory_unlock(1)");
  await Promise.all([closing, working]);
  const { rows } = await blocker.query("select ended_why from pawl.worker");
  expect(rows).toEqual([{ ended_why: "stopped" }]);
  // the server may see later that a connection has been closed
  await until("nobody listens", async () => {
    const { rowCount } = await blocker.query(
      "select from pg_stat_activity where datname = current_database() and application_name = 'pawl listen'",
    );
    return rowCount === 0;
  });
});

test("a client that is closing starts no worker", async () => {
  const pawl = await connected();
  const closing = pawl.close();
  await expect(pawl.work()).rejects.toMatchObject({ code: "worker_stopping" });
  await closing;
});

/** Counts how often what it has opened is closed. */
function opening(deliver: () => Promise<void> = async () => undefined) {
  const seen = { closed: 0, delivering: 0 };
  const definition: DestinationDefinition = {
    type: "opening",
    config: {},
    timeoutMs: 120_000,
    deliver: async () => {
      seen.delivering += 1;
      await deliver();
      return { summary: "delivered" };
    },
    close: async () => {
      seen.closed += 1;
    },
  };
  return { definition, seen };
}

test("what a test delivery opens after the last worker has stopped is closed", async () => {
  const { definition, seen } = opening();
  const pawl = await connected(definition);
  const worker = await pawl.work();
  await worker.stop();
  expect(seen.closed).toBe(1);
  await pawl.destinations.test("shop");
  expect(seen.closed).toBe(2);
});

test("what a test delivery opens is closed also when the worker stops in its middle", async () => {
  let go: (() => void) | undefined;
  const { definition, seen } = opening(
    () =>
      new Promise((resolve) => {
        go = resolve;
      }),
  );
  const pawl = await connected(definition);
  const worker = await pawl.work();
  const testing = pawl.destinations.test("shop");
  await until("it delivers", () => go !== undefined);
  await worker.stop();
  expect(seen.closed).toBe(1);
  go?.();
  await testing;
  expect(seen.closed).toBe(2);
});

test("a client that cannot be made leaves no connection behind", async () => {
  const { url } = await freshDatabase();
  const owner = await rawClient(url);
  await owner.query("drop table pawl.application");
  const ended = vi.spyOn(pg.Pool.prototype, "end");
  onTestFinished(() => ended.mockRestore());
  await expect(
    connect(defineApp({ name: "unmade", jobs: [job] }), { databaseUrl: url, log: silentLogger }),
  ).rejects.toMatchObject({ code: "schema_missing" });
  // by itself a pool lets go of what is idle only after a while
  const pools = ended.mock.contexts as pg.Pool[];
  expect(pools.map((pool) => pool.options.connectionString)).toContain(url);
  await until("its connections are closed", async () => {
    const { rows } = await owner.query(
      "select from pg_stat_activity where datname = current_database() and application_name = 'pawl'",
    );
    return rows.length === 0;
  });
});

test("a transaction that is asked for after a test delivery has ended is refused, and holds up no close", async () => {
  let late: DeliveryContext["tx"] | undefined;
  const { url } = await freshDatabase();
  const destinations = {
    shop: flow((_event, { tx }) => {
      late = tx;
    }),
  };
  const pawl = await connect(defineApp({ destinations }), { databaseUrl: url, log: silentLogger });
  onTestFinished(() => void pawl.close());
  await pawl.destinations.test("shop");
  await expect(late?.query("select 1")).rejects.toMatchObject({ code: "not_a_transaction" });
});
