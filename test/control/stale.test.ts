/** A lock that a dead process has left is told of once, as an event that routes deliver. */

import { expect, onTestFinished, test } from "vitest";
import { type Logger, silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineCommand, nullDestination, on } from "../../src/index.ts";
import { movableClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const LEASE_MS = 30_000;
const commands = [defineCommand({ name: "books", params: ["a", "b"], run: () => undefined })];

async function shop(more: object) {
  const { url } = await freshDatabase({ longLeases: true });
  const told: string[] = [];
  const log: Logger = {
    ...silentLogger,
    error: (_, message) => {
      told.push(message);
    },
  };
  const app = defineApp({ name: "shop", commands, ...more });
  const pawl = await connect(app, { databaseUrl: url, log });
  onTestFinished(() => pawl.close());
  const clock = await movableClock(pawl.store);
  const dies = (param: string, onCrash: string) =>
    pawl.store.rows(
      "select pawl.start_command_v1('books', $1, $2, 'gone', 7, 'cron', null, 'commands.run')",
      [param, onCrash],
    );
  const events = () =>
    pawl.store.rows<{ aggregate_id: string; payload: object }>(
      "select aggregate_id, payload from pawl.event where name = 'pawl.lock.stale' order by number",
    );
  const toldOf = (lock: string) => told.filter((one) => one.includes(lock)).length;
  /** Is logged once the event has been committed. */
  const logged = (lock: string, count: number) =>
    until(`${lock} is logged ${count} times`, () => toldOf(lock) === count);
  return { pawl, clock, dies, events, told, toldOf, logged };
}

const ROUTED = {
  destinations: { alarm: nullDestination() },
  routes: [on("pawl.lock.*").to("alarm")],
};

test("R31: a lock left by a dead process is told of once, by whichever of three workers sees it, and again for the next incident", async () => {
  const { pawl, clock, dies, events, toldOf, logged } = await shop(ROUTED);
  await Promise.all([pawl.work(), pawl.work(), pawl.work()]);
  await dies("a", "hold");
  await dies("b", "expire");
  await clock.advance(LEASE_MS + 1);
  await until("it is told", async () => (await events()).length > 0);
  await until("it is delivered", async () => (await pawl.deliveries.list()).length === 1);
  expect(await events()).toMatchObject([
    {
      aggregate_id: "books:a",
      payload: { lock: "books:a", host: "gone", pid: 7, by: "cron", progress: null },
    },
  ]);
  await logged("books:a", 1);
  await pawl.locks.release("books:a", { why: "looked" });
  await dies("a", "hold");
  await clock.advance(LEASE_MS + 1);
  await until("the next is told", async () => (await events()).length > 1);
  await logged("books:a", 2);
  expect(await events()).toHaveLength(2);
  expect(toldOf("books:b")).toBe(0);
});

test("a lock that is held, or was released in time, is not told of; without a route only the log says it", async () => {
  const { pawl, clock, dies, events, told } = await shop({});
  await pawl.work();
  await dies("b", "hold");
  await pawl.locks.release("books:b", { why: "looked" });
  await dies("a", "hold");
  for (let looks = 0; looks < 5; looks += 1)
    await pawl.store.rows("select pawl.tell_stale_locks_v1()");
  expect(told).toEqual([]);
  await clock.advance(LEASE_MS + 1);
  await until("the log says it", () => told.some((one) => one.includes("books:a")));
  expect(await events()).toEqual([]);
  expect(told).toHaveLength(1);
});

test("of eight who tell at once each lock is told of once", async () => {
  const { pawl, clock, dies, events } = await shop(ROUTED);
  await dies("a", "hold");
  await dies("b", "hold");
  await clock.advance(LEASE_MS + 1);
  const all = await Promise.all(
    Array.from({ length: 8 }, () =>
      pawl.store.rows<{ key: string }>("select pawl.tell_stale_locks_v1() as key"),
    ),
  );
  expect(
    all
      .flat()
      .map(({ key }) => key)
      .sort(),
  ).toEqual(["books:a", "books:b"]);
  expect(await events()).toHaveLength(2);
});
