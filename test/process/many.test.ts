/** Verbs that change many runs at once. */

import { expect, test } from "vitest";
import { z } from "zod";
import { defineProcess } from "../../src/index.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";

const input = z.object({ fails: z.string() });

function processOf(name: string, state: { isDown: boolean }) {
  return defineProcess({
    name,
    version: 1,
    input,
    retry: { attempts: 1 },
    steps: (s) =>
      s
        .call("pay", ({ input: { fails }, hold }) => {
          if (fails === "pay" && state.isDown) throw new Error("503");
          return fails === "hold" ? hold("look") : undefined;
        })
        .call("ship", ({ input: { fails } }) => {
          if (fails === "ship" && state.isDown) throw new Error("503");
        }),
  });
}

test("R24: all runs in error of a process, at a step, are restarted, each with its line in the audit; others stay, and a dry run changes nothing", async () => {
  const state = { isDown: true };
  const [order, invoice] = [processOf("order", state), processOf("invoice", state)];
  const pawl = await pawlWith([order, invoice]);
  const start = async (process: typeof order, fails: string) =>
    (await pawl.start(process, { fails })).id;
  const pay = [await start(order, "pay"), await start(order, "pay")];
  const [ship, other, held] = [
    await start(order, "ship"),
    await start(invoice, "pay"),
    await start(order, "hold"),
  ];
  await pawl.work();
  for (const id of [...pay, ship, other]) await untilStatus(pawl, id, "error");
  await untilStatus(pawl, held, "held");
  state.isDown = false;
  const filter = { process: "order", at: "pay" } as const;
  expect(await pawl.processes.restartAll({ ...filter, dryRun: true })).toEqual({
    dryRun: true,
    count: 2,
    ids: pay,
    left: [],
  });
  expect((await pawl.processes.list({ status: "error" })).length).toBe(4);
  const done = await pawl.processes.restartAll({ ...filter, by: "ada", why: "they are back" });
  expect(done).toEqual({ dryRun: false, count: 2, ids: pay, left: [] });
  for (const id of pay) await untilStatus(pawl, id, "done");
  expect((await pawl.processes.list({ status: "error" })).map((run) => run.id)).toEqual([
    other,
    ship,
  ]);
  for (const id of pay) {
    const audit = await pawl.audit.list({ target: `task:${id}`, limit: 10 });
    expect(audit).toMatchObject([
      { action: "processes.restartAll", by: "ada", why: "they are back" },
    ]);
  }
  expect(await pawl.processes.releaseAll({ process: "order" })).toMatchObject({ ids: [held] });
  await untilStatus(pawl, held, "done");
  expect(await pawl.processes.abandonAll({ process: "order" })).toMatchObject({ ids: [ship] });
  await untilStatus(pawl, ship, "abandoned");
  await untilStatus(pawl, other, "error");
  await expect(pawl.processes.restartAll({ process: "oder" })).rejects.toMatchObject({
    code: "unknown_kind",
  });
  await expect(pawl.processes.restartAll({ step: "nope" })).rejects.toMatchObject({
    code: "invalid_option",
  });
});

test.each(["restartAll", "abandonAll"] as const)(
  "a run that has gone on since %s has listed it is left, and told",
  async (verb) => {
    const state = { isDown: true };
    const order = defineProcess({
      name: "order",
      version: 1,
      input: z.object({}),
      retry: { attempts: 1 },
      steps: (s) =>
        s
          .call("pay", () => {
            if (state.isDown) throw new Error("503");
          })
          .wait("word"),
    });
    const pawl = await pawlWith([order]);
    const [first, mended] = [(await pawl.start(order, {})).id, (await pawl.start(order, {})).id];
    const worker = await pawl.work();
    for (const id of [first, mended]) await untilStatus(pawl, id, "error");
    await worker.stop();
    // somebody restarts the other one while the verb is at the first
    await pawl.store.rows(`create function restart_other() returns trigger language plpgsql as $$ begin
      perform pawl.change_run_v1(${mended}, 'restarted', null, null, 'ada', null, 'test'); return null; end $$`);
    await pawl.store.rows(`create trigger meanwhile after insert on pawl.process_step for each row
      when (new.run_id = ${first} and new.outcome in ('restarted', 'abandoned')) execute function restart_other()`);
    const changed = await pawl.processes[verb]({ process: "order" });
    expect(changed).toMatchObject({
      ids: [first],
      left: [{ id: mended, why: "it has gone on meanwhile" }],
    });
    state.isDown = false;
    await pawl.work();
    const { run, steps } = await untilStatus(pawl, mended, "waiting");
    expect(run.step).toBe("word");
    expect(steps.filter(({ outcome }) => outcome === "restarted")).toHaveLength(1);
  },
);
