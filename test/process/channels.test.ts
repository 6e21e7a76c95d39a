/** Channels are lanes: an error or a retry stops its lane and no other, by the delays of the policy. */

import { expect, test } from "vitest";
import { z } from "zod";
import { defineProcess, retryDelayMs, retrySeries, Unrecoverable } from "../../src/index.ts";
import { movableClock } from "../support/clock.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const MINUTE = 60_000;
/** 60 s × max(attempts − 3, 1). */
const LINEAR = {
  attempts: 50,
  delays: Array.from({ length: 49 }, (_, i) => `${60 * Math.max(i + 1 - 3, 1)}s` as const),
  jitter: 0,
};

test("R22: the linear policy is 60 s for the first four failures, a minute more for each after them, and the 50th is the last", () => {
  const series = retrySeries(LINEAR, "retry");
  const minutes = Array.from({ length: 49 }, (_, i) => retryDelayMs(series, i + 1, 0.5) / MINUTE);
  expect(minutes.slice(0, 8)).toEqual([1, 1, 1, 1, 2, 3, 4, 5]);
  expect(minutes.at(-1)).toBe(46);
  expect(series.attempts).toBe(50);
});

test("R22 R32: a step that fails stops its lane until its delay is over, then the run is in error; other lanes go on, and the lane after an operator's decision", async () => {
  const ran: string[] = [];
  const process = defineProcess({
    name: "invoice",
    version: 1,
    input: z.object({ n: z.number(), channel: z.string() }),
    lane: ({ channel }) => channel,
    retry: { ...LINEAR, attempts: 6, delays: LINEAR.delays.slice(0, 5) },
    steps: (s) =>
      s.call("send", ({ input: { n, channel }, attempt }) => {
        ran.push(`${channel}${n} ${attempt}`);
        if (n === 1 && channel === "a") throw new Error("down");
      }),
  });
  const pawl = await pawlWith([process]);
  const clock = await movableClock(pawl.store, { isSlow: true });
  await pawl.work();
  const start = async (channel: string, n: number) =>
    (await pawl.start(process, { n, channel })).id;
  const first = await start("a", 1);
  const others = [await start("a", 2), await start("a", 3)];
  const free = await start("b", 1);
  await untilStatus(pawl, free, "done");
  for (const [i, minutes] of [1, 1, 1, 1, 2].entries()) {
    const { run } = await untilStatus(pawl, first, "retry");
    await until("it failed once more", () => ran.includes(`a1 ${i + 1}`));
    expect(run.step).toBe("send");
    await clock.advance(minutes * MINUTE - 5_000);
    await untilStatus(pawl, await start("b", 10 + i), "done"); // the other lane goes on
    expect(ran).not.toContain(`a1 ${i + 2}`);
    await clock.advance(5_000);
    await until("its delay is over", () => ran.includes(`a1 ${i + 2}`));
  }
  await untilStatus(pawl, first, "error");
  for (const id of others) expect((await pawl.processes.show(id))?.run.status).toBe("pending");
  const lane = await pawl.processes.list({ lane: "a" });
  expect(lane.map(({ id, status }) => [id, status])).toEqual([
    ...others.map((id) => [id, "pending"]).reverse(),
    [first, "error"],
  ]);
  expect(new Set((await pawl.processes.list({ lane: "b" })).map((run) => run.status))).toEqual(
    new Set(["done"]),
  );
  await pawl.processes.abandon(first, { why: "sent by hand" });
  for (const id of others) await untilStatus(pawl, id, "done");
  expect(ran.filter((one) => one.startsWith("a") && !one.startsWith("a1"))).toEqual([
    "a2 1",
    "a3 1",
  ]);
});

test("R23: a step fails for good with its details, ends the run early, goes to another step, and merges into the run's data", async () => {
  const input = z.object({ how: z.enum(["fail", "end", "goto"]) });
  const ran: string[] = [];
  const process = defineProcess({
    name: "ways",
    version: 1,
    input,
    steps: (s) =>
      s
        .call("first", ({ input: { how }, merge, end, goto }) => {
          merge({ how, n: 1 });
          if (how === "fail") {
            throw new Unrecoverable("the shop refused it", { cause: new Error("status 422") });
          }
          return how === "end" ? end("skipped", "nothing to do") : goto("third");
        })
        .call("second", () => void ran.push("second"))
        .call("third", ({ data, merge }) => {
          merge({ n: 2 });
          ran.push(JSON.stringify(data));
        })
        .call("fourth", ({ data }) => void ran.push(JSON.stringify(data))),
  });
  const pawl = await pawlWith([process]);
  await pawl.work();
  const start = async (how: "fail" | "end" | "goto") => (await pawl.start(process, { how })).id;

  const failed = await untilStatus(pawl, await start("fail"), "error");
  expect(failed.run.error).toMatchObject({
    message: "the shop refused it",
    cause: "status 422",
  });
  expect(failed.steps).toMatchObject([{ outcome: "failed", attempt: 1 }]);
  const ended = await untilStatus(pawl, await start("end"), "skipped");
  expect(ended.steps).toMatchObject([{ outcome: "ended", message: "nothing to do" }]);
  await untilStatus(pawl, await start("goto"), "done");
  expect(ran).toEqual(['{"how":"goto","n":1}', '{"how":"goto","n":2}']);
});
