/** What operators see of runs: every status, what steps have said, columns, counters. */

import { expect, test } from "vitest";
import { z } from "zod";
import { defineProcess, type RunStatus } from "../../src/index.ts";
import { here, hereJson } from "../cli/here.ts";
import { freshDatabase } from "../support/database.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";

const LATER = new Date("2100-01-01T00:00:00Z");
const KINDS = ["ends", "skips", "waits", "sleeps", "holds", "fails", "retries", "runs"] as const;

test("R18: a run comes to each status, and the list and its own page show it", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  let letEnd: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    letEnd = resolve;
  });
  const process = defineProcess({
    name: "all",
    version: 1,
    input: z.object({ kind: z.enum(KINDS) }),
    retry: { attempts: 2, delay: "1h" },
    steps: (s) =>
      s
        .call("one", async ({ input: { kind }, end, hold }) => {
          if (kind === "skips") return end("skipped", "nothing to do");
          if (kind === "holds") return hold("look at it");
          if (kind === "retries") throw new Error("busy");
          if (kind === "runs") await gate;
          return kind;
        })
        .call(
          "fail",
          ({ input: { kind } }) => {
            if (kind === "fails") throw new Error("no");
          },
          { retry: { attempts: 1 } },
        )
        .wait("word", { when: ({ input: { kind } }) => kind === "waits" })
        .sleep("nap", "1h", { when: ({ input: { kind } }) => kind === "sleeps" }),
  });
  const pawl = await pawlWith([process], url);
  await pawl.work();
  const start = async (kind: (typeof KINDS)[number]) => (await pawl.start(process, { kind })).id;
  const ids: Partial<Record<RunStatus, string>> = {
    pending: (await pawl.start(process, { kind: "ends" }, { runAt: LATER })).id,
    running: await start("runs"),
    retry: await start("retries"),
    waiting: await start("waits"),
    sleeping: await start("sleeps"),
    held: await start("holds"),
    error: await start("fails"),
    done: await start("ends"),
    skipped: await start("skips"),
    abandoned: await start("waits"),
    cancelled: await start("waits"),
    removed: await start("fails"),
  };
  const { abandoned = "", cancelled = "", removed = "" } = ids;
  for (const id of [abandoned, cancelled]) await untilStatus(pawl, id, "waiting");
  await untilStatus(pawl, removed, "error");
  await pawl.processes.abandon(abandoned, { why: "ordered twice" });
  await pawl.cancel(cancelled);
  await pawl.dead.remove([removed]);
  for (const [status, id] of Object.entries(ids) as [RunStatus, string][]) {
    await untilStatus(pawl, id, status);
    const listed = await hereJson<{ runs: { id: string }[] }>(
      url,
      "processes",
      "list",
      "--status",
      status,
    );
    expect
      .soft(
        listed.runs.map((run) => run.id),
        status,
      )
      .toEqual([id]);
    expect.soft(await here(url, "processes", "show", id), status).toContain(`version 1, ${status}`);
  }
  letEnd();
  await untilStatus(pawl, ids.running ?? "", "done");
});

test("R14 R18 R34: what steps have said is kept also if they fail, warnings are counted, columns show input, data and meta, and find runs; counters tell new ones and the most attempts, beside the title", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const process = defineProcess({
    name: "order",
    title: "Take in an order",
    version: 1,
    input: z.object({ order: z.number(), isDown: z.boolean() }),
    retry: { attempts: 9, delay: 0 },
    columns: { order: "input.order", weight_g: "data.parcel.weight", tenant: "meta.tenant" },
    steps: (s) =>
      s
        .call("pack", ({ info, warn, merge }) => {
          info("two pieces");
          warn("the last label");
          warn("the tape is short");
          merge({ parcel: { weight: 120 } });
        })
        .call(
          "ship",
          ({ warn, input: { isDown } }) => {
            if (!isDown) return;
            warn("no van");
            throw new Error("down");
          },
          { retry: { delays: [0, 0, "1h"], jitter: 0 } },
        )
        .wait("word"),
  });
  const other = defineProcess({
    name: "other",
    version: 1,
    input: z.object({}),
    steps: (s) => s.wait("word"),
  });
  const pawl = await pawlWith([process, other], url);
  const meta = { tenant: "acme", password: "hunter2" };
  const { id } = await pawl.start(process, { order: 7, isDown: true }, { meta });
  const { id: good } = await pawl.start(process, { order: 8, isDown: false });
  const { id: unknown } = await pawl.start(other, {});
  await pawl.start(process, { order: 9, isDown: true }, { runAt: LATER });
  await pawl.work();
  await untilStatus(pawl, good, "waiting");
  await untilStatus(pawl, unknown, "waiting");
  await until("it has failed three times", async () => (await failures(id)) === 3);
  await untilStatus(pawl, id, "retry");

  const list = await pawl.processes.list({ where: "order=7" });
  expect(list).toMatchObject([{ id, warnings: 5 }]);
  expect(Object.entries(list[0]?.columns ?? {})).toEqual([
    ["order", 7],
    ["weight_g", 120],
    ["tenant", "acme"],
  ]);
  expect(await pawl.processes.list({ where: ["order=8", "weight_g=120"] })).toMatchObject([
    { id: good, warnings: 2 },
  ]);
  expect(await pawl.processes.list({ where: ["order=8", "tenant=acme"] })).toEqual([]);
  await expect(pawl.processes.list({ where: "ordr=7" })).rejects.toThrow('did you mean "order"');
  await expect(pawl.processes.list({ where: "order" })).rejects.toThrow("column=value");
  const text = await here(url, "processes", "list");
  expect(text).toMatch(/ORDER +WEIGHT_G +TENANT +WARNINGS/);
  expect(text).toMatch(/ 7 +120 +acme +\d/);
  expect(await here(url, "processes", "list", "--process", "other")).not.toContain("WARNINGS");

  const shown = await here(url, "processes", "show", id);
  expect(shown).toContain("1 pack info: two pieces\n1 pack warning: the last label");
  expect(shown).toContain("2 ship warning: no van");
  expect(shown).toContain('meta: {"tenant":"acme","password":"***"}');
  expect(shown).toContain("order: 7\nweight_g: 120\ntenant: acme");

  const versions = await pawl.processes.versions("order");
  expect(versions).toMatchObject([{ live: "3", fresh: "1", mostAttempts: 3, mostAttemptsId: id }]);
  expect(await here(url, "processes", "versions", "order")).toMatch(/NEW +MOST ATTEMPTS/);
  expect(await here(url, "processes", "versions", "order")).toContain("Take in an order");

  expect(await pawl.processes.list({ process: "other", status: "error" })).toEqual([]);
  for (const misspelt of [
    () => pawl.processes.list({ process: "ordr" }),
    () => pawl.processes.list({ process: "ordr", where: "order=7" }),
    () => pawl.processes.versions("ordr"),
  ])
    await expect(misspelt()).rejects.toMatchObject({
      code: "unknown_kind",
      message: expect.stringContaining('did you mean "order"'),
    });

  async function failures(run: string): Promise<number> {
    const steps = (await pawl.processes.show(run))?.steps ?? [];
    return steps.filter(({ outcome }) => outcome === "failed").length;
  }
});

test("R112: a wrong entry of `columns` is named", () => {
  const columns = { order: "input.order", total: "payload.total" };
  expect(() =>
    defineProcess({
      name: "order",
      version: 1,
      input: z.object({}),
      columns,
      steps: (s) => s.wait("word"),
    }),
  ).toThrow('"total" with "payload.total" is none of these');
});
