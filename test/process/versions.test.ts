/** Versions of a process side by side, and what may not change under the same number. */

import { hostname } from "node:os";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { type AnyProcess, connect, defineApp, defineProcess, type Pawl } from "../../src/index.ts";
import { freshDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const input = z.object({});
const BASE = { name: "order", input } as const;
const v1 = defineProcess({
  ...BASE,
  version: 1,
  steps: (s) => s.wait("paid").call("ship", () => "v1"),
});
const changed = defineProcess({
  ...BASE,
  version: 1,
  steps: (s) =>
    s
      .call("check", () => undefined)
      .wait("paid", { signal: "money" })
      .call("ship", () => "changed"),
});
const v2 = (older: readonly AnyProcess[]) =>
  defineProcess({
    ...BASE,
    version: 2,
    older,
    steps: (s) =>
      s
        .wait("paid")
        .call("pack", () => "packed")
        .call("ship", ({ outputs }) => `v2 ${outputs.pack}`),
  });

async function database() {
  const { url } = await freshDatabase({ longLeases: true });
  return async (...processes: AnyProcess[]): Promise<Pawl> => {
    const pawl = await connect(defineApp({ name: "shop", processes }), {
      databaseUrl: url,
      log: silentLogger,
    });
    onTestFinished(() => pawl.close());
    return pawl;
  };
}

test("R17: other steps under the same version refuse to start while there are runs, with the difference; without runs they are taken", async () => {
  const pawlWith = await database();
  const before = await pawlWith(v1);
  await (await pawlWith(changed)).close(); // no run has begun
  await (await pawlWith(v1)).close();
  const { id } = await before.start(v1, {});
  const error: unknown = await pawlWith(changed).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    code: "process_changed",
    message: `process "order" version 1: its steps are not those that its runs or live workers have under this version:
+ call check
+ wait paid (signal money)
- wait paid
  call ship
Give the new steps another \`version\`, and put the old definition into its \`older\`, so that its runs can end`,
  });
  await before.processes.abandon(id);
  await pawlWith(changed);
});

test("R17: each run ends on the version that it began with, side by side; one version never holds up another", async () => {
  const pawlWith = await database();
  const before = await pawlWith(v1);
  const { id: first } = await before.start(v1, {});
  await before.close();

  const newest = v2([]);
  const alone = await pawlWith(newest); // no longer knows version 1
  const { id: second } = await alone.start(newest, {});
  const worker = await alone.work();
  for (const id of [first, second]) await alone.signal(id, "paid");
  const outputOf = async (id: string) => (await alone.task(id))?.result;
  await until("the new one is done", async () => (await alone.task(second))?.state === "done");
  expect(await outputOf(second)).toBe("v2 packed");
  expect((await alone.processes.show(first))?.run).toMatchObject({ status: "pending", version: 1 });
  expect((await alone.why(first))?.line).toContain("no live worker");
  expect(await alone.processes.versions("order")).toMatchObject([
    { version: 1, live: "1", isKnown: false, steps: ["paid", "ship"] },
    { version: 2, live: "0", isKnown: true, steps: ["paid", "pack", "ship"] },
  ]);
  await worker.stop();

  const both = await pawlWith(v2([v1]));
  await both.work();
  await until("the old one is done", async () => (await both.task(first))?.state === "done");
  expect(await outputOf(first)).toBe("v1");
});

test("R28: the list of versions says what holds a process: switches, or what a host itself says", async () => {
  const pawl = await (await database())(v1);
  const act = { by: "ada", why: "repairs" };
  const held = async () => (await pawl.processes.versions("order"))[0];
  expect(await held()).toMatchObject({ off: [], quiet: [], offHosts: [] });
  await pawl.off("process:order", act);
  expect(await held()).toMatchObject({
    off: [{ scope: "process:order", by: "ada", why: "repairs" }],
  });
  await pawl.off("all", act);
  expect((await held())?.off.map(({ scope }) => scope)).toEqual(["all", "process:order"]);
  for (const scope of ["all", "process:order"]) await pawl.on(scope, act);

  process.env.PAWL_OFF = "process:order";
  onTestFinished(() => void delete process.env.PAWL_OFF);
  await pawl.work();
  const here = { off: [], offHosts: [hostname()] };
  await until("its worker says so", async () => (await held())?.offHosts.length === 1 && here);
  expect(await held()).toMatchObject(here);
});

test("R14: a duplicate, a step without a name of its own and a version that is none are refused where they stand", () => {
  const own = { ...BASE, version: 1 };
  expect(() => defineApp({ processes: [v1, v2([])] })).toThrow('two are named "order"');
  expect(() => defineApp({ processes: [v1.steps as never] })).toThrow(
    "expected values made by defineProcess",
  );
  expect(() => defineProcess({ ...own, steps: (s) => s.wait("a").wait("a" as never) })).toThrow(
    'process "order": two steps are named "a"',
  );
  expect(() => defineProcess({ ...own, steps: (s) => s })).toThrow("at least one");
  expect(() => defineProcess({ ...own, steps: (s) => s.wait("1 a") })).toThrow('got "1 a"');
  expect(() => defineProcess({ ...own, version: 0, steps: (s) => s.wait("a") })).toThrow(
    "`version`",
  );
  expect(() => v2([v2([])])).toThrow("version 2 is given twice");
  expect(() =>
    defineProcess({
      ...own,
      steps: (s) => s.call("a", () => 1, { retry: { attemps: 2 } as never }),
    }),
  ).toThrow("attempts");
  expect(() => defineProcess({ ...own, steps: (s) => s.sleep("a", "soon" as never) })).toThrow(
    '"soon"',
  );
  expect(() => defineApp({ queues: { processes: {} }, processes: [] })).toThrow("queues.processes");
});

test("what does not fit its types does not compile: a name twice, an output of a later step, another input", () => {
  defineProcess({
    ...BASE,
    version: 1,
    input: z.object({ order: z.number() }),
    steps: (s) =>
      s
        .call("first", ({ input: { order } }) => ({ n: order, at: new Date() }))
        // @ts-expect-error the output of a later step
        .call("second", ({ outputs }) => outputs.third)
        .wait("third", { schema: z.object({ by: z.string() }), timeout: "1d" })
        .call("fourth", ({ outputs, input: given }) => {
          const at: string = outputs.first.at;
          // @ts-expect-error it may have ended without a signal
          const by: string = outputs.third.by;
          // @ts-expect-error no such field
          return [at, by, given.ordr];
        }),
  });
  expect(() =>
    defineProcess({
      ...BASE,
      version: 1,
      // @ts-expect-error a name that a step has
      steps: (s) => s.call("first", () => 1).call("first", () => 2),
    }),
  ).toThrow("two steps");
});
