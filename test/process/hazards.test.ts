/** What must not lose, repeat or hold up anything, each named after the hazard. */

import { expect, test } from "vitest";
import { z } from "zod";
import { defineProcess, type Pawl, Recoverable } from "../../src/index.ts";
import { openTransaction } from "../support/database.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const input = z.object({});
const BASE = { version: 1, input, retry: { attempts: 2, delay: 0 } } as const;

const stepsOf = async (pawl: Pawl, id: string) =>
  (await pawl.processes.show(id))?.steps.map(({ step, outcome }) => `${step} ${outcome}`);

test("a question after an interrupted call that fails stays open: the call does not run again", async () => {
  const calls: string[] = [];
  let isUp = false;
  const process = defineProcess({
    ...BASE,
    name: "asks",
    steps: (s) =>
      s.call("pay", () => void calls.push("paid"), {
        ifInterrupted: () => {
          calls.push("asked");
          if (!isUp) throw new Error("API down");
          return { output: "found" };
        },
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.store.rows(
    "insert into pawl.process_step (run_id, no, seq, step, outcome, next) values ($1, 1, 0, 'pay', 'began', 'pay')",
    [id],
  );
  await pawl.work();
  await untilStatus(pawl, id, "error");
  isUp = true;
  await pawl.dead.retry([id]);
  await untilStatus(pawl, id, "done");
  expect(calls).toEqual(["asked", "asked", "asked"]);
});

test("a hold is recorded with its step, or neither is: a text that cannot be stored lets nothing past it", async () => {
  const ran: string[] = [];
  const process = defineProcess({
    ...BASE,
    name: "holds",
    steps: (s) =>
      s
        .call("a", ({ hold, message, sent }) => {
          message("half \ud800 and \u0000");
          sent("x\ud800\u0000", { a: 1 });
          return hold("look \u0000 at it");
        })
        .tx("b", ({ hold }) => {
          ran.push("b");
          return hold("again");
        })
        .call("c", () => void ran.push("c")),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilStatus(pawl, id, "held");
  expect(ran).toEqual([]);
  await pawl.processes.release(id);
  await until("held before c", async () => (await stepsOf(pawl, id))?.includes("c held"));
  await untilStatus(pawl, id, "held");
  expect(ran).toEqual(["b"]);
  expect(await stepsOf(pawl, id)).toEqual(["a done", "b held", "b released", "b done", "c held"]);
});

test("an output of null stays null, also when it is read back after a failure", async () => {
  const seen: unknown[] = [];
  const process = defineProcess({
    ...BASE,
    name: "nulls",
    steps: (s) =>
      s
        .wait("word", { timeout: "1ms" })
        .call("nothing", () => null)
        .call("end", ({ outputs, attempt }) => {
          seen.push(outputs.word, outputs.nothing);
          if (attempt === 1) throw new Error("no");
        }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(seen).toEqual([null, null, null, null]);
});

test("an output with a field `status` is only an output", async () => {
  const process = defineProcess({
    ...BASE,
    name: "status",
    steps: (s) => s.call("last", () => ({ status: "abandoned" })),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await until("it has ended", async () => (await pawl.task(id))?.state === "done");
  expect((await pawl.processes.show(id))?.run.status).toBe("done");
});

test("each step has its own attempts: what others, a skip or a restart used up counts for nothing", async () => {
  const tries: string[] = [];
  const process = defineProcess({
    ...BASE,
    name: "counts",
    retry: { attempts: 3, delays: [0, "1h"] },
    steps: (s) =>
      s
        .call("first", ({ attempt }) => {
          tries.push(`first ${attempt}`);
          throw new Error("no");
        })
        .call(
          "second",
          ({ attempt }) => {
            tries.push(`second ${attempt}`);
            throw new Error("no");
          },
          { retry: { attempts: 2, delay: 0 } },
        ),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await until("two failed", () => tries.length === 2);
  await untilStatus(pawl, id, "retry");
  await pawl.processes.skip(id, "first");
  await untilStatus(pawl, id, "error");
  expect(tries).toEqual(["first 1", "first 2", "second 1", "second 2"]);
});

test("work that was done is not done again because its output cannot be stored", async () => {
  let ran = 0;
  const process = defineProcess({
    ...BASE,
    name: "outputs",
    retry: { attempts: 5, delay: 0 },
    steps: (s) =>
      s.call("pay", () => {
        ran += 1;
        return { n: 5n } as unknown as string;
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  const { run } = await untilStatus(pawl, id, "error");
  expect(ran).toBe(1);
  expect(run.error?.message).toContain('step "pay" has run, but what it returned cannot be stored');
  await pawl.processes.complete(id, "pay", { output: 5 });
  await untilStatus(pawl, id, "done");
  expect(ran).toBe(1);
});

test("operators at once: one decision is taken, and another about a step that was left is refused", async () => {
  const process = defineProcess({
    ...BASE,
    name: "twice",
    steps: (s) => s.wait("pay").wait("ship").wait("end"),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  const answers = await Promise.allSettled(
    Array.from({ length: 3 }, () => pawl.processes.complete(id, "pay", { output: 1 })),
  );
  expect(answers.filter((one) => one.status === "fulfilled")).toHaveLength(1);
  const [refused] = answers.filter((one) => one.status === "rejected");
  expect(refused?.reason).toMatchObject({
    code: "invalid_option",
    message: expect.stringContaining('does not stand at step "pay"'),
  });
  expect(await stepsOf(pawl, id)).toEqual(["pay completed"]);
});

test("a run in error whose key another run has taken is not restarted, and says so; a signal to it is kept", async () => {
  let isUp = false;
  const process = defineProcess({
    ...BASE,
    name: "keyed",
    retry: { attempts: 1 },
    key: () => "one",
    steps: (s) =>
      s
        .call("check", () => {
          if (!isUp) throw new Error("no");
        })
        .wait("word"),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  const worker = await pawl.work();
  await untilStatus(pawl, id, "error");
  await worker.stop();
  await pawl.signal(id, "word", "kept");
  const { id: other } = await pawl.start(process, {});
  await expect(pawl.processes.restart(id)).rejects.toMatchObject({
    code: "invalid_option",
    message: expect.stringContaining("another run with its key"),
  });
  expect(await stepsOf(pawl, id)).toEqual(["check failed"]);
  await pawl.processes.abandon(other);
  isUp = true;
  await pawl.processes.restart(id);
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect((await pawl.task(id))?.result).toBe("kept");
});

test("a signal in a transaction that stays open holds up no other run", async () => {
  const process = defineProcess({
    ...BASE,
    name: "open",
    steps: (s) => s.call("first", () => 1).wait("word"),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilStatus(pawl, id, "waiting");
  const tx = await openTransaction(pawl.store.url);
  await pawl.signal(id, "word", 1, { tx });
  const { id: next } = await pawl.start(process, {});
  await untilStatus(pawl, next, "waiting");
  await pawl.signal(next, "word", 2);
  await untilStatus(pawl, next, "done");
  await tx.query("commit");
  await untilStatus(pawl, id, "done");
});

test("a worker that stops leaves a run between its steps, and another one goes on", async () => {
  const ran: string[] = [];
  let stop: (() => Promise<unknown>) | undefined;
  const process = defineProcess({
    ...BASE,
    name: "stops",
    steps: (s) =>
      s
        .call("first", () => {
          ran.push("first");
          stop?.().catch(() => undefined);
        })
        .call("second", () => void ran.push("second"), { ifInterrupted: "hold" }),
  });
  const pawl = await pawlWith([process]);
  const worker = await pawl.work();
  stop = () => worker.stop();
  const { id } = await pawl.start(process, {});
  await worker.stopped;
  expect(ran).toEqual(["first"]);
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(ran).toEqual(["first", "second"]);
});

test("a condition that hangs, throws or answers neither true nor false fails its step, and is asked again", async () => {
  const asked: string[] = [];
  const process = defineProcess({
    ...BASE,
    name: "when",
    steps: (s) =>
      s
        .call("a", () => void asked.push("a ran"), {
          when: ({ attempt }) => {
            if (attempt === 1) throw new Error("not yet");
            return false;
          },
        })
        .call("b", ({ hold }) => hold("x"))
        .call("c", () => void asked.push("c ran"), { when: () => false })
        .call("d", () => void asked.push("d ran"), { when: () => 1 as never }),
  });
  const hangs = defineProcess({
    ...BASE,
    name: "hangs",
    timeout: "50ms",
    retry: { attempts: 1 },
    steps: (s) =>
      s.call("a", () => undefined, { when: () => new Promise(() => undefined) as never }),
  });
  const pawl = await pawlWith([process, hangs]);
  const { id } = await pawl.start(process, {});
  const { id: other } = await pawl.start(hangs, {});
  await pawl.work();
  await untilStatus(pawl, id, "held");
  await pawl.processes.release(id);
  const { run } = await untilStatus(pawl, id, "error");
  expect(asked).toEqual([]);
  expect(run.error?.message).toContain("neither true nor false");
  await untilStatus(pawl, other, "error");
});

test("a step that only has to be tried later is neither counted nor taken for interrupted", async () => {
  let tries = 0;
  const process = defineProcess({
    ...BASE,
    name: "later",
    steps: (s) =>
      s.call(
        "pay",
        () => {
          tries += 1;
          if (tries < 5) throw new Recoverable("not yet", { delay: "1ms" });
          return tries;
        },
        { ifInterrupted: "hold" },
      ),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect((await pawl.task(id))?.result).toBe(5);
});

test("a signal that does not fit does not put off the end of the wait", async () => {
  const process = defineProcess({
    ...BASE,
    name: "unfit",
    steps: (s) => s.wait("word", { schema: z.object({ n: z.number() }), timeout: "1h" }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilStatus(pawl, id, "waiting");
  await pawl.signal(id, "word", "no");
  await until("it is told", async () => (await stepsOf(pawl, id))?.includes("word failed"));
  await until("it waits", async () => (await pawl.task(id))?.state === "scheduled");
  expect(await stepsOf(pawl, id)).toEqual(["word waiting", "word failed"]);
  await pawl.signal(id, "word", { n: 1 });
  await untilStatus(pawl, id, "done");
});

test("the times of a parked run that ended are times, or none", async () => {
  const process = defineProcess({ ...BASE, name: "parked", steps: (s) => s.wait("word") });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await until("it is parked", async () => (await pawl.task(id))?.state === "parked");
  await pawl.processes.abandon(id);
  const { run } = await untilStatus(pawl, id, "abandoned");
  expect([run.runAt, (await pawl.task(id))?.runAt]).toEqual([null, null]);
});

test("no attempt starts later than the policy's `until`", async () => {
  const process = defineProcess({
    ...BASE,
    name: "until",
    retry: { attempts: 1_000, delays: ["1h"], until: "30m" },
    steps: (s) =>
      s.call("never", () => {
        throw new Error("no");
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilStatus(pawl, id, "error");
  expect(await pawl.dead.list()).toMatchObject([{ id, reason: "until" }]);
});

test("a run that is abandoned while a step runs ends as abandoned, with who and why", async () => {
  let isRunning = false;
  const process = defineProcess({
    ...BASE,
    name: "left",
    steps: (s) =>
      s
        .call("first", ({ signal }) => {
          isRunning = true;
          return new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
        })
        .call("second", () => undefined),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await until("it runs", () => isRunning);
  expect(await pawl.processes.abandon(id, { by: "ada", why: "enough" })).toMatchObject({
    outcome: "requested",
  });
  const { steps } = await untilStatus(pawl, id, "abandoned");
  expect(steps.at(-1)).toMatchObject({ outcome: "abandoned", by: "ada", why: "enough" });
});
