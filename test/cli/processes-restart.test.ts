/** What an operator does with a run that failed, as it is typed. */

import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { silentLogger } from "../../src/base/log.ts";
import { connect, defineApp, defineProcess, type Pawl } from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { freshDatabase } from "../support/database.ts";
import { untilStatus } from "../support/runs.ts";
import { until } from "../support/until.ts";
import { here, hereJson } from "./here.ts";

const WHO = ["--by", "ada", "--why", "the bank is back"] as const;
const state = { isDown: true };
const did: string[] = [];

const order = defineProcess({
  name: "order",
  version: 1,
  input: z.object({ name: z.string(), retries: z.enum(["soon", "later"]) }),
  lane: ({ name }) => name,
  steps: (s) =>
    s
      .call("pack", ({ input: { name } }) => void did.push(`${name} pack`))
      .call(
        "pay",
        ({ input: { name, retries }, attempt }) => {
          did.push(`${name} pay ${attempt}`);
          if (state.isDown && retries === "soon") throw new Error("503");
        },
        { retry: { attempts: 3, delay: 0 } },
      )
      .call(
        "ship",
        ({ input: { name }, attempt }) => {
          did.push(`${name} ship ${attempt}`);
          if (state.isDown) throw new Error("no van");
        },
        { retry: { attempts: 3, delay: "1h" } },
      ),
});

let url = "";
let pawl: Pawl;
beforeAll(async () => {
  url = (await freshDatabase({ longLeases: true })).url;
  pawl = await connect(defineApp({ processes: [order] }), { databaseUrl: url, log: silentLogger });
  atEnd(() => pawl.close());
});

const cli = (...args: string[]) => here(url, "processes", ...args);
const of = (name: string) =>
  did.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));

test("R24: `processes restart` runs a run in error, and one that waits for its next attempt, at the step where it stands or at an earlier one, with all attempts again", async () => {
  state.isDown = true;
  const worker = await pawl.work();
  const { id: error } = await pawl.start(order, { name: "a", retries: "soon" });
  const { id: retry } = await pawl.start(order, { name: "b", retries: "later" });
  await untilStatus(pawl, error, "error");
  await untilStatus(pawl, retry, "retry");
  expect(await cli("restart", error, ...WHO)).toBe(`run ${error} goes on`);
  await until("all attempts are used up again", () => of("a").length === 7);
  await untilStatus(pawl, error, "error");
  expect(of("a")).toEqual(["pack", "pay 1", "pay 2", "pay 3", "pay 1", "pay 2", "pay 3"]);
  await expect(cli("restart", error, "--step", "nope", ...WHO)).rejects.toThrow("it has no step");
  // in an hour it would be tried again
  expect(await cli("restart", retry, ...WHO)).toBe(`run ${retry} goes on`);
  await until("it failed again", () => of("b").length === 4);
  await untilStatus(pawl, retry, "retry");
  expect(of("b")).toEqual(["pack", "pay 1", "ship 1", "ship 1"]);
  state.isDown = false;
  expect(await cli("restart", retry, "--step", "pack", ...WHO)).toBe(
    `run ${retry} goes on with step pack`,
  );
  await untilStatus(pawl, retry, "done");
  expect(of("b").slice(4)).toEqual(["pack", "pay 1", "ship 1"]);
  expect(await cli("restart", error, "--step", "pack", ...WHO)).toContain("goes on with step pack");
  await untilStatus(pawl, error, "done");
  const { audit } = await hereJson<{ audit: object[] }>(url, "audit", "--target", `task:${retry}`);
  expect(audit).toMatchObject([
    { action: "processes.restart", by: "ada", why: "the bank is back", detail: { step: "pack" } },
    { action: "processes.restart", detail: { step: "ship" } },
  ]);
  expect(await cli("show", retry)).toMatch(/ship +restarted .* the bank is back .* ada/);
  await worker.stop();
});

test("R25: an unfinished run is abandoned by name, with the person and the host, and passed over by workers that start later; the next one of its lane runs", async () => {
  state.isDown = true;
  const worker = await pawl.work();
  const { id } = await pawl.start(order, { name: "c", retries: "soon" });
  const { id: next } = await pawl.start(order, { name: "c", retries: "soon" });
  await untilStatus(pawl, id, "error");
  await worker.stop();
  const ran = of("c").length;
  expect(await cli("abandon", id, "--why", "ordered twice")).toBe(`run ${id}: abandoned`);
  const { steps } = await untilStatus(pawl, id, "abandoned");
  const last = steps.at(-1);
  expect(last).toMatchObject({
    step: "pay",
    outcome: "abandoned",
    by: expect.stringMatching(/.@./),
    why: "ordered twice",
  });
  expect(last?.endedAt).toBeInstanceOf(Date);
  state.isDown = false;
  await pawl.work();
  await untilStatus(pawl, next, "done");
  expect(of("c").slice(ran)).toEqual(["pack", "pay 1", "ship 1"]);
  await expect(cli("restart", id, ...WHO)).rejects.toMatchObject({ code: "task_not_found" });
});
