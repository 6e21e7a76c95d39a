/** Statements of quiet hours for operators. */

import { results } from "../../../operate/results.ts";
import type { Act } from "../../../operate/sql.ts";
import type { Executor } from "../../../store/executor.ts";
import type { QuietRow, QuietTime } from "./quiet.ts";

export function quietHours(executor: Executor): Promise<QuietRow[]> {
  return results(
    executor,
    `select q.name, q.application, q.time_zone, q.begins_at as "from", q.ends_at as "to", q.days, q.holds, q.exempt, q.why, q.begins, q.ends,
            q.is_quiet, q.passed_until, q.passed_by, q.passed_why
       from pawl.quiet_hours_v1() q`,
  );
}

export function quietTimes(
  executor: Executor,
  name: string | null,
  days: number,
): Promise<QuietTime[]> {
  return results(executor, "select * from pawl.quiet_preview_v1($1, $2)", [name, days]);
}

export async function passQuiet(
  executor: Executor,
  name: string,
  { by, why, action }: Act,
): Promise<QuietTime | undefined> {
  const [row] = await results<QuietTime>(
    executor,
    `select q.name, p.begins, p.ends, q.time_zone, true as is_passed
       from pawl.pass_quiet_v1($1, $2, $3, $4) p join pawl.quiet_hours_v1() q on q.name = $1`,
    [name, by, why, action],
  );
  return row;
}
