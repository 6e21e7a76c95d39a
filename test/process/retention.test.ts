/** What is no longer kept of runs. */

import { expect, test } from "vitest";
import { z } from "zod";
import { defineProcess, type Pawl } from "../../src/index.ts";
import { pruneRuns } from "../../src/process/retention/sql.ts";
import { here } from "../cli/here.ts";
import { movableClock } from "../support/clock.ts";
import { freshDatabase } from "../support/database.ts";
import { keepFromPruning } from "../support/kernel.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";

const DAY_MS = 86_400_000;
const input = z.object({ ends: z.enum(["done", "waiting", "error"]) });
const steps = [{ card: "4111", sum: 7 }, null] as const;

function processOf(name: string, keep?: { sent?: string; results?: string }) {
  return defineProcess({
    name,
    version: 1,
    input,
    retry: { attempts: 1 },
    ...(keep !== undefined && { keep: keep as { sent: "1d"; results: "2d" } }),
    steps: (s) =>
      s
        .call("pay", ({ sent, merge, info }) => {
          sent("charge", steps[0]);
          sent("ping");
          merge({ paid: 7 });
          info("of 4111");
          return { payment: "p-1" };
        })
        .wait("go", { timeout: "1ms" })
        .call("ship", ({ input: { ends }, outputs, data }) => {
          if (ends === "error" && data.paid === 7) throw new Error("no van");
          return outputs.pay;
        })
        .wait("word", { when: ({ input: { ends } }) => ends === "waiting" })
        .call("end", ({ outputs, end, warn }) => {
          warn("4111 has ended");
          return end("done", outputs.pay.payment);
        }),
  });
}

const kept = (pawl: Pawl, id: string) => pawl.processes.show(id);

async function shown(pawl: Pawl, id: string, step = "pay") {
  const row = (await kept(pawl, id))?.steps.find((one) => one.step === step);
  return { sent: row?.sent, output: row?.output, data: row?.data };
}

const WHOLE = {
  sent: [
    { action: "charge", payload: steps[0] },
    { action: "ping", payload: null },
  ],
  output: { payment: "p-1" },
  data: { paid: 7 },
};
const UNSENT = { ...WHOLE, sent: [{ action: "charge" }, { action: "ping" }] };

test("R16: payloads sent are kept as long as their process says, results as long after the end of the run; a live run and one in error lose nothing that they need, and a dry run only tells", async () => {
  const { url } = await freshDatabase({ longLeases: true });
  const short = processOf("short", { sent: "1d", results: "2d" });
  const long = processOf("long"); // 30 days
  const pawl = await pawlWith([short, long], url);
  const clock = await movableClock(pawl.store);
  const worker = await pawl.work();
  const start = async (process: typeof short, ends: z.infer<typeof input>["ends"]) => {
    const { id } = await pawl.start(process, { ends });
    await untilStatus(pawl, id, ends);
    return id;
  };
  const [done, waiting, error] = [
    await start(short, "done"),
    await start(short, "waiting"),
    await start(short, "error"),
  ];
  const other = await start(long, "done");
  await worker.stop();
  const untouched = [{ dryRun: true, others: [] }, WHOLE];
  expect([await pawl.history.prune({ dryRun: true }), await shown(pawl, done)]).toMatchObject(
    untouched,
  );

  await clock.advance(1.5 * DAY_MS);
  const redacted = { what: expect.stringContaining("payloads"), action: "redact", rows: 3 };
  expect((await pawl.history.prune({ dryRun: true })).others).toEqual([redacted]);
  expect(await here(url, "prune", "--dry-run")).toMatch(/^would redact 3 steps that sent/m);
  expect(await shown(pawl, done)).toEqual(WHOLE);
  expect(await here(url, "prune")).toMatch(/^redacted 3 steps that sent/m);
  for (const id of [done, waiting, error]) expect(await shown(pawl, id)).toEqual(UNSENT);
  expect(await shown(pawl, other)).toEqual(WHOLE);
  expect((await pawl.history.prune({ dryRun: true })).others).toEqual([]);
  expect(await here(url, "processes", "show", done, "--payloads")).toContain(
    "1 pay sent charge: (removed)",
  );

  await clock.advance(DAY_MS);
  const { others } = await pawl.history.prune({ why: "a drill" });
  expect(others).toEqual([{ what: expect.stringContaining("results"), action: "redact", rows: 4 }]);
  expect(await shown(pawl, done)).toEqual({ ...UNSENT, output: null, data: null });
  expect((await kept(pawl, done))?.steps.filter(({ notes }) => notes !== null)).toEqual([]);
  expect((await kept(pawl, error))?.steps[0]?.notes).toEqual([{ level: "info", text: "of 4111" }]);
  expect((await kept(pawl, done))?.run).toMatchObject({ status: "done", message: "p-1" });
  expect(await here(url, "processes", "show", done)).toMatch(/pay +done .* \(removed\)/);
  for (const id of [waiting, error]) expect(await shown(pawl, id)).toEqual(UNSENT);
  await pawl.work();
  await pawl.signal(waiting, "word");
  await untilStatus(pawl, waiting, "done"); // it could read what its steps had returned
  await pawl.processes.skip(error, "ship");
  await untilStatus(pawl, error, "done");
});

test("R16: a worker removes them in batches of a bounded number of rows, and leaves none behind", async () => {
  const short = processOf("short", { sent: "0s" as "1d", results: "0s" as "2d" });
  const pawl = await pawlWith([short]);
  await pawl.store.rows(
    "create or replace function pawl.pruned_rows_max() returns int language sql immutable return 2",
  );
  await keepFromPruning(pawl.store);
  await pawl.work();
  const ids: string[] = [];
  for (let i = 0; i < 5; i += 1) ids.push((await pawl.start(short, { ends: "done" })).id);
  for (const id of ids) await untilStatus(pawl, id, "done");
  const batches: [number, number][] = [];
  for (let after: string | null = "0"; after !== null; ) {
    const { last, sent, results } = await pruneRuns(pawl.store, { after, isDryRun: false });
    batches.push([sent, results]);
    after = last;
  }
  expect(Math.max(...batches.flat())).toBe(2);
  expect(batches.reduce((sum, [sent]) => sum + sent, 0)).toBe(5);
  for (const id of ids) {
    const { sent, output } = await shown(pawl, id);
    expect([sent, output]).toEqual([UNSENT.sent, null]);
  }
});
