/** Signals that stop a worker: the first asks, the second ends the process at once. */

import { EXIT } from "../base/error-codes.ts";
import type { Logger } from "../base/log.ts";

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
/** One Ctrl-C reaches a process twice where a package runner passes on what the terminal has sent already. */
const SAME_PRESS_MS = 200;

/** Resolves with the first signal. */
export function stopSignals(log: Logger): Promise<void> {
  return new Promise((resolve) => {
    let firstAt: number | undefined;
    const heard = (signal: string) => {
      const now = performance.now();
      if (firstAt === undefined) {
        firstAt = now;
        log.info({ signal }, "stopping; a second signal ends the process at once");
        resolve();
      } else if (now - firstAt > SAME_PRESS_MS) {
        log.warn({ signal }, "second signal: ending at once, the lease brings the tasks back");
        process.exit(EXIT.failed);
      }
    };
    for (const signal of SIGNALS) process.on(signal, heard);
  });
}
