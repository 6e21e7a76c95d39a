/** `pawl processes work`: one run now, in the foreground. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { defineProcess, type Pawl } from "../../src/index.ts";
import { newFolder, PAWL, pawlProcess, start } from "../cli/cli.ts";
import { freshDatabase } from "../support/database.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const input = z.object({});

/** Fails while `state.isDown`. */
function order(state: { isDown: boolean }) {
  const seen: string[] = [];
  const process = defineProcess({
    name: "order",
    version: 1,
    input,
    retry: { attempts: 3, delay: "1h" },
    steps: (s) =>
      s
        .tx("reserve", async ({ tx }) => {
          seen.push("reserve");
          await tx.query("insert into reserved values (1)");
        })
        .call("pay", ({ attempt }) => {
          seen.push(`pay ${attempt}`);
          if (state.isDown) throw new Error("503 Service Unavailable");
          return { payment: 7 };
        })
        .wait("approved")
        .call("ship", ({ outputs }) => outputs.pay),
  });
  return { process, seen };
}

async function withRun(state = { isDown: true }) {
  const { process, seen } = order(state);
  const pawl = await pawlWith([process]);
  await pawl.store.rows("create table reserved (n int)");
  const { id } = await pawl.start(process, {});
  return { pawl, process, seen, id, state };
}

async function inRetry() {
  const at = await withRun();
  const worker = await at.pawl.work();
  const { run } = await untilStatus(at.pawl, at.id, "retry");
  expect(Number(run.runAt)).toBeGreaterThan(Date.now() + 1_800_000);
  await worker.stop();
  return at;
}

const starts = async (pawl: Pawl) =>
  (await pawl.store.rows<{ n: number }>("select count(*)::int as n from reserved"))[0]?.n;

test("R26: a run that is to be tried again in an hour is worked on now, from the step that failed until it waits", async () => {
  const { pawl, id, seen, state } = await inRetry();
  state.isDown = false;
  const { run, steps } = await pawl.processes.work(id, { by: "ada", why: "they are back" });
  expect(run).toMatchObject({ id, status: "waiting", step: "approved", waitsFor: "approved" });
  expect(steps.map(({ step, outcome, attempt }) => [step, outcome, attempt])).toEqual([
    ["pay", "done", 2],
    ["approved", "waiting", 1],
  ]);
  expect(seen).toEqual(["reserve", "pay 1", "pay 2"]);
  expect(await starts(pawl)).toBe(1);
  const [act] = await pawl.audit.list({ target: `task:${id}`, limit: 1 });
  expect(act).toMatchObject({ action: "processes.work", by: "ada", why: "they are back" });
  await pawl.signal(id, "approved");
  expect((await pawl.processes.work(id)).run.status).toBe("done");
  expect((await pawl.task(id))?.result).toEqual({ payment: 7 });
  await expect(pawl.processes.work(id)).rejects.toMatchObject({ code: "task_not_found" });
});

test("a run that no worker has seen is worked on too, with steps in transactions; a step that fails counts as an attempt", async () => {
  const { pawl, id, state } = await withRun();
  const { run, steps } = await pawl.processes.work(id);
  expect(run).toMatchObject({ status: "retry", step: "pay" });
  expect(steps.map((step) => step.outcome)).toEqual(["done", "failed"]);
  expect(await starts(pawl)).toBe(1);
  await pawl.processes.work(id);
  expect((await pawl.processes.work(id)).run.status).toBe("error");
  await expect(pawl.processes.work(id)).rejects.toMatchObject({
    code: "run_not_worked",
    message: expect.stringContaining(`pawl processes restart ${id}`),
  });
  state.isDown = false;
  await pawl.processes.restart(id);
  expect((await pawl.processes.work(id)).run.status).toBe("waiting");
});

test("what is off, held, behind another run, with a worker, or of another app is refused, and nothing of it runs", async () => {
  let letGo: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let ran = 0;
  const process = defineProcess({
    name: "gated",
    version: 1,
    input,
    lane: () => "one",
    steps: (s) =>
      s.call("first", async () => {
        ran += 1;
        await gate;
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  const next = await pawl.start(process, {});
  await pawl.off("process:gated");
  const worker = await pawl.work();
  await until("the second is behind the first", async () => {
    return (await pawl.task(next.id))?.state === "waiting";
  });
  const refused = (run: string) => expect(pawl.processes.work(run)).rejects;
  await refused(id).toMatchObject({
    code: "run_not_worked",
    message: expect.stringContaining("it is held (off)"),
  });
  await refused(next.id).toMatchObject({
    code: "run_not_worked",
    message: expect.stringContaining("in its lane behind another run"),
  });
  expect(ran).toBe(0);
  await pawl.on("process:gated");
  await until("a worker has it", () => ran === 1);
  await refused(id).toMatchObject({ code: "run_not_worked" });
  const other = await pawlWith([order({ isDown: false }).process], pawl.databaseUrl);
  await expect(other.processes.work(next.id)).rejects.toMatchObject({
    code: "unknown_kind",
    message: expect.stringContaining('does not define process "gated" version 1'),
  });
  letGo();
  await untilStatus(pawl, next.id, "done");
  await worker.stop();
  expect(ran).toBe(2);
  await refused("999999").toMatchObject({ code: "task_not_found" });
});

test("turned off in the middle, it stops before the next step, and off waits for that", async () => {
  let letGo: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const seen: string[] = [];
  const process = defineProcess({
    name: "gated",
    version: 1,
    input,
    steps: (s) =>
      s
        .call("first", async () => {
          seen.push("first");
          await gate;
        })
        .call("second", () => {
          seen.push("second");
        }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  const working = pawl.processes.work(id);
  const stopped = expect(working).rejects.toMatchObject({
    code: "run_not_worked",
    message: expect.stringContaining("turned off before step second"),
  });
  await until("its first step runs", () => seen.length === 1);
  await pawl.off("process:gated"); // at its next heartbeat
  letGo();
  await stopped;
  expect(seen).toEqual(["first"]);
  await pawl.on("process:gated");
  expect((await pawl.processes.work(id)).run.status).toBe("done");
  expect(seen).toEqual(["first", "second"]);
});

const CONFIG = `
import { defineApp, defineProcess } from "${PAWL}";
const anything = { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) } };
export default defineApp({ name: "hand", processes: [defineProcess({
  name: "order", version: 1, input: anything, retry: { attempts: 2, delay: "1h" },
  steps: (s) => s
    .call("pay", ({ attempt }) => { if (attempt === 1) throw new Error("503"); })
    .sleep("rest", "1d")
    .call("hang", () => new Promise(() => setInterval(() => undefined, 1000))),
})] });`;

test("R26: the command prints each step, ends with 0 where the run waits and with 1 where a step failed; Ctrl-C gives the run back", async () => {
  const { url } = await freshDatabase();
  const cwd = newFolder();
  writeFileSync(join(cwd, "pawl.config.ts"), CONFIG);
  const cli = (...args: string[]) => pawlProcess(args, { url, cwd });
  // as the config has it
  const same = defineProcess({
    name: "order",
    version: 1,
    input: z.any(),
    steps: (s) =>
      s
        .call("pay", () => undefined)
        .sleep("rest", "1d")
        .call("hang", () => undefined),
  });
  const pawl = await pawlWith([same], url);
  const { id } = await pawl.start(same, {});
  const first = await cli("processes", "work", id);
  expect(first.code).toBe(1);
  expect(first.stderr).toContain("pay: begins\n");
  expect(first.stderr).toMatch(/pay: failed after \d+ ms: 503\n/);
  expect(first.stderr).toContain(`run ${id}: step pay failed: 503`);
  const second = await cli("processes", "work", id);
  expect(second.stderr).toContain("pay: begins, attempt 2\n");
  expect(second.stderr).toMatch(/pay: done after \d+ ms\n/);
  expect(second.stderr).toContain("rest: sleeping\n");
  expect(second.stdout).toMatch(new RegExp(`^run ${id}: sleeping at step rest until `));
  expect(second.code).toBe(0);
  await pawl.processes.skip(id, "rest");
  const third = start(["processes", "work", id, "--json"], { url, cwd });
  await until("it hangs", () => third.stderr().includes("hang: begins"));
  third.process.kill("SIGINT");
  const { code, stdout } = await third.finished;
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: "run_not_worked" } });
  expect((await pawl.task(id))?.state).toBe("ready");
});
