import type pg from "pg";
import { expect, test } from "vitest";
import { rawClient } from "../support/database.ts";
import { accountJob, EFFECT_TABLE, effectApp, quietJob } from "../support/effect-child.ts";
import { fleet } from "../support/fleet.ts";
import { count } from "../support/kernel.ts";
import { lateBeats } from "../support/late-beats.ts";
import { slowness } from "../support/slowness.ts";
import { until } from "../support/until.ts";

/** Of what the machine does for a way back, against a heartbeat. */
const LATE_TIMES = 4;

async function clockOf(client: pg.Client): Promise<Date> {
  const { rows } = await client.query("select clock_timestamp() as now");
  return rows[0].now;
}

test("R64: what a frozen worker's transaction has locked is free when its lease ends; a slow handler in a live one is not cut off", async () => {
  const workers = await fleet({ app: effectApp, child: "effect-child.ts", setUp: EFFECT_TABLE });
  const { pawl } = workers;
  const { store } = pawl;
  try {
    const holder = await workers.start(1);
    const { id } = await pawl.enqueue(accountJob, {});
    await until("the account is locked", async () => {
      const free = await store.rows("select from account for update skip locked");
      return free.length === 0;
    });
    const other = await workers.start(2);
    const quiet = await pawl.enqueue(quietJob, {});
    await until("both run", async () => (await count(store, "claim")) === 2);
    const client = await rawClient(store.url);
    const beats = lateBeats(store, await workers.workerOf(other));
    const slowMs = slowness(store);
    const frozenAt = await clockOf(client);
    const expectInTime = (at: Date) => {
      const lateMs = LATE_TIMES * beats.sumMs(frozenAt, at) + slowMs();
      expect(Number(at) - Number(frozenAt)).toBeLessThan(15_000 + lateMs);
    };
    process.kill(holder, "SIGSTOP");
    // its time is told where it is free: this process may hear of it late
    const freed = client.query<{ at: Date }>(
      "with free as materialized (select from account for update) select clock_timestamp() as at from free",
    );
    const ended = await until("the task has run elsewhere", async () => {
      await beats.look();
      const task = await pawl.task(id);
      return task?.state === "done" && task;
    });
    const free = (await freed).rows[0]?.at ?? new Date(0);
    expectInTime(free);
    expectInTime(ended.endedAt ?? new Date(0));
    process.kill(holder, "SIGCONT");
    await workers.drained(holder);
    expect(ended).toMatchObject({ attempt: 2 });
    expect(await store.rows("select * from account")).toEqual([{ balance: 9, pid: other }]);
    const slow = await until("the slow one is done", async () => {
      const task = await pawl.task(quiet.id);
      return task?.state === "done" && task;
    });
    expect(slow.attempt).toBe(1);
    expect(await count(store, "dead")).toBe(0);
    console.log(`its locks were free after ${Number(free) - Number(frozenAt)} ms`);
  } finally {
    await workers.stop();
  }
});
