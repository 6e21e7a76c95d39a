/** Runs that an operator holds before their next step, and lets go on. */

import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import {
  connect,
  defineApp,
  defineProcess,
  type Pawl,
  type PawlError,
  type RunBefore,
} from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase, openTransaction } from "../support/database.ts";
import { untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const input = z.object({ n: z.number() });
const BASE = { version: 1, input, retry: { attempts: 2, delay: 0 } } as const;

/** Steps that wait until the test lets them go on. */
const gates = new Map<string, () => void>();
const began: string[] = [];
const pass = (runId: string) =>
  new Promise<void>((resolve) => {
    began.push(runId);
    gates.set(runId, resolve);
  });
const opened = (id: string) =>
  until("its step runs", () => {
    const open = gates.get(id);
    gates.delete(id);
    return open;
  });

const busy = defineProcess({
  ...BASE,
  name: "busy",
  steps: (s) =>
    s
      .call("one", ({ runId }) => pass(runId))
      .call("two", () => "two")
      .call("three", ({ outputs: { two } }) => two),
});
const busyTx = defineProcess({
  ...BASE,
  name: "busy-tx",
  steps: (s) => s.tx("one", ({ runId }) => pass(runId)).call("two", () => "two"),
});
const part = defineProcess({ ...BASE, name: "part", steps: (s) => s.wait("go") });
const waits = defineProcess({
  ...BASE,
  name: "waits",
  steps: (s) =>
    s
      .child("part", { process: part, input: ({ input: given }) => given })
      .wait("word")
      .call("end", ({ outputs: { part: ended, word } }) => ({ id: ended.id, word })),
});
const lost: string[] = [];
const asks = defineProcess({
  ...BASE,
  name: "asks",
  steps: (s) =>
    s.call("pay", ({ runId }) => pass(runId), {
      ifInterrupted: ({ runId }) => {
        lost.push(runId);
        return { output: "found" };
      },
    }),
});

const fails = defineProcess({
  ...BASE,
  name: "fails",
  retry: { attempts: 1 },
  steps: (s) =>
    s.call("one", async ({ runId }) => {
      await pass(runId);
      throw new Error("refused");
    }),
});

let pawl: Pawl;
beforeAll(async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const app = defineApp({ processes: [busy, busyTx, waits, part, asks, fails] });
  pawl = await connect(app, { databaseUrl: url, log: silentLogger });
  atEnd(() => pawl.close());
  await pawl.work();
});

const outcomes = async (id: string) =>
  (await pawl.processes.show(id))?.steps.map((row) => `${row.step} ${row.outcome}`);
const WHO = { by: "ada", why: "the customer called" };

test.each([
  ["call", busy],
  ["tx", busyTx],
] as const)(
  "a run is held behind the %s that runs now, which is finished; released, it goes on with the next step",
  async (_, process) => {
    const { id } = await pawl.start(process, { n: 1 });
    const open = await opened(id);
    expect(await pawl.processes.hold(id, WHO)).toEqual({ id, outcome: "requested" });
    expect((await pawl.processes.show(id))?.run.status).toBe("running");
    open();
    const { run, steps } = await untilStatus(pawl, id, "held");
    expect(run).toMatchObject({ step: "two", message: "the customer called" });
    expect(steps.map((row) => [row.step, row.outcome, row.by])).toEqual([
      ["one", "done", null],
      ["two", "held", "ada"],
    ]);
    await expect(pawl.processes.hold(id)).rejects.toThrow("it is held");
    expect(await pawl.audit.list({ target: `task:${id}`, limit: 10 })).toMatchObject([
      { action: "processes.hold", by: "ada" },
    ]);
    await pawl.processes.release(id);
    await untilStatus(pawl, id, "done");
    expect(await pawl.store.rows("select from pawl.process_hold")).toEqual([]);
  },
);

test("a hold that is taken back while the step still runs does nothing", async () => {
  const { id } = await pawl.start(busy, { n: 1 });
  const open = await opened(id);
  await pawl.processes.hold(id, WHO);
  await pawl.processes.release(id);
  open();
  await untilStatus(pawl, id, "done");
  expect(await outcomes(id)).toEqual(["one done", "two done", "three done"]);
});

test("what a held run waits for is kept: the end of its child and a signal that come meanwhile are read after the release, and no second child is started", async () => {
  const { id } = await pawl.start(waits, { n: 1 });
  const { run } = await untilStatus(pawl, id, "waiting");
  const child = run.waitsForTask?.id ?? "";
  expect(await pawl.processes.hold(id, WHO)).toEqual({ id, outcome: "held" });
  await pawl.signal(child, "go");
  await untilStatus(pawl, child, "done");
  await untilStatus(pawl, id, "held");
  await pawl.processes.release(id);
  await until(
    "it waits for its signal",
    async () => (await pawl.processes.show(id))?.run.step === "word",
  );
  await untilStatus(pawl, id, "waiting");
  await pawl.processes.hold(id, WHO);
  await pawl.signal(id, "word", "yes");
  expect((await pawl.processes.show(id))?.run.status).toBe("held");
  await pawl.processes.release(id);
  await untilStatus(pawl, id, "done");
  expect((await pawl.task(id))?.result).toEqual({ id: child, word: "yes" });
});

test("a run whose worker died in its step is held before anybody asks about it; released, it is asked", async () => {
  const { id } = await pawl.start(asks, { n: 1 });
  const open = await opened(id);
  await pawl.processes.hold(id, WHO);
  const [row] = await pawl.store.rows<{ id: number }>("select id from pawl.worker");
  await pawl.store.rows("update pawl.worker set lease_until = '-infinity' where id = $1", [
    row?.id,
  ]);
  await pawl.store.rows("select pawl.rescue_v1()");
  await untilStatus(pawl, id, "held");
  open();
  expect(lost).toEqual([]);
  await pawl.processes.release(id);
  await untilStatus(pawl, id, "done");
  expect(lost).toEqual([id]);
  expect((await pawl.task(id))?.result).toBe("found");
});

test("a run that has ended, is in error, or does not exist is not held", async () => {
  const { id } = await pawl.start(part, { n: 1 });
  await untilStatus(pawl, id, "waiting");
  await pawl.processes.abandon(id);
  await expect(pawl.processes.hold(id)).rejects.toThrow("it has ended");
  await expect(pawl.processes.hold("999999")).rejects.toMatchObject({ code: "task_not_found" });
});

test("a held run goes on in another version, still held, and still waits for the same child", async () => {
  const piece = defineProcess({ ...BASE, name: "piece", steps: (s) => s.wait("go") });
  const first = defineProcess({
    ...BASE,
    name: "moves",
    steps: (s) => s.child("part", { process: piece, input: () => ({ n: 1 }) }),
  });
  const second = defineProcess({
    ...BASE,
    name: "moves",
    version: 2,
    migrate: { 1: ({ step }: RunBefore) => ({ step }) },
    steps: (s) => s.child("part", { process: piece, input: () => ({ n: 2 }) }),
  });
  const { databaseUrl } = pawl;
  const before = await connect(defineApp({ name: "a", processes: [first, piece] }), {
    databaseUrl,
    log: silentLogger,
  });
  const { id } = await before.start(first, { n: 1 });
  const worker = await before.work();
  const { run } = await untilStatus(before, id, "waiting");
  await before.processes.hold(id, WHO);
  await worker.stop();
  await before.close();
  const after = await connect(defineApp({ name: "a", processes: [second, piece] }), {
    databaseUrl,
    log: silentLogger,
  });
  try {
    const next = await after.work();
    expect((await after.processes.migrate("moves", { from: 1 })).count).toBe(1);
    await untilStatus(after, id, "held");
    await after.processes.release(id);
    expect((await untilStatus(after, id, "waiting")).run.waitsForTask?.id).toBe(
      run.waitsForTask?.id,
    );
    await after.signal(run.waitsForTask?.id ?? "", "go");
    await untilStatus(after, id, "done");
    await next.stop();
  } finally {
    await after.close();
  }
});

test("a release that comes between the recorded hold and the parking of its run lets it go on", async () => {
  await pawl.store.rows(
    `create function public.park_later() returns trigger language plpgsql as $$
     begin perform pg_advisory_xact_lock(4242); return new; end $$`,
  );
  await pawl.store.rows(
    `create trigger park_later before update on pawl.task for each row
     when (new.run_at = 'infinity' and old.run_at <> 'infinity') execute function public.park_later()`,
  );
  const other = await openTransaction(pawl.databaseUrl);
  await other.query("select pg_advisory_xact_lock(4242)");
  const { id } = await pawl.start(busy, { n: 1 });
  const open = await opened(id);
  await pawl.processes.hold(id, WHO);
  open();
  await until("its hold is recorded", async () => (await outcomes(id))?.includes("two held"));
  expect((await pawl.task(id))?.state).toBe("running");
  await until("it is released", () =>
    pawl.processes.release(id).then(
      () => true,
      (error: PawlError) => {
        if (error.code !== "database_error") throw error; // its row is locked while parking is tried
        return false;
      },
    ),
  );
  await other.query("commit");
  await untilStatus(pawl, id, "done");
  await pawl.store.rows("drop trigger park_later on pawl.task");
});

test("a hold that is taken back while a worker is about to record it holds nothing", async () => {
  await pawl.store.rows("alter function pawl.hold_loaded_v1 rename to hold_loaded_later");
  await pawl.store.rows(
    `create function pawl.hold_loaded_v1(p_worker int, p_id bigint, p_seq bigint, p_claim bigint, p_no int, p_step text) returns text
     language plpgsql as $$ begin
       delete from pawl.process_hold h where h.run_id = p_id;
       return pawl.hold_loaded_later(p_worker, p_id, p_seq, p_claim, p_no, p_step);
     end $$`,
  );
  const { id } = await pawl.start(waits, { n: 1 });
  const { run } = await untilStatus(pawl, id, "waiting");
  await pawl.store.rows("insert into pawl.process_hold (run_id, by) values ($1, 'ada')", [id]);
  const child = run.waitsForTask?.id ?? "";
  await pawl.signal(child, "go");
  await until("it goes on", async () => (await outcomes(id))?.includes("part done"));
  await pawl.store.rows("drop function pawl.hold_loaded_v1");
  await pawl.store.rows("alter function pawl.hold_loaded_later rename to hold_loaded_v1");
});

test("a run that began to wait while its hold came in is shown as held, and a release lets it wait on", async () => {
  const { id } = await pawl.start(part, { n: 1 });
  await untilStatus(pawl, id, "waiting");
  await pawl.store.rows("insert into pawl.process_hold (run_id, by) values ($1, 'ada')", [id]);
  const held = await pawl.processes.list({ status: "held", process: "part" });
  expect(held.map((run) => run.id)).toContain(id);
  await pawl.signal(id, "go");
  await until("its signal holds it", async () => (await outcomes(id))?.includes("go held"));
  await pawl.processes.release(id);
  await untilStatus(pawl, id, "done");
});

test("a run that failed for good while its hold came in is in error, and a release does not run it again", async () => {
  const { id } = await pawl.start(fails, { n: 1 });
  const open = await opened(id);
  await pawl.processes.hold(id, WHO);
  open();
  await untilStatus(pawl, id, "error");
  await expect(pawl.processes.release(id)).rejects.toThrow("is not held");
  expect((await pawl.processes.show(id))?.run.status).toBe("error");
});
