/** The part `schedule`: due times, each of which starts a task once over the fleet. */

import type { Part, PartTools } from "../kernel/part.ts";
import type { Noun } from "../operate/verb.ts";
import type { ProcessApp } from "../process/definition.ts";
import type { QueueApp } from "../queue/definition.ts";
import { type ScheduleApp, scheduleDefinition } from "./definition.ts";
import type { ScheduleDesk, ScheduleProvided, Schedules } from "./operator/schedules.ts";
import { schedulesNoun } from "./operator/verbs.ts";
import { WHY_SCHEDULE } from "./operator/why.ts";
import { taskOf, writeSchedules } from "./register.ts";
import { type Scheduler, scheduler } from "./scheduler.ts";

export type ScheduleRole = "scheduler";

interface ScheduleTools extends PartTools {
  app: ScheduleApp & QueueApp & ProcessApp;
}

export interface ScheduleNouns {
  readonly schedules: Schedules;
}

export const schedulePart: Part<ScheduleTools, ScheduleDesk> = {
  name: "schedule",
  definition: scheduleDefinition,
  nouns: [schedulesNoun as Noun<object, ScheduleDesk>],
  whys: [WHY_SCHEDULE],
  roles: { scheduler: "starts the tasks of schedules" } satisfies Record<ScheduleRole, string>,
  provides: ({ app }) =>
    ({ startable: { jobs: app.jobs, processes: app.processes } }) satisfies ScheduleProvided,
  catalogue: ({ schedules }) => ({ names: { schedules: schedules.map(({ name }) => name) } }),
  register: (executor, owner, { schedules, maxPayloadBytes }) =>
    writeSchedules(executor, owner, schedules, maxPayloadBytes),
  check: async ({ app }) => {
    for (const schedule of app.schedules) await taskOf(schedule, app.maxPayloadBytes);
  },
  // of any app, and those that operators made: what a schedule starts is in its row
  work: async ({ store, log, plan }) => {
    if (!plan.roles.includes("scheduler")) return {};
    let rounds: Scheduler | undefined;
    return {
      loops: ({ offHere, wake, watch }) => {
        rounds = scheduler({ executor: store, log, offHere, wake, watch });
        return [rounds];
      },
      isIdle: () => rounds?.isIdle ?? true,
      // what comes due later is no reason to wait: a schedule never ends
      isWorkLeft: async () => (await rounds?.isWorkLeft()) ?? false,
    };
  },
};
