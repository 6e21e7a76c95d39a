/** What is counted of a run's attempts, and what becomes of an end that the database does not take at once. */

import { expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { defineProcess, type Pawl, type PawlError, Recoverable } from "../../src/index.ts";
import type { Fence } from "../../src/kernel/task.ts";
import { recorderOn } from "../../src/process/run/recorder.ts";
import { rawClient } from "../support/database.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const BASE = { version: 1, input: z.object({}), retry: { attempts: 2, delay: 0 } } as const;

const stepsOf = async (pawl: Pawl, id: string) =>
  (await pawl.processes.show(id))?.steps.map(({ step, outcome }) => `${step} ${outcome}`);

/** While `refusal` has rows, the database refuses rows of this outcome; a sequence counts how often. */
const REFUSING = (table: string) => `
  create table public.refusal (state text);
  create sequence public.refused;
  create function public.refuse() returns trigger language plpgsql as $$
  declare v_state text := (select r.state from public.refusal r);
  begin
    if v_state is not null and new.outcome = 'done' then
      perform nextval('public.refused');
      raise exception 'not now' using errcode = v_state;
    end if;
    return new;
  end $$;
  create trigger refuse before insert on ${table} for each row execute function public.refuse();`;

async function untilRefused(pawl: Pawl, times: number): Promise<void> {
  const query = "select last_value::int as n, is_called from public.refused";
  await until(`refused ${times} times`, async () => {
    const [row] = await pawl.store.rows<{ n: number; is_called: boolean }>(query);
    return row?.is_called === true && row.n >= times;
  });
}

test.each(["53100", "25006", "55P03", "40001", "P0001", "42501"])(
  "a call whose end the database does not take now (%s) is recorded when it can be, and not done again",
  async (state) => {
    const did: string[] = [];
    const process = defineProcess({
      ...BASE,
      name: "kept",
      steps: (s) =>
        s.call("pay", ({ attempt }) => did.push(`paid ${attempt}`), {
          ifInterrupted: () => {
            did.push("asked");
            return "retry";
          },
        }),
    });
    const pawl = await pawlWith([process]);
    await pawl.store.rows(REFUSING("pawl.process_step"));
    await pawl.store.rows("insert into public.refusal values ($1)", [state]);
    const { id } = await pawl.start(process, {});
    await pawl.work();
    await untilRefused(pawl, 3);
    await pawl.store.rows("delete from public.refusal");
    await untilStatus(pawl, id, "done");
    expect(did).toEqual(["paid 1"]);
    expect(await stepsOf(pawl, id)).toEqual(["pay began", "pay done"]);
  },
);

test("an item whose end the database does not take now is recorded when it can be, and not done again", async () => {
  const did: number[] = [];
  const process = defineProcess({
    ...BASE,
    name: "items",
    steps: (s) => s.each("send", { items: () => [1, 2], run: (n) => void did.push(n) }),
  });
  const pawl = await pawlWith([process]);
  await pawl.store.rows(REFUSING("pawl.process_item"));
  await pawl.store.rows("insert into public.refusal values ('53100')");
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilRefused(pawl, 5);
  await pawl.store.rows("delete from public.refusal");
  await untilStatus(pawl, id, "done");
  expect(did.toSorted((a, b) => a - b)).toEqual([1, 2]);
});

test.each(["23514", "22003"])(
  "a call whose end is refused for what is in it (%s) fails as such, for good: it is not done again, and an operator completes it",
  async (state) => {
    let did = 0;
    const process = defineProcess({
      ...BASE,
      name: "odd",
      steps: (s) => s.call("pay", () => (did += 1)).call("end", ({ outputs }) => outputs.pay),
    });
    const pawl = await pawlWith([process]);
    await pawl.store.rows(REFUSING("pawl.process_step"));
    await pawl.store.rows("insert into public.refusal values ($1)", [state]);
    const { id } = await pawl.start(process, {});
    await pawl.work();
    const { run, steps } = await untilStatus(pawl, id, "error");
    expect(run.error?.message).toContain(`step "pay" has run, but its end cannot be recorded`);
    expect(run.error?.message).toContain(`SQLSTATE ${state}`);
    expect(steps).toMatchObject([
      { step: "pay", outcome: "failed", error: { name: "Unrecoverable" } },
    ]);
    await pawl.store.rows("delete from public.refusal");
    await pawl.processes.complete(id, "pay", { output: 7, why: "looked: it was paid" });
    await untilStatus(pawl, id, "done");
    expect(did).toBe(1);
  },
);

test("an item whose end is refused for what is in it fails alone; the others are recorded, and nothing is done twice", async () => {
  const did: number[] = [];
  const process = defineProcess({
    ...BASE,
    name: "items",
    steps: (s) =>
      s.each("send", { items: () => [1, 2], run: (n) => did.push(n), onFailed: "continue" }),
  });
  const pawl = await pawlWith([process]);
  await pawl.store.rows(
    "alter table pawl.process_item add constraint odd check (outcome <> 'done' or item <> 0)",
  );
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect((await pawl.task(id))?.result).toMatchObject({
    done: 1,
    failed: 1,
    items: [
      { status: "failed", error: expect.stringContaining("cannot be recorded") },
      { status: "done" },
    ],
  });
  expect(did.toSorted((a, b) => a - b)).toEqual([1, 2]);
});

test("an item that can be recorded neither as done nor as failed stops its step for good: no item is done twice", async () => {
  const did: number[] = [];
  const process = defineProcess({
    ...BASE,
    retry: { attempts: 3, delay: 0 },
    name: "items",
    steps: (s) => s.each("send", { items: () => [1, 2], run: (n) => did.push(n) }),
  });
  const pawl = await pawlWith([process]);
  await pawl.store.rows("alter table pawl.process_item add constraint odd check (item <> 0)");
  const { id } = await pawl.start(process, {});
  await pawl.work();
  const { run } = await untilStatus(pawl, id, "error");
  expect(run.error?.message).toContain(
    `item 0 of step "send" has run, but its end cannot be recorded`,
  );
  expect(did.toSorted((a, b) => a - b)).toEqual([1, 2]);
});

test("what does not pass by itself is tried for its time, and then given up: a worker does not wait for it for ever", async () => {
  const pawl = await pawlWith([]);
  await pawl.store.rows("alter function pawl.record_steps(int, jsonb) rename to gone");
  const recorder = recorderOn(pawl.store, silentLogger, 300);
  const fence = { worker: 1, id: "1", seq: "1", claim: "1" } as unknown as Fence;
  const row = { fence, no: 1, step: "a", outcome: "done", next: null, attempt: 1 } as const;
  const began = performance.now();
  const given = recorder.record([row], new AbortController().signal);
  await expect(given).rejects.toMatchObject({ code: "schema_missing" });
  expect(performance.now() - began).toBeGreaterThan(250);
});

test("an outage uses up none of the time in which a lasting fault may be mended", async () => {
  const pawl = await pawlWith([]);
  await pawl.store.rows("alter function pawl.record_steps(int, jsonb) rename to kept");
  const refuseWith = (state: string) =>
    pawl.store.rows(`
      create sequence public.refused_${state};
      create or replace function pawl.record_steps(int, jsonb) returns table (id bigint, what text) language plpgsql as $$
      begin
        perform nextval('public.refused_${state}');
        raise exception 'not now' using errcode = '${state}';
      end $$`);
  await refuseWith("53100");
  const lastingMs = 400;
  const recorder = recorderOn(pawl.store, silentLogger, lastingMs);
  const fence = { worker: 1, id: "1", seq: "1", claim: "1" } as unknown as Fence;
  const row = { fence, no: 1, step: "a", outcome: "done", next: null, attempt: 1 } as const;
  const began = performance.now();
  const given = recorder.record([row], new AbortController().signal);
  const ended = given.then(
    () => "recorded",
    (error: PawlError) => error.code,
  );
  await until("the outage is longer", () => performance.now() - began > 2 * lastingMs);
  await refuseWith("42501");
  expect(await ended).toBe("database_permission");
  const [tried] = await pawl.store.rows<{ n: number }>(
    "select last_value::int as n from public.refused_42501",
  );
  expect(tried?.n).toBeGreaterThan(1); // with its time used up it would have been given up at once
});

test("after `dead retry` a step has all its attempts again, counted from 1, over all the claims that they take", async () => {
  const attempts: number[] = [];
  const process = defineProcess({
    ...BASE,
    name: "anew",
    retry: { attempts: 4, delay: 0 },
    steps: (s) =>
      s.call("pay", ({ attempt }) => {
        attempts.push(attempt);
        throw new Error("down");
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilStatus(pawl, id, "error");
  await pawl.dead.retry([id]);
  await until("all have failed again", () => attempts.length >= 8);
  await untilStatus(pawl, id, "error");
  expect(attempts).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
});

test("after `dead retry` attempts are counted anew also if the first claim is lost", async () => {
  const attempts: number[] = [];
  let isHanging = false;
  const process = defineProcess({
    ...BASE,
    name: "lost",
    retry: { attempts: 3, delay: 0 },
    steps: (s) =>
      s.call("pay", ({ attempt, signal }) => {
        attempts.push(attempt);
        if (!isHanging) throw new Error("down");
        return new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilStatus(pawl, id, "error");
  isHanging = true;
  await pawl.dead.retry([id]);
  await until("it hangs", () => attempts.length === 4);
  isHanging = false;
  await pawl.store.rows("update pawl.worker set lease_until = pawl.now() - interval '1 minute'");
  await pawl.store.rows("select pawl.rescue_v1()");
  await until("it has failed again", () => attempts.length >= 6);
  await untilStatus(pawl, id, "error");
  expect(attempts).toEqual([1, 2, 3, 1, 2, 3]);
});

test("signals that do not fit are no failed attempts, and one that cannot be looked at yet does not put off the end of the wait", async () => {
  const thrown: Error[] = [new Recoverable("not yet", { delay: "1ms" })];
  const validate = (value: unknown) => {
    const error = thrown.pop();
    if (error !== undefined) throw error;
    return typeof value === "number" ? { value } : { issues: [{ message: "no number" }] };
  };
  const schema = { "~standard": { version: 1, vendor: "test", validate } } as const;
  const process = defineProcess({
    ...BASE,
    name: "unfit",
    steps: (s) => s.wait("word", { schema, timeout: "1h" }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilStatus(pawl, id, "waiting");
  const refused = async (word: string, rows: readonly string[]) => {
    await pawl.signal(id, "word", word);
    await until("it is told", async () => (await stepsOf(pawl, id))?.length === rows.length);
    expect(await stepsOf(pawl, id)).toEqual(rows);
    await until("it waits", async () => (await pawl.task(id))?.state === "scheduled");
  };
  const first = ["word waiting", "word again", "word failed"];
  await refused("no", first);
  await refused("nor this", [...first, "word failed"]);
  thrown.push(new Error("once"));
  await pawl.signal(id, "word", 7);
  await untilStatus(pawl, id, "done");
  const rows = (await pawl.processes.show(id))?.steps;
  expect(rows?.slice(-2)).toMatchObject([
    { outcome: "failed", attempt: 1, error: { message: "once" } },
    { outcome: "done", attempt: 2 },
  ]);
});

test("runs whose child's key somebody's open transaction has wait for it aside: the ends of other runs are recorded meanwhile", async () => {
  const part = defineProcess({ ...BASE, name: "part", steps: (s) => s.wait("go") });
  const parent = defineProcess({
    ...BASE,
    name: "parent",
    steps: (s) =>
      s.child("part", { process: part, input: () => ({}), key: ({ runId }) => `part-${runId}` }),
  });
  const other = defineProcess({ ...BASE, name: "other", steps: (s) => s.call("one", () => 1) });
  const pawl = await pawlWith([parent, part, other]);
  const parents = await Promise.all([1, 2, 3, 4].map(() => pawl.start(parent, {})));
  const client = await rawClient(pawl.databaseUrl);
  await client.query("begin");
  for (const { id } of parents)
    await client.query("select * from pawl.start_process('part', '{}', p_key => $1)", [
      `part-${id}`,
    ]);
  await pawl.work();
  for (const { id } of parents) await untilStatus(pawl, id, "running");
  for (let i = 0; i < 3; i += 1) {
    const { id } = await pawl.start(other, {});
    await untilStatus(pawl, id, "done");
  }
  for (const { id } of parents) expect((await pawl.processes.show(id))?.run.status).toBe("running");
  await client.query("commit");
  for (const { id } of parents) await untilStatus(pawl, id, "waiting");
  const parts = await pawl.processes.list({ process: "part" });
  expect(parts).toHaveLength(parents.length);
  for (const { id } of parts) await pawl.signal(id, "go");
  for (const { id } of parents) await untilStatus(pawl, id, "done");
});
