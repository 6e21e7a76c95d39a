/** Steps that start another run and wait for its end. */

import { expect, test } from "vitest";
import { z } from "zod";
import { defineApp, defineProcess, type Pawl } from "../../src/index.ts";
import { openTransaction } from "../support/database.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const input = z.object({});
const BASE = { version: 1, input, retry: { attempts: 1 } } as const;

const invoices = defineProcess({
  ...BASE,
  name: "invoice",
  input: z.object({ order: z.number(), isBad: z.boolean().optional() }),
  steps: (s) =>
    s.wait("go").call("write", ({ input: { order, isBad }, end }) => {
      if (isBad === true) return end("skipped");
      return { invoice: `i-${order}`, at: new Date(0) };
    }),
});

const orders = defineProcess({
  ...BASE,
  name: "order",
  input: z.object({ isBad: z.boolean().optional(), key: z.string().optional() }),
  steps: (s) =>
    s
      .child("invoice", {
        process: invoices,
        input: ({ input: { isBad } }) => ({ order: 7, ...(isBad !== undefined && { isBad }) }),
        key: ({ input: { key } }) => key,
      })
      .call("end", ({ outputs: { invoice } }) => {
        const at: string | undefined = invoice.output?.at; // as JSON gives it back
        // @ts-expect-error no such output
        const no: string | undefined = invoice.output?.no;
        return { ...invoice, at, no };
      }),
});

async function childOf(pawl: Pawl, id: string): Promise<string> {
  const { run } = await untilStatus(pawl, id, "waiting");
  expect(run).toMatchObject({ waitsFor: null, waitsForTask: { kind: "invoice" } });
  return run.waitsForTask?.id ?? "";
}

const resultOf = async (pawl: Pawl, id: string) => (await pawl.task(id))?.result;
const invoicesOf = async (pawl: Pawl) => pawl.processes.list({ process: "invoice" });

test("R35: a run waits for the run that its step has started, reads how it ended, and costs nothing until then", async () => {
  const pawl = await pawlWith([orders, invoices]);
  const { id } = await pawl.start(orders, {}, { meta: { tenant: "a" } });
  await pawl.work();
  const child = await childOf(pawl, id);
  await until("it is parked", async () => (await pawl.task(id))?.state === "parked");
  expect((await pawl.task(child))?.meta).toEqual({ tenant: "a" });
  await pawl.signal(child, "go");
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toEqual({
    id: child,
    status: "done",
    output: { invoice: "i-7", at: "1970-01-01T00:00:00.000Z" },
    at: "1970-01-01T00:00:00.000Z",
  });
  expect(await invoicesOf(pawl)).toHaveLength(1);
});

test("a run whose child is in error waits on and says so; a restart of the child lets it go on", async () => {
  let isUp = false;
  const fails = defineProcess({
    ...BASE,
    name: "invoice",
    steps: (s) =>
      s.call("write", () => {
        if (!isUp) throw new Error("no");
        return 5;
      }),
  });
  const waits = defineProcess({
    ...BASE,
    name: "order",
    steps: (s) => s.child("invoice", { process: fails, input: () => ({}) }),
  });
  const pawl = await pawlWith([waits, fails]);
  const { id } = await pawl.start(waits, {});
  await pawl.work();
  const child = await childOf(pawl, id);
  await untilStatus(pawl, child, "error");
  const { run } = await untilStatus(pawl, id, "waiting");
  expect(run.waitsForTask).toMatchObject({ id: child, kind: "invoice", status: "error" });
  isUp = true;
  await pawl.processes.restart(child);
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toEqual({ id: child, status: "done", output: 5 });
});

test.each([
  ["skipped", (pawl: Pawl, id: string) => pawl.signal(id, "go")],
  ["abandoned", (pawl: Pawl, id: string) => pawl.processes.abandon(id)],
  ["cancelled", (pawl: Pawl, id: string) => pawl.cancel(id)],
] as const)(
  "a child that ends as %s lets the run go on, without an output",
  async (status, end) => {
    const pawl = await pawlWith([orders, invoices]);
    const { id } = await pawl.start(orders, { isBad: true });
    await pawl.work();
    const child = await childOf(pawl, id);
    await end(pawl, child);
    await untilStatus(pawl, id, "done");
    expect(await resultOf(pawl, id)).toMatchObject({ id: child, status, output: null });
  },
);

test("a child whose dead letter is removed lets the run go on", async () => {
  const fails = defineProcess({
    ...BASE,
    name: "invoice",
    steps: (s) =>
      s.call("write", () => {
        throw new Error("no");
      }),
  });
  const waits = defineProcess({
    ...BASE,
    name: "order",
    steps: (s) => s.child("invoice", { process: fails, input: () => ({}) }),
  });
  const pawl = await pawlWith([waits, fails]);
  const { id } = await pawl.start(waits, {});
  await pawl.work();
  const child = await childOf(pawl, id);
  await untilStatus(pawl, child, "error");
  await pawl.dead.remove([child]);
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toEqual({ id: child, status: "removed", output: null });
});

test("after its timeout a run goes on without its child, which goes on alone", async () => {
  const waits = defineProcess({
    ...BASE,
    name: "order",
    steps: (s) =>
      s
        .child("invoice", { process: invoices, input: () => ({ order: 1 }), timeout: "1ms" })
        .wait("word"),
  });
  const pawl = await pawlWith([waits, invoices]);
  const { id } = await pawl.start(waits, {});
  await pawl.work();
  const { run, steps } = await until("it waits for the word", async () => {
    const shown = await pawl.processes.show(id);
    return shown?.run.waitsFor === "word" && shown;
  });
  expect(run.waitsForTask).toBe(null);
  const [child] = await invoicesOf(pawl);
  expect(steps.find((step) => step.outcome === "done")).toMatchObject({
    output: { id: child?.id, status: "timeout", output: null },
  });
  await pawl.signal(child?.id ?? "", "go");
  await untilStatus(pawl, child?.id ?? "", "done");
  expect((await pawl.processes.show(id))?.run.status).toBe("waiting");
});

test("a child with the key of a live run is that run: both wait for it; the run itself is refused as its child, alone", async () => {
  let isSame = true;
  const self = defineProcess({
    ...BASE,
    name: "self",
    steps: (s) => s.wait("word"),
  });
  const own = defineProcess({
    ...BASE,
    name: "self",
    version: 2,
    older: [self],
    retry: { attempts: 1 },
    steps: (s) =>
      s.child("again", {
        process: self,
        input: () => ({}),
        key: () => (isSame ? "one" : "two"),
      }),
  });
  const pawl = await pawlWith([orders, invoices, own]);
  const { id: bad } = await pawl.start(own, {}, { key: "one" });
  const runs = [await pawl.start(orders, { key: "k" }), await pawl.start(orders, { key: "k" })];
  await pawl.work();
  const children = await Promise.all(runs.map(({ id }) => childOf(pawl, id)));
  expect(new Set(children).size).toBe(1);
  const { run } = await untilStatus(pawl, bad, "error");
  expect(run.error?.message).toContain("its child would be the run itself");
  await pawl.signal(children[0] ?? "", "go");
  for (const { id } of runs) await untilStatus(pawl, id, "done");
  isSame = false;
  await pawl.processes.restart(bad);
  await untilStatus(pawl, bad, "waiting");
});

test("a child in the lane of its own parent is refused, alone; one in another lane runs", async () => {
  const inLane = (lane: string) =>
    defineProcess({
      ...BASE,
      name: `child-in-${lane}`,
      steps: (s) =>
        s.child("sub", { process: invoices, input: () => ({ order: 1 }), lane: () => lane }),
    });
  const [same, other] = [inLane("a"), inLane("b")];
  const pawl = await pawlWith([same, other, invoices]);
  const { id: bad } = await pawl.start(same, {}, { lane: "a" });
  const { id: good } = await pawl.start(other, {}, { lane: "c" });
  await pawl.work();
  const { run } = await untilStatus(pawl, bad, "error");
  expect(run.error?.message).toContain(
    `run ${bad}: its child would be in its own lane "a", and wait behind it for ever`,
  );
  expect(run.error?.message).toContain("give the child another lane");
  await untilStatus(pawl, good, "waiting");
  const children = await invoicesOf(pawl);
  expect(children.map(({ lane }) => lane)).toEqual(["b"]);
  await pawl.signal(children[0]?.id ?? "", "go");
  await untilStatus(pawl, good, "done");
});

test("a restart at the step starts another run; what becomes of the first one changes nothing", async () => {
  const pawl = await pawlWith([orders, invoices]);
  const { id } = await pawl.start(orders, {});
  await pawl.work();
  const first = await childOf(pawl, id);
  await until("it is parked", async () => (await pawl.task(id))?.state === "parked");
  await pawl.processes.restart(id, { step: "invoice" });
  const second = await until("another", async () => {
    const shown = await pawl.processes.show(id);
    const now = shown?.run.waitsForTask?.id;
    return now !== undefined && now !== first && now;
  });
  await pawl.processes.abandon(first);
  await pawl.signal(second, "go");
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toMatchObject({ id: second, status: "done" });
});

test("an operator may skip the step; the end of the run that it has left changes nothing", async () => {
  const next = defineProcess({
    ...BASE,
    name: "order",
    steps: (s) =>
      s.child("invoice", { process: invoices, input: () => ({ order: 1 }) }).sleep("rest", "1h"),
  });
  const pawl = await pawlWith([next, invoices]);
  const { id } = await pawl.start(next, {});
  await pawl.work();
  const child = await childOf(pawl, id);
  await until("it is parked", async () => (await pawl.task(id))?.state === "parked");
  await pawl.processes.skip(id, "invoice");
  await untilStatus(pawl, id, "sleeping");
  await pawl.signal(child, "go");
  await untilStatus(pawl, child, "done");
  expect((await pawl.processes.show(id))?.run.status).toBe("sleeping");
});

test("a child ends although somebody holds the row of the run that waits; that one goes on afterwards", async () => {
  const pawl = await pawlWith([orders, invoices]);
  const { id } = await pawl.start(orders, {});
  await pawl.work();
  const child = await childOf(pawl, id);
  await until("it is parked", async () => (await pawl.task(id))?.state === "parked");
  const tx = await openTransaction(pawl.store.url);
  await tx.query("select from pawl.task where id = $1 for update", [id]);
  await pawl.signal(child, "go");
  await untilStatus(pawl, child, "done");
  expect((await pawl.processes.show(id))?.run.status).toBe("waiting");
  await tx.query("commit");
  await untilStatus(pawl, id, "done");
  expect(await pawl.store.rows("select from pawl.task_to_wake")).toEqual([]);
});

test("a worker that lost its lease starts no child", async () => {
  const asks: ((order: number) => void)[] = [];
  const slow = defineProcess({
    ...BASE,
    name: "order",
    steps: (s) =>
      s.child("invoice", {
        process: invoices,
        input: async () => ({ order: await new Promise<number>((resolve) => asks.push(resolve)) }),
      }),
  });
  const pawl = await pawlWith([slow, invoices]);
  const { id } = await pawl.start(slow, {});
  await pawl.work();
  await until("it asks", () => asks.length === 1);
  await pawl.store.rows("update pawl.worker set lease_until = pawl.now() - interval '1 minute'");
  await pawl.store.rows("select pawl.rescue_v1()");
  await until("it asks again", () => asks.length === 2);
  asks[0]?.(1);
  asks[1]?.(2);
  const child = await childOf(pawl, id);
  expect((await pawl.task(child))?.payload).toEqual({ order: 2 });
  expect(await invoicesOf(pawl)).toHaveLength(1);
});

test("a failure of `input` is retried as a step is, and what does not fit the child's schema says so", async () => {
  let tries = 0;
  const waits = defineProcess({
    ...BASE,
    name: "order",
    retry: { attempts: 3, delay: 0 },
    steps: (s) =>
      s.child("invoice", {
        process: invoices,
        input: ({ attempt }) => {
          tries = attempt;
          if (attempt === 1) throw new Error("no");
          return { order: attempt === 2 ? ("x" as never) : 3 };
        },
      }),
  });
  const pawl = await pawlWith([waits, invoices]);
  const { id } = await pawl.start(waits, {});
  await pawl.work();
  await childOf(pawl, id);
  expect(tries).toBe(3);
  const errors = (await pawl.processes.show(id))?.steps.map((step) => step.error?.message);
  expect(errors?.[1]).toContain('process "invoice": the input does not fit its schema: order');
});

test("a child that the app does not know, and options that none has, are refused where they stand", () => {
  expect(() => defineApp({ processes: [orders] })).toThrow(
    'process "order" version 1, step "invoice": it starts "invoice" version 1, which is not in the app\'s `processes`',
  );
  const child = (options: object) =>
    defineProcess({
      ...BASE,
      name: "order",
      steps: (s) => s.child("a", { process: invoices, input: () => ({ order: 1 }), ...options }),
    });
  expect(() => child({ process: { name: "x" } })).toThrow("`process` to be a process");
  expect(() => child({ input: {} })).toThrow("`input` to be a function");
  expect(() => child({ timeout: -1 })).toThrow("`timeout`");
  expect(() => child({ proces: 1 })).toThrow("proces");
  expect(() =>
    defineProcess({ ...BASE, name: "a", steps: (s) => s.wait("a", { signal: "pawl:task:1" }) }),
  ).toThrow('does not start with "pawl:"');
});

test("what does not fit the child's types does not compile", () => {
  defineProcess({
    ...BASE,
    name: "order",
    steps: (s) =>
      s
        // @ts-expect-error the input of the child
        .child("first", { process: invoices, input: () => ({ order: "x" }) })
        .child("second", { process: invoices, input: async () => ({ order: 1 }) })
        // @ts-expect-error it may have ended without an output
        .call("end", ({ outputs }) => outputs.second.output.invoice),
  });
});
