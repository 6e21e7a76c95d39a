/** What becomes of a step that nobody saw end: its worker died, its time was up, or the answer of the database was lost. */

import { expect, test } from "vitest";
import { z } from "zod";
import { defineProcess, type Pawl } from "../../src/index.ts";
import { commitProxy, type Fate } from "../support/commit-proxy.ts";
import { freshDatabase } from "../support/database.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const input = z.object({});

/** As a worker that died in the middle of the call leaves it. */
async function interrupted(pawl: Pawl, id: string, step: string): Promise<void> {
  await pawl.store.rows(
    "insert into pawl.process_step (run_id, no, seq, step, outcome, next) values ($1, 1, 0, $2, 'began', $2)",
    [id, step],
  );
}

test("R35: a call whose end nobody saw is held where it says so, and an operator decides", async () => {
  let runs = 0;
  const process = defineProcess({
    name: "careful",
    version: 1,
    input,
    steps: (s) =>
      s
        .call("pay", () => (runs += 1), { ifInterrupted: "hold" })
        .call("ship", ({ outputs }) => outputs.pay),
  });
  const pawl = await pawlWith([process]);
  const [{ id }, other] = await Promise.all([pawl.start(process, {}), pawl.start(process, {})]);
  await interrupted(pawl, id, "pay");
  await interrupted(pawl, other.id, "pay");
  await pawl.work();
  const { run } = await untilStatus(pawl, id, "held");
  expect(run).toMatchObject({ step: "pay", message: expect.stringContaining("nobody knows") });
  await untilStatus(pawl, other.id, "held");
  expect(runs).toBe(0);
  await pawl.processes.complete(id, "pay", { output: 7 });
  await untilStatus(pawl, id, "done");
  expect(runs).toBe(0);
  expect((await pawl.task(id))?.result).toBe(7);
  await pawl.processes.release(other.id); // try again
  await untilStatus(pawl, other.id, "done");
  expect(runs).toBe(1);
});

test.each<[string, unknown, number, unknown]>([
  ["retry", "retry", 1, 1],
  ["{ output }", { output: "found" }, 0, "found"],
])("ifInterrupted as a function that answers %s", async (_, answer, runs, result) => {
  let ran = 0;
  const process = defineProcess({
    name: "asks",
    version: 1,
    input,
    steps: (s) =>
      s.call("pay", () => (ran += 1), {
        ifInterrupted: async ({ idempotencyKey }) =>
          idempotencyKey.startsWith("process-") ? answer : "hold",
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await interrupted(pawl, id, "pay");
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(ran).toBe(runs);
  expect((await pawl.task(id))?.result).toBe(result);
});

test("a call whose time was up is held too, since it may have done its work; a failure is a failure", async () => {
  const process = defineProcess({
    name: "slow",
    version: 1,
    input,
    steps: (s) =>
      s
        .call(
          "fails",
          ({ attempt }) => {
            if (attempt === 1) throw new Error("no");
          },
          { ifInterrupted: "hold", retry: { delay: 0 } },
        )
        .call("hangs", () => new Promise(() => undefined), {
          ifInterrupted: "hold",
          timeout: "50ms",
        }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  const { run, steps } = await untilStatus(pawl, id, "held");
  expect(run.step).toBe("hangs");
  expect(steps.filter((step) => step.outcome === "failed")).toMatchObject([{ step: "fails" }]);
});

test("a step in a transaction that takes too long is rolled back, and tried again", async () => {
  const process = defineProcess({
    name: "long",
    version: 1,
    input,
    retry: { attempts: 1_000, delay: 0, factor: 1 },
    steps: (s) =>
      s.tx(
        "write",
        async ({ tx, attempt }) => {
          await tx.query("insert into effect values ($1)", [attempt]);
          if (attempt === 1) await tx.query("select pg_sleep(600)");
        },
        { timeout: "2s" },
      ),
  });
  const pawl = await pawlWith([process]);
  await pawl.store.rows("create table effect (attempt int)");
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilStatus(pawl, id, "done");
  const effects = await pawl.store.rows("select attempt from effect");
  expect(effects).toHaveLength(1);
});

test.each<Fate>(["answer lost", "never arrives"])(
  "a step whose COMMIT has no answer (%s) is done once",
  async (fate) => {
    const proxy = await commitProxy((await freshDatabase()).url);
    let tries = 0;
    const process = defineProcess({
      name: "commits",
      version: 1,
      input,
      retry: { attempts: 10, delay: 0 },
      steps: (s) =>
        s
          .tx("write", async ({ tx }) => {
            tries += 1;
            if (tries === 1) proxy.arm(fate);
            await tx.query("insert into effect values ($1)", [tries]);
          })
          .call("end", () => undefined),
    });
    const pawl = await pawlWith([process], proxy.url);
    await pawl.store.rows("create table effect (attempt int)");
    const { id } = await pawl.start(process, {});
    await pawl.work();
    const { steps } = await untilStatus(pawl, id, "done");
    expect(await pawl.store.rows("select attempt from effect")).toEqual([
      { attempt: fate === "answer lost" ? 1 : 2 },
    ]);
    expect(steps.filter((step) => step.outcome === "done").map((step) => step.step)).toEqual([
      "write",
      "end",
    ]);
  },
);

test("R33: what a worker that lost its lease has done is not recorded, and the run goes on with another try", async () => {
  const ends: ((output: string) => void)[] = [];
  const seconds: unknown[] = [];
  const process = defineProcess({
    name: "lost",
    version: 1,
    input,
    steps: (s) =>
      s
        .call("first", () => new Promise<string>((resolve) => ends.push(resolve)))
        .call("second", ({ outputs }) => void seconds.push(outputs.first)),
  });
  const other = defineProcess({
    name: "other",
    version: 1,
    input,
    steps: (s) => s.call("only", () => undefined),
  });
  const pawl = await pawlWith([process, other]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await until("it runs", () => ends.length === 1);
  await pawl.store.rows("update pawl.worker set lease_until = pawl.now() - interval '1 minute'");
  await pawl.store.rows("select pawl.rescue_v1()");
  await until("it runs again", () => ends.length === 2);
  ends[0]?.("stale");
  const { id: later } = await pawl.start(other, {});
  await untilStatus(pawl, later, "done"); // recorded after what is stale would have been
  expect((await pawl.processes.show(id))?.steps).toEqual([]);
  ends[1]?.("fresh");
  await untilStatus(pawl, id, "done");
  expect(seconds).toEqual(["fresh"]);
});
