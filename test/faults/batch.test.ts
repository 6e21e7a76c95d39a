import { expect, test } from "vitest";
import { fleet } from "../support/fleet.ts";
import { until } from "../support/until.ts";
import { bulkJob } from "../support/worker-child.ts";

const KILLS_MAX = 10;

test("R64 R69b: a worker that is killed in a batch leaves all of its tasks to others; the one that kills is found, and dead alone", async () => {
  const workers = await fleet();
  try {
    const { pawl } = workers;
    const inputs = Array.from({ length: 10 }, (_, n) => ({ isPoison: n === 5 }));
    const ids = (await pawl.enqueueMany(bulkJob, inputs)).map(({ id }) => id);
    const poison = ids[5] ?? "";
    for (let kills = 0; (await pawl.task(poison))?.state !== "dead"; kills += 1) {
      expect(kills).toBeLessThan(KILLS_MAX);
      const pid = await workers.start(20);
      await workers.ended(pid);
      await workers.bury(pid);
      if (kills > 0) continue;
      const rows = await pawl.store.rows<{ attempts: string }>(
        "select distinct attempt as attempts from pawl.task where id = any($1)",
        [ids],
      );
      expect(rows).toEqual([{ attempts: 1 }]); // lost, all of them, and counted
    }
    const pid = await workers.start(20);
    const others = ids.filter((id) => id !== poison);
    await until("the others are done", async () => {
      const tasks = await Promise.all(others.map((id) => pawl.task(id)));
      return tasks.every((task) => task?.state === "done");
    });
    expect(await pawl.task(poison)).toMatchObject({ state: "dead", reason: "crashed" });
    expect(workers.live).toEqual([pid]);
  } finally {
    await workers.stop();
  }
});
