/** What operators do, for an app's code: the same functions as the command line's, with the app as the one who acts. */

import { hostname } from "node:os";
import type { Duration } from "../base/duration.ts";
import { durationMs } from "../base/duration.ts";
import { PawlError } from "../base/errors.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import { switchOff, switchOn } from "../kernel/people/gate/sql.ts";
import { cancelTasks, moveTasks } from "../kernel/people/sql.ts";
import { stopAllWorkers } from "../kernel/people/stop-workers.ts";
import { type Why, whyTask } from "../kernel/people/why.ts";
import type { TaskId } from "../kernel/task.ts";
import type { Executor } from "../store/executor.ts";

export interface ActOptions {
  /** For the audit; default the app's name and the host. */
  by?: string;
  why?: string;
}

export interface OffOptions extends ActOptions {
  /** On again by itself: at this time, or after so long. Default: until somebody turns it on. */
  until?: Date | Duration;
}

export interface RescheduleOptions extends ActOptions {
  /** Not before this time. */
  runAt?: Date;
  /** Not before this much from now (the database's clock). */
  delay?: Duration;
  /** 0 (first) to 3. */
  priority?: number;
}

export interface Operate {
  /**
   * `cancelled`: it waited and has ended. `requested`: it runs, its signal aborts, and it ends as cancelled unless its
   * handler still ends well. `not_live`: it had ended before, or is not there.
   */
  cancel(id: TaskId, options?: ActOptions): Promise<"cancelled" | "requested" | "not_live">;
  /** Moves a task that does not run yet. `running` and `not_live`: too late. */
  reschedule(id: TaskId, options: RescheduleOptions): Promise<"changed" | "running" | "not_live">;
  /**
   * Once this has resolved, nothing of the scope (`all` or `queue:<name>`) starts, on any worker.
   * @throws PawlError `invalid_option`, `unknown_queue`
   */
  off(scope: string, options?: OffOptions): Promise<void>;
  /** Answers whether it was off. @throws PawlError `invalid_option`, `unknown_queue` */
  on(scope: string, options?: ActOptions): Promise<boolean>;
  /** Asks every live worker to stop; answers how many were asked. */
  stopWorkers(options?: ActOptions): Promise<number>;
  /** Why a task is where it is; undefined when there is none. */
  why(id: TaskId): Promise<Why | undefined>;
}

export function operate(executor: Executor, appName: string): Operate {
  const act = ({ by, why }: ActOptions = {}) => ({ by: by ?? `${appName}@${hostname()}`, why });
  return {
    cancel: async (id, options = {}) => {
      refuseUnknownOptions("cancel", options, ["by", "why"]);
      const [row] = await cancelTasks(executor, [id], act(options));
      return row?.outcome ?? "not_live";
    },
    reschedule: async (id, options) => {
      refuseUnknownOptions("reschedule", options, ["runAt", "delay", "priority", "by", "why"]);
      const { runAt, delay, priority } = options;
      refuseNoChange(options);
      const inMs = delay === undefined ? undefined : durationMs(delay, "delay");
      const move = { runAt, inMs, priority, ...act(options) };
      const [row] = await moveTasks(executor, [id], move);
      return row?.outcome ?? "not_live";
    },
    off: async (scope, options = {}) => {
      refuseUnknownOptions("off", options, ["until", "by", "why"]);
      const { until } = options;
      const end =
        until instanceof Date || until === undefined
          ? { until }
          : { forMs: durationMs(until, "until") };
      await switchOff(executor, { scope, ...end, ...act(options) });
    },
    on: (scope, options = {}) => {
      refuseUnknownOptions("on", options, ["by", "why"]);
      return switchOn(executor, { scope, ...act(options) });
    },
    stopWorkers: async (options = {}) => {
      refuseUnknownOptions("stopWorkers", options, ["by", "why"]);
      return stopAllWorkers(executor, act(options));
    },
    why: (id) => whyTask(executor, id),
  };
}

function refuseNoChange({ runAt, delay, priority }: RescheduleOptions): void {
  const isTimed = runAt !== undefined || delay !== undefined;
  if (runAt !== undefined && delay !== undefined) {
    throw new PawlError(
      "invalid_option",
      "reschedule: both `runAt` and `delay` are given; give one",
    );
  }
  if (isTimed || priority !== undefined) return;
  throw new PawlError("invalid_option", "reschedule: give `runAt`, `delay` or `priority`");
}
