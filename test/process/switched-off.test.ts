/** A run whose process, queue or host is turned off: it starts no further step, and loses nothing of what it has done. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  type AnyProcess,
  connect,
  defineApp,
  defineJob,
  defineProcess,
  type Pawl,
} from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { databaseProxy } from "../support/database-proxy.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const input = z.object({});

/** Its first step ends when it is let go. */
function gated(name: string) {
  const seen: string[] = [];
  let letGo: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const process = defineProcess({
    name,
    version: 1,
    input,
    steps: (s) =>
      s
        .call("first", async () => {
          seen.push("first");
          await gate;
        })
        .tx("second", async () => {
          seen.push("second");
        })
        .call("third", () => {
          seen.push("third");
        }),
  });
  return { process, seen, letGo };
}

test.each(["process:order", "queue:processes", "all"])(
  "%s off: a step that runs ends, the next one begins when it is on again, and no step runs twice",
  async (scope) => {
    const { process, seen, letGo } = gated("order");
    const pawl = await pawlWith([process]);
    const { id } = await pawl.start(process, {});
    await pawl.work();
    await until("the first step runs", () => seen.length === 1);
    const off = await pawl.switches.off(scope, { by: "ada", why: "a drill" });
    expect(off).toMatchObject({ scope, running: 1 });
    letGo();
    // with --wait it returns soon, and not when the run has ended
    expect(await pawl.switches.off(scope, { by: "ada", wait: true })).toMatchObject({ running: 0 });
    const { run, steps } = await untilStatus(pawl, id, "pending");
    expect(run.step).toBe("second");
    expect(steps.map((step) => step.outcome)).toEqual(["done"]);
    const why = await until("it is ready, and held", async () => {
      const { line } = await pawl.why(id);
      return line.startsWith("at step second, ready, held") && line;
    });
    expect(why).toContain(`${scope} has been off for `);
    expect(why).toContain(`by ada; \`pawl on ${scope}\``);
    expect(seen).toEqual(["first"]);
    expect(await pawl.on(scope)).toBe(true);
    await untilStatus(pawl, id, "done");
    expect(seen).toEqual(["first", "second", "third"]);
  },
);

test("another process, and a job with the name of the one that is off, go on", async () => {
  const { process, seen, letGo } = gated("order");
  const other = defineProcess({
    name: "invoice",
    version: 1,
    input,
    steps: (s) => s.call("one", () => undefined).call("two", () => undefined),
  });
  let jobs = 0;
  const job = defineJob({
    name: "order",
    input,
    run: () => {
      jobs += 1;
    },
  });
  const { url } = await freshDatabase({ longLeases: true });
  const app = defineApp({ processes: [process, other], jobs: [job] });
  const pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  onTestFinished(() => pawl.close());
  await pawl.work();
  const held = await pawl.start(process, {});
  await until("its first step runs", () => seen.length === 1);
  await pawl.processes.pause("order");
  letGo();
  const { id } = await pawl.start(other, {});
  await untilStatus(pawl, id, "done");
  const task = await pawl.enqueue(job, {});
  await until("the job has run", () => jobs === 1);
  await pawl.off("kind:order");
  const second = await pawl.enqueue(job, {});
  await pawl.processes.resume("order");
  await untilStatus(pawl, held.id, "done"); // which `kind:order` is not
  expect((await pawl.why(second.id)).line).toContain("kind:order has been off");
  expect(jobs).toBe(1);
  await pawl.on("kind:order");
  await until("it has run too", () => jobs === 2);
  await until("both are done", async () => {
    const both = await Promise.all([task, second].map(({ id: one }) => pawl.task(one)));
    return both.every((one) => one?.state === "done");
  });
  expect(jobs).toBe(2);
});

/** A worker whose answers can be held, and a person beside it. */
async function behindProxy(process: AnyProcess) {
  const { url } = await freshDatabase();
  const proxy = await databaseProxy(url);
  const person = await pawlWith([process], url);
  const pawl = await connect(defineApp({ processes: [process] }), {
    databaseUrl: proxy.url,
    log: silentLogger,
  });
  onTestFinished(() => pawl.close());
  return { proxy, person, worker: pawl };
}

const began = (id: string, pawl: Pawl) => async () => {
  const shown = await pawl.processes.show(id);
  return shown?.steps.some((step) => step.outcome === "began") === true;
};

test("a run whose steps are being read when it is turned off starts none, and keeps the count of its attempts", async () => {
  const attempts: number[] = [];
  const process = defineProcess({
    name: "order",
    version: 1,
    input,
    steps: (s) =>
      s.call("pay", ({ attempt }) => {
        attempts.push(attempt);
        if (attempt === 1) throw new Error("not yet");
      }),
  });
  const { proxy, person, worker } = await behindProxy(process);
  const { id } = await person.start(process, {});
  const first = await worker.work();
  await untilStatus(person, id, "retry");
  await first.stop();
  const answer = proxy.holdAnswerTo("load_runs_v1");
  await person.tasks.retry(id);
  await worker.work();
  await until("its steps are on their way", () => answer.isHeld);
  await person.processes.pause("order");
  answer.release();
  await until("it is given back", async () => (await person.task(id))?.state === "ready");
  expect(attempts).toEqual([1]);
  await person.processes.resume("order");
  await untilStatus(person, id, "done");
  expect(attempts).toEqual([1, 2]);
});

test("a careful call that was about to begin when it was turned off has not begun: it is not held afterwards", async () => {
  let ran = 0;
  const process = defineProcess({
    name: "order",
    version: 1,
    input,
    steps: (s) => s.call("pay", () => (ran += 1), { ifInterrupted: "hold" }),
  });
  const { proxy, person, worker } = await behindProxy(process);
  const answer = proxy.holdAnswerTo("record_steps_v1");
  const { id } = await person.start(process, {});
  await worker.work();
  await until("its beginning is recorded", began(id, person));
  await person.off("process:order");
  expect(answer.isHeld).toBe(true);
  answer.release();
  await until("it is given back", async () => (await person.task(id))?.state === "ready");
  expect(ran).toBe(0);
  await person.on("process:order");
  const { steps } = await untilStatus(person, id, "done");
  expect(ran).toBe(1);
  expect(steps.map(({ outcome, message }) => [outcome, message])).toEqual([
    ["began", null],
    ["again", "not begun: it was turned off, or its worker stopped"],
    ["began", null],
    ["done", null],
  ]);
});

test("a step in a transaction that had begun when it was turned off is rolled back unstarted", async () => {
  let ran = 0;
  const process = defineProcess({
    name: "order",
    version: 1,
    input,
    steps: (s) =>
      s.tx("write", async () => {
        ran += 1;
      }),
  });
  const { proxy, person, worker } = await behindProxy(process);
  const { id } = await person.start(process, {});
  const answer = proxy.holdAnswerTo("limit_silence_v1");
  await worker.work();
  await until("its transaction has begun", () => answer.isHeld);
  await person.off("all");
  answer.release();
  await until("it is given back", async () => (await person.task(id))?.state === "ready");
  expect(ran).toBe(0);
  await person.on("all");
  await untilStatus(person, id, "done");
  expect(ran).toBe(1);
});

test("R28: a file on its host stops a run before its next step, is listed with the host, and lets it go on when it is gone", async () => {
  const locks = await mkdtemp(join(os.tmpdir(), "pawl-locks-"));
  const before = process.env.PAWL_LOCKS_DIR;
  process.env.PAWL_LOCKS_DIR = locks;
  onTestFinished(async () => {
    if (before === undefined) delete process.env.PAWL_LOCKS_DIR;
    else process.env.PAWL_LOCKS_DIR = before;
    await rm(locks, { recursive: true, force: true });
  });
  const { process: order, seen, letGo } = gated("Order-2");
  const pawl = await pawlWith([order]);
  const { id } = await pawl.start(order, {});
  await pawl.work();
  await until("the first step runs", () => seen.length === 1);
  await writeFile(join(locks, "process-Order-2.disabled"), "");
  const { hosts } = await until("it is reported", async () => {
    const listed = await pawl.switches.list();
    return listed.hosts.length > 0 && listed;
  });
  expect(hosts).toEqual([{ host: os.hostname(), scopes: ["process:Order-2"] }]);
  letGo();
  await until("it is given back", async () => (await pawl.task(id))?.state === "ready");
  expect((await pawl.why(id)).line).toContain(`on ${os.hostname()}`);
  expect(seen).toEqual(["first"]);
  await rm(join(locks, "process-Order-2.disabled"));
  await untilStatus(pawl, id, "done");
  expect(seen).toEqual(["first", "second", "third"]);
});

test("an unknown process is refused with what is near, and what is turned on says what still holds it", async () => {
  const { process } = gated("order");
  const pawl = await pawlWith([process]);
  await expect(pawl.off("process:oder")).rejects.toMatchObject({
    code: "unknown_kind",
    message: expect.stringContaining('did you mean "order"?'),
  });
  await expect(pawl.processes.pause("oder")).rejects.toMatchObject({ code: "unknown_kind" });
  await pawl.off("queue:processes", { by: "ada" });
  await pawl.off("process:order", { by: "ada" });
  expect(await pawl.processes.resume("order")).toMatchObject({
    wasOff: true,
    stillOff: [{ scope: "queue:processes" }],
  });
});
