/** The router's loop, run by any worker: recorded events become deliveries. One routes at a time, the others stand by. */

import { backoffMs } from "../base/backoff.ts";
import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import type { Executor } from "../store/executor.ts";
import { route } from "./sql.ts";

const BATCH = 1_000;
const IDLE_POLL_MS = { baseMs: 20, maxMs: 1_000 };
/** A worker that is busy hears of no recorded event. */
const BUSY_POLL_MS_MAX = 100;

export function router(options: {
  executor: Executor;
  log: Logger;
  isIdle: () => boolean;
  /** Deliveries were made. */
  wake: () => void;
}): Loop {
  const { executor, log, isIdle, wake } = options;
  let emptyRounds = 0;
  return loop({
    runOnce: async () => {
      const routed = (await route(executor, BATCH)) ?? 0;
      if (routed > 0) wake();
      emptyRounds = routed === 0 ? emptyRounds + 1 : 0;
      if (routed === BATCH) return 0;
      return Math.min(
        backoffMs(emptyRounds, IDLE_POLL_MS),
        isIdle() ? IDLE_POLL_MS.maxMs : BUSY_POLL_MS_MAX,
      );
    },
    failed: (error) =>
      log.warn({ err: (error as Error).message }, "routing failed, it is tried again"),
  });
}
