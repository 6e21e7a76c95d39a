import { expect, test } from "vitest";
import { rawClient } from "../support/database.ts";
import { accountJob, EFFECT_TABLE, effectApp, quietJob } from "../support/effect-child.ts";
import { fleet } from "../support/fleet.ts";
import { count } from "../support/kernel.ts";
import { stalls } from "../support/stalls.ts";
import { until } from "../support/until.ts";

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
    const stalledMs = stalls();
    const frozenAt = performance.now();
    process.kill(holder, "SIGSTOP");
    await client.query("select from account for update"); // waits
    const freeMs = performance.now() - frozenAt;
    expect(freeMs - stalledMs()).toBeLessThan(15_000);
    const ended = await until("the task has run elsewhere", async () => {
      const task = await pawl.task(id);
      return task?.state === "done" && task;
    });
    const backMs = performance.now() - frozenAt;
    expect(backMs - stalledMs()).toBeLessThan(15_000);
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
    console.log(`its locks were free after ${Math.round(freeMs)} ms`);
  } finally {
    await workers.stop();
  }
});
