/** Two versions of a process: each ends otherwise, and runs of the first can go on in the second. */

import { z } from "zod";
import { type AnyProcess, defineProcess, type MigrateRun, type Process } from "../../src/index.ts";

export const input: z.ZodObject<{ order: z.ZodNumber }> = z.object({ order: z.number() });
const RETRY = { attempts: 1 } as const;
export const BASE: { name: "order"; input: typeof input; retry: typeof RETRY } = {
  name: "order",
  input,
  retry: RETRY,
};
export const v1: Process<typeof input> = defineProcess({
  ...BASE,
  version: 1,
  steps: (s) =>
    s
      .call("reserve", ({ input: { order }, merge }) => {
        merge({ by: "v1", order });
        return { order };
      })
      .wait("paid")
      .call("ship", () => {
        throw new Error("no carrier");
      }),
});

/** Runs of version 1 go on in this one. */
export function v2(
  migrate: MigrateRun,
  older: readonly AnyProcess[] = [v1],
): Process<typeof input> {
  return defineProcess({
    ...BASE,
    version: 2,
    older,
    migrate: { 1: migrate },
    steps: (s) =>
      s
        .call("reserve", () => "never")
        .wait("money")
        .call("pack", ({ outputs, data, input: given }) => ({ outputs, data, given }))
        .wait("packed"),
  });
}

export const toMoney: MigrateRun = ({ step, outputs, data }) => ({
  step: step === "reserve" ? "reserve" : "money",
  outputs: step === "reserve" ? {} : { reserve: outputs.reserve },
  data: { ...data, moved: true },
});
