/** Finds the schedule that somebody names. */

import { PawlError, shown } from "../../base/errors.ts";
import { didYouMean } from "../../base/suggest.ts";
import { dataText } from "../../base/text.ts";
import type { Executor } from "../../store/executor.ts";
import { type ScheduleRow, scheduleRows } from "../sql.ts";
import type { Timing } from "../timing.ts";

/** Of those that are like the name that was given. */
const KNOWN_MAX = 1_000;

/** @throws PawlError `schedule_not_found` */
export async function requireSchedule(executor: Executor, name: string): Promise<ScheduleRow> {
  const [found] = await scheduleRows(executor, { name, limit: 1 });
  if (found !== undefined) return found;
  const known = (await scheduleRows(executor, { limit: KNOWN_MAX })).map((one) => one.name);
  const hint =
    known.length === 0
      ? "this database knows none yet: `pawl work` tells it those of the app"
      : didYouMean(name, known);
  throw new PawlError("schedule_not_found", `no schedule ${shown(name)}; ${hint}`, {
    data: { schedule: dataText(name) },
  });
}

export function timingOfRow({ cron, timeZone, everyMs, origin }: ScheduleRow): Timing {
  return cron === null
    ? { everyMs: everyMs ?? Number.MAX_SAFE_INTEGER, from: origin ?? new Date(0) }
    : { cron, timeZone: timeZone ?? "UTC" };
}
