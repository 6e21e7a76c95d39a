/** Workers that end after a time, and steps that could last longer. */

import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import type { Logger } from "../../src/base/log.ts";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineProcess, type Pawl } from "../../src/index.ts";
import { movableClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

async function shop(ran: string[], log: Logger = silentLogger) {
  const step = (name: string) => (context: { input: { no: number } }) =>
    void ran.push(`${name} ${context.input.no}`);
  const process = defineProcess({
    name: "order",
    version: 1,
    input: z.object({ no: z.number(), lane: z.string() }),
    lane: ({ lane }) => lane,
    steps: (s) =>
      s
        .call("unlimited", step("unlimited"))
        .tx("short", step("short"), { timeout: "1m" })
        .call("long", step("long"), { timeout: "5h", when: ({ input }) => input.no !== 3 })
        .each("items", {
          items: () => [1],
          run: (_, { input }) => void ran.push(`item ${input.no}`),
          timeout: "1m",
        }),
  });
  const { url } = await freshDatabase({ longLeases: true });
  const pawl = await connect(defineApp({ name: "shop", processes: [process] }), {
    databaseUrl: url,
    log,
  });
  onTestFinished(() => pawl.close());
  const start = async (no: number, lane: string) => (await pawl.start(process, { no, lane })).id;
  return { pawl, start, clock: await movableClock(pawl.store, { isSlow: true }) };
}

const scheduled = (pawl: Pawl, id: string) =>
  until(`run ${id} waits`, async () => (await pawl.task(id))?.state === "scheduled");

test("R20: a step that could outlast its worker does not start there; its run waits at no cost to its attempts, its lane keeps its order, and another worker goes on", async () => {
  const ran: string[] = [];
  const warned: unknown[] = [];
  const log = { ...silentLogger, warn: (data: object) => void warned.push(data) };
  const { pawl, start, clock } = await shop(ran, log);
  const worker = await pawl.work({ timeLimit: "4h" });
  expect(warned).toContainEqual(
    expect.objectContaining({ process: "order", steps: ["long"], timeLimitMs: 14_400_000 }),
  );
  const first = await start(1, "one");
  await scheduled(pawl, first);
  const second = await start(2, "one");
  expect(ran).toEqual(["unlimited 1", "short 1"]);
  expect((await untilStatus(pawl, first, "pending")).run).toMatchObject({
    step: "long",
    attempt: 0,
  });
  await clock.advance(11_000); // this worker takes it again, and leaves it again
  await until("it has been looked at again", async () => {
    const [row] = await pawl.store.rows<{ looks: number }>(
      "select count(*)::int as looks from pawl.attempt where task_id = $1",
      [first],
    );
    return (row?.looks ?? 0) >= 2;
  });
  expect(ran).toEqual(["unlimited 1", "short 1"]);
  await worker.stop();
  const whole = await pawl.work();
  await clock.advance(11_000);
  whole.wake();
  const { steps } = await untilStatus(pawl, second, "done");
  expect(ran).toEqual(
    [1, 2].flatMap((no) => ["unlimited", "short", "long", "item"].map((name) => `${name} ${no}`)),
  );
  expect(steps.every(({ attempt }) => attempt === 1)).toBe(true);
});

test("R20: what fits into the time of its worker runs there, and nothing that waits for a longer one keeps `--until-idle` from its end", async () => {
  const ran: string[] = [];
  const { pawl, start } = await shop(ran);
  const worker = await pawl.work({ timeLimit: "4h" });
  const long = await start(1, "one");
  const short = await start(3, "three");
  await untilStatus(pawl, short, "done");
  await scheduled(pawl, long);
  await until(
    "it has nothing to do",
    async () => worker.isIdle && !(await worker.isWorkLeft(1_000)),
  );
  expect(ran.filter((one) => one.endsWith("3"))).toEqual(["unlimited 3", "short 3", "item 3"]);
  expect(ran.filter((one) => one.startsWith("long"))).toEqual([]);
});

test("R20: a worker that is embedded ends by itself when its time is over", async () => {
  const { pawl } = await shop([]);
  const worker = await pawl.work({ timeLimit: "1ms" });
  expect(await worker.stopped).toEqual({ givenBack: 0 });
});

test("a call whose worker died in it stays begun when a worker looks at it that would end too soon: it is held, and not done again", async () => {
  let times = 0;
  const process = defineProcess({
    name: "pay",
    version: 1,
    input: z.object({}),
    steps: (s) =>
      s.call(
        "pay",
        () => {
          times += 1;
          return new Promise(() => undefined); // until its worker is given up
        },
        { timeout: "5h", ifInterrupted: "hold" },
      ),
  });
  const { url } = await freshDatabase({ longLeases: true });
  const pawl = await connect(defineApp({ name: "shop", processes: [process] }), {
    databaseUrl: url,
    log: silentLogger,
  });
  onTestFinished(() => pawl.close());
  const clock = await movableClock(pawl.store, { isSlow: true });
  const died = await pawl.work({ grace: 0 });
  const { id } = await pawl.start(process, {});
  await until("it pays", () => times === 1);
  await pawl.store.rows("update pawl.worker set lease_until = '-infinity'");
  await died.stop();
  await pawl.store.rows("select pawl.rescue_v1()");
  const short = await pawl.work({ timeLimit: "4h" });
  await until("it has been looked at", async () => {
    await clock.advance(60_000); // what was lost may be tried later
    short.wake();
    const looks = "select from pawl.attempt where task_id = $1 and outcome <> 'lost'";
    return (await pawl.store.rows(looks, [id])).length > 0;
  });
  await short.stop();
  const whole = await pawl.work();
  await clock.advance(60_000);
  whole.wake();
  const { steps } = await untilStatus(pawl, id, "held");
  expect(steps.map(({ outcome }) => outcome)).toEqual(["began", "held"]);
  expect(times).toBe(1);
});
