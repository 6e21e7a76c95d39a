/** What `pawl why` says of runs, and what Pawl records when one is in error. */

import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineProcess,
  flow,
  type OutboxEvent,
  on,
  Unrecoverable,
} from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const input = z.object({ way: z.string() });
const waits = defineProcess({
  name: "waits",
  version: 1,
  input,
  key: ({ way }) => way,
  retry: { attempts: 2, delay: "1h" },
  steps: (s) =>
    s
      .call("decide", ({ input: { way }, hold }) => {
        if (way === "retry") throw new Error("503 Service Unavailable");
        if (way === "error") throw new Unrecoverable("no such customer");
        return way === "held" ? hold("look at it") : undefined;
      })
      .wait("approved", { when: ({ input: { way } }) => way === "waiting" })
      .sleep("rest", "2h"),
});

test.each([
  [
    "waiting",
    /^waits at step approved for signal approved; `pawl processes signal \d+ approved` sends it \(with `--payload '<json>'` if the step takes one\), `pawl processes skip \d+ approved` leaves that out$/,
  ],
  [
    "sleeping",
    /^sleeps at step rest until \d{4}-\S+Z; `pawl processes skip \d+ rest` ends that now$/,
  ],
  [
    "held",
    /^held at step approved \("look at it"\) until an operator decides; `pawl processes release \d+` runs the step, /,
  ],
  [
    "retry",
    /^step decide failed \("503 Service Unavailable"\), and is tried again at \d{4}-\S+Z; `pawl processes work \d+` tries it now$/,
  ],
  [
    "error",
    /^in error at step decide \("no such customer"\); `pawl processes restart \d+` tries it again, /,
  ],
] as const)(
  "a run that is %s says at which step, until when, and what an operator can do",
  async (way, line) => {
    const pawl = await pawlWith([waits]);
    const { id } = await pawl.start(waits, { way });
    await pawl.work();
    await untilStatus(pawl, id, way);
    const why = await pawl.why(id);
    expect(why).toMatchObject({
      id,
      subject: `run ${id} of process waits version 1`,
      line: expect.stringMatching(line),
    });
  },
);

test("a run that no worker takes is told like every task, and with its step", async () => {
  const pawl = await pawlWith([waits]);
  const { id } = await pawl.start(waits, { way: "sleeping" });
  expect(await pawl.why(id)).toMatchObject({
    line: expect.stringMatching(/^at step decide, ready for .* no live worker knows kind waits/),
  });
});

test("R31: a run in error is told once by pawl.process.error, with its step, and not by pawl.task.dead too; again if it dies again", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const seen: OutboxEvent[] = [];
  const app = defineApp({
    processes: [waits],
    destinations: {
      alarm: flow(async (event) => {
        seen.push(event);
      }),
    },
    routes: [on("pawl.process.error").to("alarm"), on("pawl.task.dead").to("alarm")],
  });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  const { id } = await pawl.start(waits, { way: "error" });
  await pawl.work();
  await until("the alarm came", () => seen.length === 1);
  expect(seen[0]).toMatchObject({
    name: "pawl.process.error",
    aggregateType: "run",
    aggregateId: id,
    payload: {
      runId: id,
      taskId: id,
      process: "waits",
      version: 1,
      step: "decide",
      reason: "unrecoverable",
      error: { message: "no such customer" },
    },
  });
  await pawl.processes.restart(id);
  await until("it came again", () => seen.length === 2);
  expect(seen.map((event) => event.name)).toEqual(["pawl.process.error", "pawl.process.error"]);
});
