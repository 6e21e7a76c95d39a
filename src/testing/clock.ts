/** The clock of Pawl in a test's database: `pawl.now()`, by which everything is due, expires and is tried again. */

import { DURATION_MS_MAX, type Duration } from "../base/duration.ts";
import { badOption } from "../base/options.ts";
import { readValue } from "../options/field.ts";
import { duration } from "../options/kinds.ts";
import type { Executor } from "../store/executor.ts";
import { moveClock, readClock } from "./sql.ts";

const BY = duration({ help: "how far the clock moves", maxMs: DURATION_MS_MAX });

export interface TestClock {
  now(): Promise<Date>;
  /** Moves Pawl's clock forward. Do it while no worker runs: its lease would run out. */
  advance(by: Duration): Promise<void>;
  /** Moves Pawl's clock to this time. It goes on from there; a time before now is refused. */
  moveTo(time: Date): Promise<void>;
}

export function testClock(executor: Executor): TestClock {
  return {
    now: () => readClock(executor),
    advance: async (by) => moveClock(executor, readValue("advance", "by", BY, by)),
    moveTo: async (time) => {
      const ms = time.getTime() - (await readClock(executor)).getTime();
      if (!(ms >= 0)) throw badOption("moveTo", "time", "a time that is not before now", time);
      await moveClock(executor, ms);
    },
  };
}
