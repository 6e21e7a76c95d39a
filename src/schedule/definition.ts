/** What an app defines of schedules. */

import { PawlError } from "../base/errors.ts";
import type { ControlApp } from "../control/definition.ts";
import { type AppBase, type Definition, definition } from "../kernel/part.ts";
import { type FieldsOf, withDefault } from "../options/field.ts";
import { definitions } from "../options/parts.ts";
import type { ProcessApp } from "../process/definition.ts";
import type { QueueApp } from "../queue/definition.ts";
import { isSchedule, type Schedule } from "./define-schedule.ts";

export interface ScheduleAppOptions {
  schedules?: readonly Schedule[];
}

export interface ScheduleApp extends AppBase {
  readonly schedules: readonly Schedule[];
}

const FIELDS = {
  schedules: withDefault([], definitions<Schedule>({ isOne: isSchedule, maker: "defineSchedule" })),
} satisfies FieldsOf<ScheduleAppOptions>;

export const scheduleDefinition: Definition = definition(
  FIELDS,
  ({ schedules }, app: QueueApp & ProcessApp & ControlApp) => {
    for (const schedule of schedules) refuseUnknown(schedule, app);
    return { schedules } satisfies Omit<ScheduleApp, keyof AppBase>;
  },
);

/** What it starts must have a handler in this app. */
function refuseUnknown({ name, starts }: Schedule, app: QueueApp & ProcessApp & ControlApp): void {
  const { kind, one, list, option } = targetOf(starts, app);
  if (list.includes(one)) return;
  throw new PawlError(
    "unknown_kind",
    `schedule "${name}": ${kind} "${one.name}" is not in the app's \`${option}\`; add it there`,
  );
}

function targetOf(starts: Schedule["starts"], app: QueueApp & ProcessApp & ControlApp) {
  if ("job" in starts)
    return { kind: "job", one: starts.job, list: app.jobs as readonly unknown[], option: "jobs" };
  if ("process" in starts)
    return {
      kind: "process",
      one: starts.process,
      list: app.processes as readonly unknown[],
      option: "processes",
    };
  return {
    kind: "command",
    one: starts.command,
    list: app.commands as readonly unknown[],
    option: "commands",
  };
}
