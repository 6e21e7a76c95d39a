/** What steps have sent outside, as it is kept and shown. */

import { expect, test } from "vitest";
import { z } from "zod";
import { defineProcess } from "../../src/index.ts";
import { here } from "../cli/here.ts";
import { pawlWith, untilStatus } from "../support/runs.ts";

const BASE = { name: "pays", version: 1, input: z.object({}), retry: { attempts: 1 } } as const;

test("R16: what a step sent is kept with its step, also of one that failed, without what `redact` names, and the history shows it", async () => {
  const process = defineProcess({
    ...BASE,
    redact: ["card.number", "items.*.iban", "*.pin", "list.1", "__proto__.a"],
    steps: (s) =>
      s.call("pay", ({ sent }) => {
        sent("pay", {
          card: { number: "4111", name: "Ada", pin: 12 },
          items: [{ iban: "DE1", sum: 1.5 }, { iban: null }, 7],
          list: [1, { a: 2 }, 3],
          number: 5,
          other: { pin: { deep: true }, password: "x" },
        });
        sent("text", "4111");
        sent("nothing");
        throw new Error("503");
      }),
  });
  const pawl = await pawlWith([process]);
  const { id } = await pawl.start(process, {});
  await pawl.work();
  const { steps } = await untilStatus(pawl, id, "error");
  const kept = {
    card: { number: "***", name: "Ada", pin: "***" },
    items: [{ iban: "***", sum: 1.5 }, { iban: "***" }, 7],
    list: [1, "***", 3],
    number: 5,
    other: { pin: "***", password: "***" },
  };
  expect(steps).toMatchObject([
    {
      step: "pay",
      outcome: "failed",
      sent: [
        { action: "pay", payload: kept },
        { action: "text", payload: "4111" },
        { action: "nothing", payload: null },
      ],
    },
  ]);
  const [row] = await pawl.store.rows<{ sent: string }>("select sent::text from pawl.process_step");
  expect(row?.sent).not.toMatch(/DE1|12/);
  const url = pawl.databaseUrl;
  expect(await here(url, "processes", "show", id)).not.toContain("1.5");
  const shown = await here(url, "processes", "show", id, "--payloads");
  expect(shown).toContain('1 pay sent pay: {"');
  expect(shown).toContain('1 pay sent text: "4111"');
});

test.each([["a"], [["a..b"]], [[""]], [[1]], [{}]])(
  "paths to redact that are none are refused: %j",
  (redact) => {
    const steps = (s: never) => s;
    expect(() => defineProcess({ ...BASE, redact, steps } as never)).toThrow("`redact`");
  },
);
