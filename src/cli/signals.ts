/** Signals that stop a worker: the first asks, the second ends the process at once. */

import { EXIT } from "../base/error-codes.ts";
import type { Logger } from "../base/log.ts";
import { whenParentIsGone } from "./supervised.ts";

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
/** One Ctrl-C reaches a process twice if a package runner forwards the signal that the terminal has already sent. */
const SAME_PRESS_MS = 200;

/**
 * Runs work that ends when `stop` resolves, which the first signal does. Signals are no longer handled afterwards, unless one
 * came: then the process is about to end, and another signal must not kill it before.
 */
export async function stoppable<T>(
  log: Logger,
  work: (stop: Promise<void>) => Promise<T>,
): Promise<T> {
  let firstAt: number | undefined;
  let heard: (signal: string) => void = () => undefined;
  const stop = new Promise<void>((resolve) => {
    heard = (signal) => {
      const now = performance.now();
      if (firstAt === undefined) {
        firstAt = now;
        log.info({ signal }, "stopping; a second signal ends the process at once");
        resolve();
      } else if (now - firstAt > SAME_PRESS_MS) {
        log.warn(
          { signal },
          "second signal: ending at once, the tasks come back when the lease runs out",
        );
        process.exit(EXIT.failed);
      }
    };
  });
  for (const signal of SIGNALS) process.on(signal, heard);
  whenParentIsGone(() => heard("disconnect")); // it cannot ask any more
  try {
    return await work(stop);
  } finally {
    if (firstAt === undefined) for (const signal of SIGNALS) process.off(signal, heard);
  }
}
