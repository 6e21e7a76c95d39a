/** A step's task in a module of its own, as several processes may have it. */

import type { StepContext } from "../../../src/index.ts";

export const handleTask2 = {
  options: { retry: { attempts: 3, delay: 0 } },
  run: async ({
    attempt,
    outputs,
    message,
  }: StepContext<unknown, { step1: { lines: number } }>): Promise<number> => {
    if (attempt === 1) throw new Error("not yet");
    message(`doubled ${outputs.step1.lines} lines`);
    return outputs.step1.lines * 2;
  },
};
