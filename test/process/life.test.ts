/** The life of a run: its steps, what they read and write, and what stops and wakes it. */

import { expect, test } from "vitest";
import { z } from "zod";
import { defineProcess, Unrecoverable } from "../../src/index.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const input = z.object({ order: z.number() });

test("steps run in order, each reads what those before it returned, and all of it is in the history", async () => {
  const seen: unknown[] = [];
  const process = defineProcess({
    name: "order",
    version: 1,
    input,
    steps: (s) =>
      s
        .tx("reserve", async ({ tx, input: { order } }) => {
          await tx.query("insert into reserved values ($1)", [order]);
          return { reserved: order, at: new Date(0) };
        })
        .call("pay", async ({ outputs, merge, message, sent, idempotencyKey }) => {
          seen.push(outputs.reserve.at, idempotencyKey);
          message("paid by card");
          merge({ card: "visa" });
          sent("charge", { amount: 5, password: "hunter2" });
          return outputs.reserve.reserved + 1;
        })
        .call("ship", ({ outputs, data }) => {
          seen.push(outputs.pay, data);
        }),
  });
  const pawl = await pawlWith([process]);
  await pawl.store.rows("create table reserved (n int)");
  const { id } = await pawl.start(process, { order: 7 });
  await pawl.work();
  const { run, steps } = await untilStatus(pawl, id, "done");
  expect(run).toMatchObject({ process: "order", version: 1, step: null });
  expect(seen).toEqual(["1970-01-01T00:00:00.000Z", `process-${id}-pay`, 8, { card: "visa" }]);
  expect(steps.map(({ step, outcome, output }) => [step, outcome, output])).toEqual([
    ["reserve", "done", { reserved: 7, at: "1970-01-01T00:00:00.000Z" }],
    ["pay", "done", 8],
    ["ship", "done", null],
  ]);
  expect(steps[1]).toMatchObject({ message: "paid by card", data: { card: "visa" } });
  expect(steps[1]?.sent).toEqual([
    { action: "charge", payload: { amount: 5, password: expect.not.stringContaining("hunter2") } },
  ]);
  expect(await pawl.store.rows("select n from reserved")).toEqual([{ n: 7 }]);
});

test("a step that fails is tried again, the steps before it are not, and its attempts are its own", async () => {
  const runs: string[] = [];
  const process = defineProcess({
    name: "flaky",
    version: 1,
    input,
    retry: { attempts: 3, delay: 0 },
    steps: (s) =>
      s
        .call("first", ({ attempt }) => {
          runs.push(`first ${attempt}`);
          if (attempt < 3) throw new Error("not yet");
        })
        .call("second", ({ attempt }) => {
          runs.push(`second ${attempt}`);
          if (attempt < 3) throw new Error("not yet");
        }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { order: 1 });
  await pawl.work();
  const { steps } = await untilStatus(pawl, id, "done");
  expect(runs).toEqual(["first 1", "first 2", "first 3", "second 1", "second 2", "second 3"]);
  expect(steps.map(({ step, outcome, attempt }) => `${step} ${outcome} ${attempt}`)).toEqual([
    "first failed 1",
    "first failed 2",
    "first done 3",
    "second failed 1",
    "second failed 2",
    "second done 3",
  ]);
  expect(steps[0]?.error).toMatchObject({ message: "not yet" });
});

test("R19 R24: a run whose attempts are spent is in error, which is its dead letter; restart goes on at the failed step", async () => {
  let isUp = false;
  const runs: string[] = [];
  const process = defineProcess({
    name: "spent",
    version: 1,
    input,
    retry: { attempts: 2, delay: 0 },
    steps: (s) =>
      s
        .call("first", () => void runs.push("first"))
        .call("second", () => {
          runs.push("second");
          if (!isUp) throw new Error("down");
        }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { order: 1 });
  await pawl.work();
  const { run } = await untilStatus(pawl, id, "error");
  expect(run).toMatchObject({ step: "second", error: { message: "down" } });
  expect(await pawl.dead.list()).toMatchObject([{ id, kind: "spent", reason: "attempts" }]);
  isUp = true;
  await pawl.processes.restart(id, { by: "ada", why: "it is up" });
  const { steps } = await untilStatus(pawl, id, "done");
  expect(runs).toEqual(["first", "second", "second", "second"]);
  expect(steps.at(-2)).toMatchObject({ outcome: "restarted", by: "ada", why: "it is up" });
  const audit = await pawl.audit.list({ target: `task:${id}` });
  expect(audit).toMatchObject([{ action: "processes.restart", by: "ada", why: "it is up" }]);

  await expect(pawl.processes.restart(id)).rejects.toMatchObject({ code: "task_not_found" });
});

test("R24: restart from an earlier step runs it again, under another idempotency key", async () => {
  const keys: string[] = [];
  const process = defineProcess({
    name: "again",
    version: 1,
    input,
    steps: (s) =>
      s
        .call("first", ({ idempotencyKey }) => void keys.push(idempotencyKey))
        .call("second", ({ idempotencyKey }) => {
          keys.push(idempotencyKey);
          if (keys.length < 4) throw new Unrecoverable("no");
        }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { order: 1 });
  await pawl.work();
  await untilStatus(pawl, id, "error");
  await expect(pawl.processes.restart(id, { step: "third" })).rejects.toMatchObject({
    code: "invalid_option",
    message: expect.stringContaining('no step "third"'),
  });
  await pawl.processes.restart(id, { step: "first" });
  await untilStatus(pawl, id, "done");
  expect(keys).toEqual([
    `process-${id}-first`,
    `process-${id}-second`,
    `process-${id}-first#2`,
    `process-${id}-second`,
  ]);
});

test("R35: a run waits for a signal, in no claim, and takes what came before it waited", async () => {
  const process = defineProcess({
    name: "approval",
    version: 1,
    input,
    steps: (s) =>
      s
        .wait("approved", { schema: z.object({ by: z.string() }) })
        .wait("shipped")
        .call("end", ({ outputs, end }) => end("done", `by ${outputs.approved.by}`)),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { order: 1 });
  await pawl.signal(id, "shipped", { carrier: "x" });
  await pawl.work();
  await until("it is parked", async () => (await pawl.task(id))?.state === "parked");
  const { run } = await untilStatus(pawl, id, "waiting");
  expect(run).toMatchObject({ step: "approved", waitsFor: "approved", until: null, runAt: null });
  expect((await pawl.why(id))?.line).toContain("waits at step approved for signal approved");
  await expect(pawl.signal(id, "aproved", {})).rejects.toMatchObject({ code: "invalid_option" });
  await pawl.signal(id, "approved", { by: 5 }); // does not fit: told, and waited on
  await until("it is told", async () =>
    (await pawl.processes.show(id))?.steps.some((step) => step.outcome === "failed"),
  );
  await pawl.signal(id, "approved", { by: "ada" });
  const { steps } = await untilStatus(pawl, id, "done");
  expect(steps.filter(({ outcome }) => outcome === "done")).toMatchObject([
    { step: "approved", output: { by: "ada" } },
    { step: "shipped", output: { carrier: "x" } },
  ]);
  expect(steps.at(-1)).toMatchObject({ step: "end", outcome: "ended", message: "by ada" });
  await expect(pawl.signal(id, "approved")).rejects.toMatchObject({ code: "task_not_found" });
});

test("R35: a wait ends at its time, and a sleep too", async () => {
  const process = defineProcess({
    name: "timers",
    version: 1,
    input,
    steps: (s) =>
      s
        .sleep("nap", "50ms")
        .wait("word", { timeout: "50ms", schema: z.object({ n: z.number() }) })
        .call("end", ({ outputs, end }) => end(outputs.word === null ? "skipped" : "done")),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { order: 1 });
  await pawl.work();
  const { steps } = await untilStatus(pawl, id, "skipped");
  expect(steps.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
    "nap sleeping",
    "nap done",
    "word waiting",
    "word done",
    "end ended",
  ]);
});

test("R25: a run that is abandoned runs no further step, whoever abandons it and why is kept", async () => {
  const process = defineProcess({
    name: "left",
    version: 1,
    input,
    steps: (s) => s.wait("word").call("never", () => undefined),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { order: 1 });
  await pawl.work();
  await untilStatus(pawl, id, "waiting");
  expect(await pawl.processes.abandon(id, { by: "ada", why: "a duplicate" })).toEqual({
    id,
    outcome: "abandoned",
  });
  const { run, steps } = await untilStatus(pawl, id, "abandoned");
  expect(run.step).toBeNull();
  expect(steps.at(-1)).toMatchObject({ outcome: "abandoned", by: "ada", why: "a duplicate" });
});

test("R34: a key answers the run that lives", async () => {
  const process = defineProcess({
    name: "keyed",
    version: 1,
    input,
    key: ({ order }) => `order-${order}`,
    steps: (s) => s.wait("word"),
  });
  const pawl = await pawlWith([process]);
  const first = await pawl.start(process, { order: 1 });
  expect(first.outcome).toBe("created");
  expect(await pawl.start(process, { order: 1 })).toEqual({ id: first.id, outcome: "duplicate" });
  expect((await pawl.start(process, { order: 2 })).outcome).toBe("created");
  const rows = await pawl.store.rows("select * from pawl.start_process($1, $2, $3)", [
    "keyed",
    { order: 1 },
    "order-1",
  ]);
  expect(rows).toEqual([{ id: first.id, outcome: "duplicate" }]);
  await expect(pawl.store.rows("select * from pawl.start_process('keyd', '{}')")).rejects.toThrow(
    'unknown process "keyd"',
  );
});

test("hold stops before the next step until it is released; skip and complete end the step where a run stands", async () => {
  const ran: string[] = [];
  const process = defineProcess({
    name: "held",
    version: 1,
    input,
    steps: (s) =>
      s
        .call("check", ({ hold }) => hold("look at it"))
        .call("first", () => {
          ran.push("first");
          throw new Unrecoverable("no");
        })
        .call("second", () => {
          ran.push("second");
          throw new Unrecoverable("no");
        })
        .call("third", ({ outputs }) => void ran.push(JSON.stringify(outputs))),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { order: 1 });
  await pawl.work();
  expect((await untilStatus(pawl, id, "held")).run).toMatchObject({
    step: "first",
    message: "look at it",
  });
  await pawl.processes.release(id);
  await untilStatus(pawl, id, "error");
  await expect(pawl.processes.release(id)).rejects.toMatchObject({ code: "invalid_option" });
  await pawl.processes.skip(id, "first");
  await until("the second failed", () => ran.includes("second"));
  await untilStatus(pawl, id, "error");
  await pawl.processes.complete(id, "second", { output: { by: "hand" } });
  await untilStatus(pawl, id, "done");
  expect(ran).toEqual(["first", "second", '{"second":{"by":"hand"}}']);
});

test("a start that rolls back starts nothing, and one that commits starts with the caller's rows", async () => {
  const process = defineProcess({ name: "tx", version: 1, input, steps: (s) => s.wait("word") });
  const pawl = await pawlWith([process]);
  await expect(
    pawl.transaction(async (tx) => {
      await pawl.start(process, { order: 1 }, { tx });
      throw new Error("no");
    }),
  ).rejects.toThrow("no");
  expect(await pawl.processes.list()).toEqual([]);
  const { id } = await pawl.transaction((tx) => pawl.start(process, { order: 1 }, { tx }));
  expect(await pawl.processes.list()).toMatchObject([{ id, status: "pending", step: "word" }]);
});

test("goto repeats steps, bounded", async () => {
  let rounds = 0;
  const process = defineProcess({
    name: "loop",
    version: 1,
    input,
    steps: (s) =>
      s
        .call("one", () => (rounds += 1))
        .call("two", ({ outputs, goto }) => (outputs.one < 3 ? goto("one") : undefined)),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { order: 1 });
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(rounds).toBe(3);
});
