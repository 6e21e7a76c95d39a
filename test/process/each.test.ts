/** Steps that run the same code for each item of a list. */

import { expect, test } from "vitest";
import { z } from "zod";
import { defineProcess, type Pawl, Recoverable, Unrecoverable } from "../../src/index.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const input = z.object({});
const BASE = { version: 1, input, retry: { attempts: 2, delay: 0 } } as const;
const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const resultOf = async (pawl: Pawl, id: string) => (await pawl.task(id))?.result;

test("R35: each item runs once, as many at once as may, and the output tells of each in its order", async () => {
  let now = 0;
  let most = 0;
  const keys: string[] = [];
  const mails = defineProcess({
    ...BASE,
    name: "mails",
    steps: (s) =>
      s
        .call("read", () => ({ to: ["a", "b", "c", "d", "e"] }))
        .each("send", {
          items: ({ outputs }) => outputs.read.to.map((to) => ({ to, at: new Date(0) })),
          key: ({ to }) => to,
          concurrency: 2,
          run: async ({ to, at }, { idempotencyKey, index }) => {
            now += 1;
            most = Math.max(most, now);
            keys.push(idempotencyKey);
            await new Promise((resolve) => setImmediate(resolve));
            now -= 1;
            const text: string = at; // as JSON gives it back
            return { sent: to, index, text };
          },
        })
        .call("end", ({ outputs: { send } }) => {
          const first: string | undefined = send.items?.[0]?.output?.sent;
          // @ts-expect-error no such field
          const no: unknown = send.items?.[0]?.output?.no;
          return { first, no, ...send };
        }),
  });
  const pawl = await pawlWith([mails]);
  const { id } = await pawl.start(mails, {});
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(most).toBe(2);
  expect(keys.toSorted()).toEqual(
    ["a", "b", "c", "d", "e"].map((to) => `process-${id}-send/${to}`),
  );
  const text = "1970-01-01T00:00:00.000Z";
  expect(await resultOf(pawl, id)).toEqual({
    first: "a",
    total: 5,
    done: 5,
    failed: 0,
    items: ["a", "b", "c", "d", "e"].map((to, index) => ({
      key: to,
      status: "done",
      output: { sent: to, index, text },
      error: null,
    })),
  });
});

test("an empty list is done, and its condition is asked as that of any step", async () => {
  const none = defineProcess({
    ...BASE,
    name: "none",
    steps: (s) =>
      s
        .each("a", { items: () => [] as number[], run: (n) => n })
        .each("b", { items: () => [1], run: (n) => n, when: () => false })
        .call("end", ({ outputs }) => outputs),
  });
  const pawl = await pawlWith([none]);
  const { id } = await pawl.start(none, {});
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toEqual({ a: { total: 0, done: 0, failed: 0, items: [] } });
});

test("R33: after a worker lost its lease only items that had not ended run again, of the same list, under the same keys", async () => {
  const ran: string[] = [];
  const open: (() => void)[] = [];
  let lists = 0;
  const process = defineProcess({
    ...BASE,
    name: "lost",
    steps: (s) =>
      s.each("send", {
        items: () => {
          lists += 1;
          return range(6).map((n) => `${n + 10 * lists}`);
        },
        concurrency: 3,
        run: async (item, { index, idempotencyKey }) => {
          ran.push(`${item} ${idempotencyKey}`);
          if (index >= 4 && open.length < 2)
            await new Promise<void>((resolve) => open.push(resolve));
          return item;
        },
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await until("two of them hang", () => open.length === 2);
  const ended = "select count(*)::int as n from pawl.process_item";
  await until(
    "four have ended",
    async () => (await pawl.store.rows<{ n: number }>(ended))[0]?.n === 4,
  );
  await pawl.store.rows("update pawl.worker set lease_until = pawl.now() - interval '1 minute'");
  await pawl.store.rows("select pawl.rescue_v1()");
  await untilStatus(pawl, id, "done");
  for (const resolve of open) resolve();
  const names = range(6).map((n) => `${n + 10} process-${id}-send/${n}`);
  expect(ran.toSorted()).toEqual([...names, ...names.slice(4)].toSorted());
  expect(lists).toBe(1);
  expect(await resultOf(pawl, id)).toMatchObject({ total: 6, done: 6 });
});

test("an item is tried again by the policy alone; the step fails when all others have ended, and a restart runs what failed", async () => {
  const ran: number[] = [];
  let isUp = false;
  const process = defineProcess({
    ...BASE,
    name: "fails",
    steps: (s) =>
      s.each("send", {
        items: () => range(4),
        concurrency: 1,
        run: (item, { attempt }) => {
          ran.push(item);
          if (item === 0 && attempt === 1) throw new Error("once");
          if (item === 1 && !isUp) throw new Error("down");
          if (item === 2 && !isUp) throw new Unrecoverable("never");
          return item;
        },
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  const { run } = await untilStatus(pawl, id, "error");
  expect(ran.toSorted((a, b) => a - b)).toEqual([0, 0, 1, 1, 2, 3]);
  expect(run.error?.message).toContain('2 of 4 items failed ("1": down; "2": never)');
  isUp = true;
  await pawl.processes.restart(id);
  await untilStatus(pawl, id, "done");
  expect(ran.slice(6).toSorted((a, b) => a - b)).toEqual([1, 2]);
  expect(await resultOf(pawl, id)).toMatchObject({ total: 4, done: 4, failed: 0 });
});

test("a dead letter that is retried runs what failed too; with `continue` failed items are only told", async () => {
  let isUp = false;
  const steps = (onFailed: "error" | "continue") =>
    defineProcess({
      ...BASE,
      name: onFailed,
      retry: { attempts: 1 },
      steps: (s) =>
        s.each("send", {
          items: () => range(3),
          onFailed,
          run: (item) => {
            if (item === 1 && !isUp) throw new Error("down");
            return item;
          },
        }),
    });
  const [strict, lax] = [steps("error"), steps("continue")];
  const pawl = await pawlWith([strict, lax]);
  const { id } = await pawl.start(strict, {});
  const { id: other } = await pawl.start(lax, {});
  await pawl.work();
  await untilStatus(pawl, id, "error");
  await untilStatus(pawl, other, "done");
  expect(await resultOf(pawl, other)).toMatchObject({
    total: 3,
    done: 2,
    failed: 1,
    items: [{}, { key: "1", status: "failed", output: null, error: "down" }, {}],
  });
  isUp = true;
  await pawl.dead.retry([id]);
  await untilStatus(pawl, id, "done");
});

test("while items wait for their next attempts the run holds no slot; one that is not ready yet is not counted", async () => {
  const ran: string[] = [];
  const process = defineProcess({
    ...BASE,
    name: "later",
    steps: (s) =>
      s.each("send", {
        items: () => ["soon", "later"],
        run: (item, { attempt }) => {
          ran.push(`${item} ${attempt}`);
          if (item === "soon" && ran.length < 4) throw new Recoverable("no", { delay: "1ms" });
          if (item === "later" && ran.filter((one) => one.startsWith(item)).length === 1)
            throw new Recoverable("no", { delay: "1h" });
          return item;
        },
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await until("it is scheduled", async () => (await pawl.task(id))?.state === "scheduled");
  expect((await pawl.processes.show(id))?.run.status).toBe("retry");
  expect(ran.at(-1)).toBe("soon 1");
  await pawl.store.rows("update pawl.process_item set due_at = pawl.now()");
  await pawl.store.rows("select pawl.wake_tasks(array[$1::bigint])", [id]);
  await untilStatus(pawl, id, "done");
  expect(ran.at(-1)).toBe("later 1");
});

test("a run that is abandoned during its items aborts those that run, and starts no other", async () => {
  let began = 0;
  const aborted: number[] = [];
  const process = defineProcess({
    ...BASE,
    name: "left",
    steps: (s) =>
      s.each("send", {
        items: () => range(10),
        concurrency: 2,
        run: (item, { signal }) => {
          began += 1;
          return new Promise<void>((resolve) =>
            signal.addEventListener("abort", () => {
              aborted.push(item);
              resolve();
            }),
          );
        },
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await until("two run", () => began === 2);
  await pawl.processes.abandon(id);
  await untilStatus(pawl, id, "abandoned");
  expect(began).toBe(2);
  expect(aborted.toSorted((a, b) => a - b)).toEqual([0, 1]);
});

test("a worker that stops starts no further item, and another one goes on with the rest", async () => {
  const ran: number[] = [];
  let stop: (() => Promise<unknown>) | undefined;
  const process = defineProcess({
    ...BASE,
    name: "stops",
    steps: (s) =>
      s.each("send", {
        items: () => range(4),
        concurrency: 1,
        run: (item) => {
          ran.push(item);
          if (item === 1) stop?.().catch(() => undefined);
        },
      }),
  });
  const pawl = await pawlWith([process]);
  const worker = await pawl.work();
  stop = () => worker.stop();
  const { id } = await pawl.start(process, {});
  await worker.stopped;
  expect(ran).toEqual([0, 1]);
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(ran).toEqual([0, 1, 2, 3]);
});

test("what items return is left out of the output if it is too large; one that is too large itself fails alone", async () => {
  const large = "x".repeat(400_000);
  const process = defineProcess({
    ...BASE,
    name: "large",
    retry: { attempts: 1 },
    steps: (s) =>
      s.each("send", {
        items: () => range(5),
        onFailed: "continue",
        run: (item) => (item === 4 ? "x".repeat(20_000_000) : large),
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilStatus(pawl, id, "done");
  expect(await resultOf(pawl, id)).toEqual({ total: 5, done: 4, failed: 1 });
});

test("no two lists or steps share a key: a new list after a restart has others, also if the first one never ended", async () => {
  const keys: string[] = [];
  let isUp = false;
  const process = defineProcess({
    ...BASE,
    name: "apart",
    steps: (s) =>
      s
        .call("mail", ({ idempotencyKey }) => void keys.push(idempotencyKey))
        .call("mail-2", ({ idempotencyKey }) => void keys.push(idempotencyKey))
        .each("send", {
          items: ({ idempotencyKey }) => {
            keys.push(idempotencyKey);
            return ["a", "2"];
          },
          key: (item) => item,
          concurrency: 1,
          run: (item, { idempotencyKey }) => {
            keys.push(idempotencyKey);
            if (item === "2" && !isUp) throw new Unrecoverable("down");
          },
        }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  await untilStatus(pawl, id, "error");
  isUp = true;
  await pawl.processes.restart(id, { step: "mail" });
  await untilStatus(pawl, id, "done");
  expect(keys).toEqual(
    [
      "mail",
      "mail-2",
      "send",
      "send/a",
      "send/2",
      "mail#2",
      "mail-2#2",
      "send#2",
      "send#2/a",
      "send#2/2",
    ].map((key) => `process-${id}-${key}`),
  );
});

test("a list that is none, too long, or with two items of one key puts the run into error, and says so", async () => {
  const make = (name: string, items: () => readonly number[]) =>
    defineProcess({
      ...BASE,
      name,
      steps: (s) => s.each("send", { items, key: (n) => `k${n}`, run: (n) => n }),
    });
  const cases = [
    [make("none", () => "x" as never), 'returned "x", not a list'],
    [make("long", () => range(10_001)), "10001 items, more than 10000"],
    [make("twice", () => [1, 1]), '`key` returned "k1" for two items'],
  ] as const;
  const pawl = await pawlWith(cases.map(([process]) => process));
  const ids = await Promise.all(cases.map(async ([process]) => (await pawl.start(process, {})).id));
  await pawl.work();
  for (const [i, [, message]] of cases.entries()) {
    const { run } = await untilStatus(pawl, ids[i] ?? "", "error");
    expect(run.error?.message).toContain(message);
  }
});

test("options that an `each` does not have, or of another kind, are refused where they stand", () => {
  const each = (options: object) =>
    defineProcess({
      ...BASE,
      name: "a",
      steps: (s) => s.each("a", { items: () => [1], run: (n) => n, ...options }),
    });
  expect(() => each({ concurrency: 0 })).toThrow("`concurrency`");
  expect(() => each({ concurrency: 1_001 })).toThrow("`concurrency`");
  expect(() => each({ onFailed: "stop" })).toThrow("`onFailed`");
  expect(() => each({ run: 1 })).toThrow("`run`");
  expect(() => each({ item: 1 })).toThrow("item");
});
