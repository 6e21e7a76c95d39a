/**
 * Every background loop is this one: `runOnce` says how long until it wants to run again, `wake` cuts the wait short,
 * an error is reported and tried again with backoff, `stop` waits for the run in progress.
 */

import { backoffMs } from "./backoff.ts";

export interface LoopOptions {
  /** Does one round; answers the wait until the next in ms. */
  runOnce: () => Promise<number>;
  failed: (error: unknown) => void;
  /** The least time between two rounds, however often it is woken; default 0. */
  gapMs?: number;
}

export interface Loop {
  start(): void;
  wake(): void;
  stop(): Promise<void>;
}

export function loop({ runOnce, failed, gapMs = 0 }: LoopOptions): Loop {
  let timer: NodeJS.Timeout | undefined;
  let immediate: NodeJS.Immediate | undefined;
  let round: Promise<void> | undefined;
  let isStopped = true;
  let isWoken = false;
  let failures = 0;
  let endedAt = Number.NEGATIVE_INFINITY;

  const next = (delayMs: number) => {
    if (isStopped) return;
    clear();
    const waitMs = Math.max(delayMs, endedAt + gapMs - performance.now(), 0);
    // a timer of 0 ms waits 1 ms
    if (waitMs <= 0) immediate = setImmediate(run);
    else timer = setTimeout(run, waitMs);
  };
  const clear = () => {
    clearTimeout(timer);
    clearImmediate(immediate);
  };
  const run = () => {
    isWoken = false;
    round = runOnce()
      .then(
        (delayMs) => {
          failures = 0;
          return delayMs;
        },
        (error: unknown) => {
          failed(error);
          failures += 1;
          return backoffMs(failures, { baseMs: 100, maxMs: 5_000 });
        },
      )
      .then((delayMs) => {
        round = undefined;
        endedAt = performance.now();
        next(isWoken && failures === 0 ? 0 : delayMs);
      });
  };
  return {
    start: () => {
      isStopped = false;
      next(0);
    },
    wake: () => {
      if (round === undefined) next(0);
      else isWoken = true;
    },
    stop: async () => {
      isStopped = true;
      clear();
      await round;
    },
  };
}
