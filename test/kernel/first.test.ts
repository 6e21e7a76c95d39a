import { expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineJob } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

test("R52: a task enqueued in a transaction runs once it is committed", async () => {
  const { url } = await freshDatabase();
  const hello = defineJob({
    name: "hello",
    input: z.object({ n: z.number() }),
    run: ({ n }) => n + 1,
  });
  const pawl = await connect(defineApp({ jobs: [hello] }), { databaseUrl: url, log: silentLogger });
  const { id } = await pawl.transaction((tx) => pawl.enqueue(hello, { n: 1 }, { tx }));
  await pawl.work();
  const task = await until("the task is done", async () => {
    const found = await pawl.task(id);
    return found?.state === "done" && found;
  });
  expect(task.result).toBe(2);
  await pawl.close();
});
