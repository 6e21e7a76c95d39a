/**
 * Every background loop is this one: `runOnce` says how long until it wants to run again, `wake` cuts the wait short,
 * an error is reported and tried again with backoff, `stop` waits for the run in progress.
 */

import { backoffMs } from "./backoff.ts";

const RETRY_MS = { baseMs: 100, maxMs: 5_000 };

export interface LoopOptions {
  /** Does one round; answers the wait until the next in ms. */
  runOnce: () => Promise<number>;
  failed: (error: unknown) => void;
  /** The least time between two rounds, however often it is woken; default 0, after a failure 100 ms. */
  gapMs?: number;
  /** Its rounds are not hurried: `wake` does nothing. */
  isUnhurried?: boolean;
}

export interface Loop {
  start(): void;
  wake(): void;
  /** Waits for the round under way; what runs beside it, if anything does, may take `graceMs` to end. */
  stop(graceMs?: number): Promise<void>;
  /** What runs beside it may take so long whatever the grace is. */
  readonly graceMsMin?: number;
}

export function loop({ runOnce, failed, gapMs = 0, isUnhurried = false }: LoopOptions): Loop {
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
    const restMs = failures === 0 ? gapMs : Math.max(gapMs, RETRY_MS.baseMs);
    const waitMs = Math.max(delayMs, endedAt + restMs - performance.now(), 0);
    // a timer of 0 ms waits 1 ms
    if (waitMs <= 0) immediate = setImmediate(run);
    else timer = setTimeout(run, waitMs);
  };
  const clear = () => {
    clearTimeout(timer);
    clearImmediate(immediate);
  };
  const heard = (error: unknown) => {
    try {
      failed(error);
    } catch {
      // the loop goes on: nothing else would start it again
    }
  };
  const run = () => {
    isWoken = false;
    round = Promise.resolve()
      .then(runOnce)
      .then(
        (delayMs) => {
          failures = 0;
          return delayMs;
        },
        (error: unknown) => {
          heard(error);
          failures += 1;
          return backoffMs(failures, RETRY_MS);
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
      if (isUnhurried) return;
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
