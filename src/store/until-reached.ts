/** Tries again while the database cannot be reached: what has to happen before anything else can. */

import { setTimeout as wait } from "node:timers/promises";
import { backoffMs } from "../base/backoff.ts";
import type { Logger } from "../base/log.ts";
import { translateDatabaseError } from "./sqlstate.ts";

const PAUSE_MS = { baseMs: 200, maxMs: 5_000 };
/** How soon a stop is noticed in a pause. */
const LOOK_MS = 200;

export interface UntilReached {
  log: Logger;
  isStopping: () => boolean;
}

/**
 * The answer of `work`, which must leave nothing behind when it throws. Only `database_unreachable` is tried again, until
 * `isStopping`: a wrong password, an unknown database or a refused definition is thrown at once.
 */
export async function untilReached<T>(
  work: () => Promise<T>,
  { log, isStopping }: UntilReached,
): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await work();
    } catch (thrown) {
      const error = translateDatabaseError(thrown);
      if (error.code !== "database_unreachable" || isStopping()) throw thrown;
      log.debug({ err: error.message }, "starting failed, it is tried again");
      const until = performance.now() + backoffMs(failures, PAUSE_MS);
      while (performance.now() < until && !isStopping()) await wait(LOOK_MS);
    }
  }
}
