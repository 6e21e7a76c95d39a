/** Runs that are abandoned together with what they have started. */

import { expect, test } from "vitest";
import { z } from "zod";
import { defineProcess, type Pawl } from "../../src/index.ts";
import { here, hereJson } from "../cli/here.ts";
import { freshDatabase } from "../support/database.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const input = z.object({ key: z.string().optional() });
const BASE = { version: 1, input, retry: { attempts: 1 } } as const;
const WHO = ["--by", "ada", "--why", "ordered twice"] as const;

const label = defineProcess({ ...BASE, name: "label", steps: (s) => s.wait("printed") });
const parcel = defineProcess({
  ...BASE,
  name: "parcel",
  steps: (s) =>
    s.child("label", {
      process: label,
      input: () => ({}),
      key: ({ input: { key } }) => key,
    }),
});
const order = defineProcess({
  ...BASE,
  name: "order",
  steps: (s) =>
    s
      .child("first", { process: parcel, input: ({ input }) => input, timeout: "1ms" })
      .child("second", { process: parcel, input: ({ input }) => input }),
});

const live = async (pawl: Pawl, process: string) =>
  (await pawl.processes.list({ process, status: "waiting" })).map((run) => run.id).reverse();

async function family(pawl: Pawl, given: z.infer<typeof input> = {}): Promise<string> {
  const { id } = await pawl.start(order, given);
  await until("it waits for its second parcel", async () => {
    const shown = await pawl.processes.show(id);
    return shown?.run.status === "waiting" && shown.run.step === "second";
  });
  return id;
}

test("R25: with its children a run ends all that it has started, whoever lives of them, each with its line in the audit; a dry run only tells", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const pawl = await pawlWith([order, parcel, label], url);
  await pawl.work();
  const waits = (parcels: number) =>
    until(`${parcels} parcels wait, with their labels`, async () => {
      const all = [await live(pawl, "parcel"), await live(pawl, "label")];
      return all.every((runs) => runs.length === parcels);
    });
  const other = await family(pawl);
  await waits(2); // their numbers are below those of the next ones
  const id = await family(pawl);
  await waits(4);
  const [, , first = "", second = ""] = await live(pawl, "parcel");
  const [mine, yours, printed = "", left = ""] = await live(pawl, "label");
  await pawl.processes.abandon(first, { why: "only this one" }); // an end in between: its child lives on
  const below = [second, printed, left].sort((a, b) => Number(a) - Number(b));
  const command = ["processes", "abandon", id, "--children"] as const;
  expect(await hereJson(url, ...command, "--dry-run")).toEqual({
    id,
    outcome: "planned",
    children: below,
  });
  expect(await here(url, ...command, "--dry-run")).toBe(
    `run ${id}: would be abandoned; 3 runs below it too: ${below.join(", ")}`,
  );
  await expect(here(url, ...command, ...WHO)).rejects.toThrow("and 3 runs below it; add --yes");
  expect((await pawl.processes.show(id))?.run.status).toBe("waiting");
  await here(url, ...command, ...WHO, "--yes");
  for (const one of [id, ...below]) {
    await untilStatus(pawl, one, "abandoned");
    expect(await pawl.audit.list({ target: `task:${one}` })).toMatchObject([
      { action: "processes.abandon", by: "ada", why: "ordered twice" },
    ]);
  }
  await untilStatus(pawl, other, "waiting");
  expect(await live(pawl, "label")).toEqual([mine, yours]);
  // again: the run has ended, and nothing below it lives
  expect(await pawl.processes.abandon(id, { children: true })).toEqual({
    id,
    outcome: "ended",
    children: [],
  });
  await expect(pawl.processes.abandon(id, { dryRun: true })).rejects.toMatchObject({
    code: "task_not_found",
  });
  await expect(pawl.processes.abandon("999999", { children: true })).rejects.toMatchObject({
    code: "task_not_found",
  });
});

test("a run that another one has started, and that this one only waits for, goes on", async () => {
  const pawl = await pawlWith([order, parcel, label]);
  await pawl.work();
  const { id: shared } = await pawl.start(label, {}, { key: "k" });
  const { id } = await pawl.start(parcel, { key: "k" });
  const { run } = await untilStatus(pawl, id, "waiting");
  expect(run.waitsForTask?.id).toBe(shared);
  const done = await pawl.processes.abandon(id, { children: true });
  expect(done).toEqual({ id, outcome: "abandoned", children: [] });
  await untilStatus(pawl, shared, "waiting");
});

test("a run that was abandoned while its step was about to start a child starts none", async () => {
  let isAsked = false;
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const slow = defineProcess({
    ...BASE,
    name: "slow",
    steps: (s) =>
      s.child("label", {
        process: label,
        input: async () => {
          isAsked = true;
          await gate;
          return {};
        },
      }),
  });
  const pawl = await pawlWith([slow, label]);
  await pawl.work();
  const { id } = await pawl.start(slow, {});
  await until("its child is asked for", () => isAsked);
  const done = await pawl.processes.abandon(id, { children: true, why: "no" });
  expect(done).toEqual({ id, outcome: "requested", children: [] });
  open();
  await untilStatus(pawl, id, "abandoned");
  expect(await pawl.processes.list({ process: "label" })).toEqual([]);
});
