/**
 * The router's loop, run by any worker: recorded events become deliveries. One routes at a time, the others stand by. A pass
 * has a time limit; when it is over, fewer events are tried, and the condition that takes too long is looked for.
 */

import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import { messageOf } from "../base/thrown.ts";
import { nextPollMs, type Question } from "../kernel/watch/watch.ts";
import { isTimedOut } from "../store/limited.ts";
import type { Store } from "../store/store.ts";
import { slowCondition, turnOffSlow } from "./slow-condition.ts";
import { IS_UNROUTED, PASS_MS, route } from "./sql.ts";

const BATCH = 1_000;
/** After a pass that took too long; each one that did not doubles it again. */
const BATCH_DIVISOR = 8;
const POLLS = { baseMs: 20, maxMs: 1_000, busyMs: 100 };

export function router(options: {
  store: Store;
  log: Logger;
  isIdle: () => boolean;
  /** Deliveries were made. */
  wake: () => void;
  watch: (question: Question) => void;
}): Loop {
  const { store, log, isIdle, wake, watch } = options;
  let emptyRounds = 0;
  let batch = BATCH;
  let isStopping = false;
  const tookTooLong = async (): Promise<number> => {
    const slow = await slowCondition({ store, limit: batch, isStopping: () => isStopping });
    const why = slow === undefined ? undefined : await turnOffSlow(store, slow);
    if (slow !== undefined) {
      const { id, pattern, destination } = slow.route;
      const data = { route: id, pattern, destination, event: slow.event };
      if (why !== undefined) log.error(data, `route ${id} turned off: ${why}`);
      return 0;
    }
    log.warn({ events: batch }, `routing took longer than ${PASS_MS} ms, fewer events are tried`);
    batch = Math.ceil(batch / BATCH_DIVISOR);
    return POLLS.maxMs;
  };
  const rounds = loop({
    runOnce: async () => {
      let routed: number;
      try {
        routed = (await route(store, batch)) ?? 0;
      } catch (thrown) {
        if (!isTimedOut(thrown)) throw thrown;
        return await tookTooLong();
      }
      const isFull = routed === batch;
      if (routed > 0) {
        wake();
        batch = Math.min(batch * 2, BATCH);
      }
      emptyRounds = routed === 0 ? emptyRounds + 1 : 0;
      if (isFull) return 0;
      return nextPollMs(emptyRounds, POLLS, isIdle());
    },
    failed: (error) => log.warn({ err: messageOf(error) }, "routing failed, it is tried again"),
  });
  watch({ sql: IS_UNROUTED, yes: () => rounds.wake() });
  return {
    ...rounds,
    start: () => {
      isStopping = false;
      rounds.start();
    },
    stop: (graceMs) => {
      isStopping = true;
      return rounds.stop(graceMs);
    },
  };
}
