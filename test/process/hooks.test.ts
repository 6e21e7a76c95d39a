/** The hooks of a process: which of them are steps, and what each of them can stop. */

import { expect, test } from "vitest";
import { z } from "zod";
import { defineProcess, Recoverable, type StepContext, type StepTask } from "../../src/index.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { handleTask2 } from "./tasks/handle-task-2.ts";

const input = z.object({ lines: z.number() });
const BASE = { version: 1, input, retry: { attempts: 2, delay: 0 } } as const;

/** The document's example class: one step is a method, the other one a task in a module of its own. */
class DefaultProcess {
  readonly calls: string[] = [];

  readonly process = defineProcess({
    ...BASE,
    name: "default",
    steps: (s) => s.call("step1", (context) => this.handleTask(context)).call("step2", handleTask2),
    validate: ({ input: { lines } }) => this.note(`validate ${lines}`),
    start: ({ merge }) => {
      this.note("start");
      merge({ by: "start" });
    },
    finish: ({ outputs, data }) =>
      this.note(`finish ${JSON.stringify(outputs)} ${JSON.stringify(data)}`),
    beforeStep: ({ step }) => this.note(`before ${step}`),
    onError: (error, { step }) => this.note(`error in ${step}: ${(error as Error).message}`),
  });

  handleTask({ message }: StepContext): { lines: number } {
    message("Task completed");
    return { lines: 2 };
  }

  private note(line: string): undefined {
    this.calls.push(line);
  }
}

test("R15: a process of a method and of a task in a module runs its hooks around its steps, in order, each recorded", async () => {
  const { process, calls } = new DefaultProcess();
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { lines: 2 });
  await pawl.work();
  const { steps } = await untilStatus(pawl, id, "done");
  expect(steps.map(({ step, outcome, message }) => `${step} ${outcome}: ${message}`)).toEqual([
    "validate done: null",
    "start done: null",
    "step1 done: Task completed",
    "step2 failed: null",
    "step2 done: doubled 2 lines",
    "finish done: null",
  ]);
  expect(calls).toEqual([
    "validate 2",
    "start",
    "before step1",
    "before step2",
    "error in step2: not yet",
    "before step2",
    'finish {"step1":{"lines":2},"step2":4} {"by":"start"}',
  ]);
  expect((await pawl.task(id))?.result).toBe(4);
  expect((await pawl.processes.versions("default"))[0]?.steps).toEqual([
    "validate",
    "start",
    "step1",
    "step2",
    "finish",
  ]);
});

test("R19: a finish hook that failed is tried again alone, and so it is after a restart; its attempts are its own", async () => {
  const calls: string[] = [];
  let isUp = false;
  const process = defineProcess({
    ...BASE,
    name: "finishes",
    steps: (s) => s.call("pay", () => calls.push("pay")).tx("book", () => void calls.push("book")),
    finish: ({ attempt, idempotencyKey }) => {
      calls.push(`finish ${attempt} ${idempotencyKey.replace(/\d+/, "n")}`);
      if (!isUp) throw new Error("mail is down");
    },
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { lines: 1 });
  await pawl.work();
  const { run } = await untilStatus(pawl, id, "error");
  expect(run).toMatchObject({ step: "finish", error: { message: "mail is down" } });
  isUp = true;
  await pawl.processes.restart(id, { by: "ada" });
  await untilStatus(pawl, id, "done");
  expect(calls).toEqual([
    "pay",
    "book",
    "finish 1 process-n-finish",
    "finish 2 process-n-finish",
    "finish 1 process-n-finish",
  ]);
});

test("after an early end the finish hook runs, and the status of the end stays, also if the hook had to be skipped", async () => {
  const calls: string[] = [];
  let isUp = true;
  const process = defineProcess({
    ...BASE,
    name: "ends",
    steps: (s) =>
      s
        .call("look", ({ end }) => end("skipped", "nothing to do"))
        .call("pay", () => void calls.push("pay")),
    finish: ({ outputs }) => {
      calls.push(`finish ${JSON.stringify(outputs)}`);
      if (!isUp) throw new Error("no");
    },
  });
  const pawl = await pawlWith([process]);
  const first = await pawl.start(process, { lines: 1 });
  await pawl.work();
  const { run, steps } = await untilStatus(pawl, first.id, "skipped");
  expect(run).toMatchObject({ step: null, message: "nothing to do" });
  expect(steps.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
    "look ended",
    "finish done",
  ]);
  isUp = false;
  const second = await pawl.start(process, { lines: 1 });
  await untilStatus(pawl, second.id, "error");
  await pawl.processes.skip(second.id, "finish");
  await untilStatus(pawl, second.id, "skipped");
  expect(await pawl.processes.list({ status: "skipped" })).toHaveLength(2);
  expect(calls).toEqual(["finish {}", "finish {}", "finish {}"]);
});

test("a run whose end was taken back by an operator ends as done", async () => {
  let isUp = false;
  const process = defineProcess({
    ...BASE,
    name: "back",
    steps: (s) =>
      s.call("look", ({ end }) => (isUp ? "found" : end("skipped"))).call("pay", () => "paid"),
    finish: () => {
      if (!isUp) throw new Error("no");
    },
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { lines: 1 });
  await pawl.work();
  await untilStatus(pawl, id, "error");
  isUp = true;
  await pawl.processes.restart(id, { step: "look" });
  await untilStatus(pawl, id, "done");
  expect((await pawl.task(id))?.result).toBe("paid");
});

test("what a last step returns is no status of the run", async () => {
  const process = defineProcess({
    ...BASE,
    name: "status",
    steps: (s) => s.call("only", () => ({ status: "skipped" })),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { lines: 1 });
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(await pawl.processes.list({ status: "skipped" })).toEqual([]);
});

test("validate: what it returns or throws puts the run into error at once, with a row, before anything was done", async () => {
  const calls: string[] = [];
  const answers: Record<number, () => unknown> = {
    1: () => "no lines",
    2: () => {
      throw new Error("no customer");
    },
    3: () => false,
  };
  const process = defineProcess({
    ...BASE,
    name: "validates",
    retry: { attempts: 5, delay: 0 },
    validate: ({ input: { lines } }) => {
      calls.push(`validate ${lines}`);
      return answers[lines]?.();
    },
    start: () => void calls.push("start"),
    steps: (s) => s.call("pay", () => void calls.push("pay")),
    finish: () => void calls.push("finish"),
  });
  const pawl = await pawlWith([process]);
  await pawl.work();
  const expected: Record<number, string> = {
    1: "validate: no lines",
    2: "validate: no customer",
    3: "validate: returned false, neither a text",
  };
  for (const [lines, message] of Object.entries(expected)) {
    const { id } = await pawl.start(process, { lines: Number(lines) });
    const { run, steps } = await untilStatus(pawl, id, "error");
    expect(run).toMatchObject({ step: "validate", attempt: 1 });
    expect(run.error?.message).toContain(message);
    expect(steps).toMatchObject([{ step: "validate", outcome: "failed" }]);
    answers[Number(lines)] = () => undefined;
    if (lines === "1") await pawl.processes.restart(id);
    else await pawl.processes.skip(id, "validate");
    await untilStatus(pawl, id, "done");
  }
  const rest = "start pay finish";
  expect(calls.join(" ")).toBe(
    `validate 1 validate 1 ${rest} validate 2 ${rest} validate 3 ${rest}`,
  );
});

test("validate that says that it cannot answer now is asked again", async () => {
  let asked = 0;
  const process = defineProcess({
    ...BASE,
    name: "later",
    validate: () => {
      asked += 1;
      if (asked < 4) throw new Recoverable("the API is down", { delay: "1ms" });
    },
    steps: (s) => s.call("pay", () => "paid"),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { lines: 1 });
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(asked).toBe(4);
});

test("a start hook that fails is retried by the process's policy, and no step runs before it is done", async () => {
  const calls: string[] = [];
  const process = defineProcess({
    ...BASE,
    name: "starts",
    start: ({ attempt, hold }) => {
      calls.push(`start ${attempt}`);
      if (attempt === 1) throw new Error("no");
      return hold("look at it");
    },
    steps: (s) => s.call("pay", () => void calls.push("pay")),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { lines: 1 });
  await pawl.work();
  const { run } = await untilStatus(pawl, id, "held");
  expect(run).toMatchObject({ step: "pay", message: "look at it" });
  await pawl.processes.release(id);
  await untilStatus(pawl, id, "done");
  expect(calls).toEqual(["start 1", "start 2", "pay"]);
});

test("hooks are part of the shape, and their names are theirs only where they are defined", async () => {
  const plain = defineProcess({
    ...BASE,
    name: "names",
    steps: (s) => s.call("start", () => "a").call("finish", () => "b"),
  });
  expect(() =>
    defineProcess({
      ...BASE,
      name: "names",
      steps: (s) => s.call("finish", () => 1),
      finish: () => undefined,
    }),
  ).toThrow('process "names": a step has the name of the hook `finish`');
  const pawl = await pawlWith([plain]);
  await pawl.start(plain, { lines: 1 });
  const hooked = defineProcess({
    ...BASE,
    name: "names",
    steps: (s) => s.call("first", () => 1),
    start: () => undefined,
    finish: () => undefined,
  });
  await expect(pawlWith([hooked], pawl.databaseUrl)).rejects.toMatchObject({
    code: "process_changed",
    message: expect.stringContaining("+ hook start\n+ call first\n+ hook finish\n- call start"),
  });
});

test("a task of a class is called as its method, with the options of the task or of the list; what is none is refused", async () => {
  class Ship implements StepTask<StepContext<{ lines: number }>> {
    readonly options = { timeout: "20ms", retry: { attempts: 1 } } as const;
    readonly #factor = 3;

    run({ input: { lines } }: StepContext<{ lines: number }>): number {
      return lines * this.#factor;
    }
  }
  const hangs = { run: () => new Promise<void>(() => undefined), options: new Ship().options };
  const process = defineProcess({
    ...BASE,
    name: "tasks",
    steps: (s) =>
      s
        .tx("ship", new Ship())
        .call("bill", ({ outputs: { ship } }) => ship + 1)
        .call("hangs", hangs, { retry: { attempts: 2, delay: 0 } }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, { lines: 2 });
  await pawl.work();
  const { steps } = await untilStatus(pawl, id, "error");
  expect(steps).toMatchObject(
    [
      { step: "ship", output: 6 },
      { step: "bill", output: 7 },
      { step: "hangs", outcome: "failed", attempt: 1, error: { message: /20 ms/ } },
      { step: "hangs", outcome: "failed", attempt: 2 },
    ].map((row) => ({ ...row, ...(row.error && { error: expect.anything() }) })),
  );
  const define = (work: unknown, options?: unknown) => () =>
    defineProcess({
      ...BASE,
      name: "odd",
      steps: (s) => s.call("one", work as never, options as never),
    });
  for (const odd of [undefined, null, "f", {}, { run: "f" }])
    expect(define(odd)).toThrow("a function, or an object with a method `run`");
  expect(define({ run: () => 1, options: { tmeout: 1 } })).toThrow('did you mean "timeout"');
  expect(define({ run: () => 1, options: 5 })).toThrow(/object/);
  expect(define({ run: () => 1, options: {} }, 5)).toThrow(/object/);
});
