/** Takes away the steps of runs that history has forgotten. */

import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import { messageOf } from "../base/thrown.ts";
import type { Store } from "../store/store.ts";
import { pruneSteps } from "./sql.ts";

const ROUND_MS = 3_600_000;
const NEXT_MS = 1_000;
const RUNS_AT_ONCE = 1_000;

export function stepPruner(store: Store, log: Logger): Loop {
  let after: string | undefined;
  return loop({
    runOnce: async () => {
      if (after === undefined) {
        after = "0"; // a worker that has just started has more urgent work
        return ROUND_MS * Math.random();
      }
      const last = await pruneSteps(store, after, RUNS_AT_ONCE);
      after = last ?? "0";
      return last === null ? ROUND_MS : NEXT_MS;
    },
    failed: (error) => log.warn({ err: messageOf(error) }, "pruning the steps of runs failed"),
  });
}
