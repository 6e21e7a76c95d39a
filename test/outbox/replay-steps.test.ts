import { describe, expect, test } from "vitest";
import { nullDestination, on, type Pawl, type ReplayRow } from "../../src/index.ts";
import { stepReplay } from "../../src/outbox/replay/sql.ts";
import { movableClock } from "../support/clock.ts";
import { freshDatabase, rawClient } from "../support/database.ts";
import { until } from "../support/until.ts";
import { ended, FAST, pawlWith } from "./replay-support.ts";

/** Events that were delivered to each of these, written at once. */
async function delivered(pawl: Pawl, count: number): Promise<void> {
  await pawl.store.rows(
    `insert into pawl.event (name, aggregate_type, aggregate_id, payload)
     select 'order.placed', 'order', g::text, '{}' from generate_series(1, $1::int) g`,
    [count],
  );
  while ((await pawl.store.rows<{ n: number }>("select pawl.route_v1(1000) as n"))[0]?.n !== 0);
  await pawl.store.rows("delete from pawl.task");
}

async function replayed(pawl: Pawl): Promise<{ deliveries: number; pairs: number }> {
  const [row] = await pawl.store.rows<{ deliveries: number; pairs: number }>(
    `select count(*)::int as deliveries, count(distinct (event_id, destination_id))::int as pairs
       from pawl.delivery where replay > 0`,
  );
  return row ?? { deliveries: -1, pairs: -1 };
}

async function find(pawl: Pawl, id: string): Promise<ReplayRow | undefined> {
  return (await pawl.replays()).find((one) => one.id === id);
}

const TWO = { a: nullDestination(), b: nullDestination() };
const TO_BOTH = [on("order.*").to("a", "b")];

describe("a step of a replay", () => {
  test("R92: looks at few events and makes a second's worth at most, then says how long to wait", async () => {
    const pawl = await pawlWith(TWO, TO_BOTH);
    await movableClock(pawl.store, { isSlow: true });
    await delivered(pawl, 30);
    const { id } = await pawl.replay({ all: true, rate: "7/s" });
    const first = await stepReplay(pawl.store, id, 100);
    expect(first.made).toBe(7);
    expect(first.wait_ms).toBeGreaterThan(900);
    expect(first.wait_ms).toBeLessThanOrEqual(1_000);
    const early = await stepReplay(pawl.store, id, 100);
    expect(early.made).toBe(0);
    expect(early.wait_ms).toBeGreaterThan(0);
    // 7 of the pairs of 30 events: the fourth event is half done, and its other half comes first
    await pawl.store.rows("update pawl.replay set next_at = '-infinity'");
    expect((await stepReplay(pawl.store, id, 1)).made).toBe(1);
  });

  test("R92: events that are not selected are passed over in bounded steps", async () => {
    const pawl = await pawlWith(TWO, TO_BOTH);
    await delivered(pawl, 50);
    await pawl.store.rows("update pawl.event set name = 'order.paid' where number = 49");
    const { id } = await pawl.replay({ name: "order.paid", ...FAST });
    const made: number[] = [];
    for (let steps = 0; steps < 20; steps += 1) {
      const step = await stepReplay(pawl.store, id, 10);
      made.push(step.made);
      if (step.wait_ms === null) break;
      await pawl.store.rows("update pawl.replay set next_at = '-infinity'");
    }
    expect(made).toEqual([0, 0, 0, 0, 2]);
    expect(await find(pawl, id)).toMatchObject({ state: "done", made: 2, share: 1 });
  });

  test("R92: many at once, and others beside it, neither double nor leave out a delivery", async () => {
    const pawl = await pawlWith(TWO, TO_BOTH);
    await delivered(pawl, 200);
    const one = await pawl.replay({ all: true, ...FAST });
    const other = await pawl.replay({ all: true, destinations: ["a"], ...FAST });
    await Promise.all(Array.from({ length: 8 }, () => stepReplay(pawl.store, one.id, 20)));
    await pawl.store.rows("update pawl.replay set next_at = '-infinity'");
    await pawl.store.rows("delete from pawl.task where ref like 'event %'"); // so that these have ended
    await Promise.all(
      [one, other, one, other].map(async ({ id }) => {
        for (;;) {
          const { wait_ms } = await stepReplay(pawl.store, id, 20);
          if (wait_ms === null) return;
        }
      }),
    );
    const rows = await pawl.store.rows(
      `select r.id::text, r.made + r.left_alone as seen from pawl.replay r order by r.id`,
    );
    expect(rows).toEqual([
      { id: one.id, seen: "400" },
      { id: other.id, seen: "200" },
    ]);
    const made = (await pawl.replays()).reduce((sum, row) => sum + row.made, 0);
    expect((await replayed(pawl)).deliveries).toBe(made);
  });

  test("R92: one whose connection is cut before its commit has made nothing, and the next makes it all", async () => {
    const { url } = await freshDatabase({ longLeases: true });
    const pawl = await pawlWith(TWO, TO_BOTH, url);
    await delivered(pawl, 10);
    const { id } = await pawl.replay({ all: true, ...FAST });
    const blocker = await rawClient(url);
    await blocker.query("begin; lock table pawl.delivery in exclusive mode");
    const step = stepReplay(pawl.store, id, 100).catch((error: unknown) => error);
    await until("the step waits", async () => {
      const cut = await pawl.store.rows(
        `select pg_terminate_backend(pid) from pg_stat_activity
          where query like '%replay_step_v1%' and wait_event_type = 'Lock' and datname = current_database()`,
      );
      return cut.length === 1;
    });
    await blocker.query("commit");
    expect(await step).toBeInstanceOf(Error);
    expect(await replayed(pawl)).toEqual({ deliveries: 0, pairs: 0 });
    expect(await find(pawl, id)).toMatchObject({ state: "running", made: 0, share: 0 });
    await pawl.work();
    await ended(pawl, { id } as ReplayRow);
    expect(await replayed(pawl)).toEqual({ deliveries: 20, pairs: 20 });
  });

  test("R92: what is recorded after the start is not replayed, and a stopped one makes no more", async () => {
    const pawl = await pawlWith(TWO, TO_BOTH);
    await delivered(pawl, 5);
    const first = await pawl.replay({ all: true, ...FAST });
    const second = await pawl.replay({ all: true, rate: "1/h" });
    await delivered(pawl, 5);
    expect((await stepReplay(pawl.store, first.id, 100)).made).toBe(10);
    await pawl.store.rows("delete from pawl.task where ref like 'event %'");
    expect((await stepReplay(pawl.store, second.id, 100)).made).toBe(1);
    expect(await pawl.stopReplay(second.id)).toBe(true);
    await pawl.store.rows("update pawl.replay set next_at = '-infinity'");
    expect(await stepReplay(pawl.store, second.id, 100)).toEqual({ made: 0, wait_ms: null });
    expect(await find(pawl, second.id)).toMatchObject({ state: "stopped", made: 1 });
    expect(await pawl.stopReplay("4711")).toBeUndefined();
    await expect(pawl.stopReplay("NaN")).rejects.toMatchObject({ code: "invalid_option" });
  });

  test("R92, R95: a destination that was removed, or drops what comes, gets nothing", async () => {
    const pawl = await pawlWith(TWO, TO_BOTH);
    await delivered(pawl, 3);
    await pawl.store.rows("select pawl.pause_destination_v1('b', true, 'test', null, null)");
    expect(await pawl.planReplay({ all: true })).toMatchObject([{ destination: "a", made: 3 }]);
    const { id } = await pawl.replay({ all: true, ...FAST });
    expect((await stepReplay(pawl.store, id, 100)).made).toBe(3);
  });

  test("R92: a worker that was told only some queues works replays off too", async () => {
    const pawl = await pawlWith(TWO, TO_BOTH);
    await delivered(pawl, 3);
    const replay = await pawl.replay({ all: true, ...FAST });
    await pawl.work({ queues: ["low"] });
    expect(await ended(pawl, replay)).toMatchObject({ state: "done", made: 6 });
    const task = replay.taskId ?? "";
    await until("its task is done", async () => (await pawl.task(task))?.state === "done");
  });
});
