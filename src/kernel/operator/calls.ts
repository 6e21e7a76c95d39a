/** Verbs that the client also has by a short name, with a short answer: `pawl.cancel` is `pawl.tasks.cancel`. */

import type { Duration } from "../../base/duration.ts";
import { PawlError } from "../../base/errors.ts";
import { refuseOptions } from "../../base/options.ts";
import { type Caller, callAs } from "../../operate/calls.ts";
import type { ActOptions } from "../../operate/verb.ts";
import { type FieldsOf, readOptions, readValue, withDefault } from "../../options/field.ts";
import { duration, numberId } from "../../options/kinds.ts";
import { resultOf } from "../results/result.ts";
import { Results } from "../results/results.ts";
import type { TaskId } from "../task.ts";
import { findTask, type TaskDetail } from "./sql.ts";
import type { TurnOff } from "./switches/switches.ts";
import { switchesNoun } from "./switches/verbs.ts";
import type { ChangeTasks, RescheduleTask, TasksDesk } from "./tasks/tasks.ts";
import { tasksNoun } from "./tasks/verbs.ts";
import type { StopWorkers } from "./workers/verbs.ts";
import { workersNoun } from "./workers/verbs.ts";

const TASK_ID = numberId("the task");

export interface ResultOptions {
  /** Maximum time to wait; default 1 min. */
  timeout?: Duration;
}

const RESULT = {
  timeout: withDefault("1m", duration({ help: "maximum time to wait" })),
} satisfies FieldsOf<ResultOptions>;

export interface KernelCalls {
  task(id: TaskId): Promise<TaskDetail | undefined>;
  /**
   * Waits until a task is done and returns its result, also when that was before the call: the value that its handler returned, or
   * null. Many waits share one connection. The task goes on whatever becomes of the wait.
   * @throws PawlError `task_dead` (also if its dead letter was removed), `task_cancelled`, `task_expired`, `task_not_found` (retention
   * may have removed it), `result_timeout`, `client_closed`
   */
  result<T = unknown>(id: TaskId, options?: ResultOptions): Promise<T>;
  /**
   * Cancels a task. `cancelled`: it waited and has ended. `requested`: it runs, its signal aborts, and it ends as cancelled
   * unless its handler still succeeds. `not_live`: it has ended already, or does not exist.
   */
  cancel(id: TaskId, options?: ChangeTasks): Promise<"cancelled" | "requested" | "not_live">;
  /** Changes the start time or the priority of a waiting task. `running` and `not_live`: it is too late. */
  reschedule(id: TaskId, options: RescheduleTask): Promise<"changed" | "running" | "not_live">;
  /**
   * Turns a scope off (`all`, `queue:<name>` …): when this resolves, no worker starts anything of it.
   * @throws PawlError `invalid_option`, `unknown_queue`
   */
  off(scope: string, options?: TurnOff): Promise<void>;
  /** Turns a scope on. Returns true if it was off. @throws PawlError `invalid_option`, `unknown_queue` */
  on(scope: string, options?: ActOptions): Promise<boolean>;
  /** Asks all live workers to stop. Returns how many were asked. */
  stopWorkers(options?: StopWorkers): Promise<number>;
}

export function kernelCalls(caller: Caller<TasksDesk>): KernelCalls {
  const cancel = callAs("cancel", tasksNoun, "cancel", caller);
  const reschedule = callAs("reschedule", tasksNoun, "reschedule", caller);
  const off = callAs("off", switchesNoun, "off", caller);
  const on = callAs("on", switchesNoun, "on", caller);
  const stop = callAs("stopWorkers", workersNoun, "stop", caller);
  const results = new Results(caller.base.store, caller.base.stoppable);
  return {
    task: async (id, ...more: unknown[]) => {
      refuseOptions("task", more);
      return findTask(caller.base.store, readValue("task", "id", TASK_ID, id));
    },
    result: async <T>(id: TaskId, given: ResultOptions = {}) => {
      const one = readValue("result", "id", TASK_ID, id);
      const { timeout } = readOptions("result", RESULT, given);
      return resultOf(await results.ended(one, timeout)) as T;
    },
    cancel: async (id, ...options) => {
      const one = readValue("cancel", "id", TASK_ID, id);
      const ended = await unlessInOtherState(cancel(one, ...options));
      if (typeof ended === "string") return "not_live";
      if (ended.cancelled.length > 0) return "cancelled";
      return ended.requested.length > 0 ? "requested" : "not_live";
    },
    reschedule: async (...given) => {
      const moved = await unlessInOtherState(reschedule(...given));
      if (typeof moved !== "string") return "changed";
      return moved === "running" ? "running" : "not_live";
    },
    off: async (...given) => {
      await off(...given);
    },
    on: async (...given) => (await on(...given)).wasOff,
    stopWorkers: async (...given) => (await stop(...given)).asked,
  };
}

/** Returns the result, or the state in which the task is instead; `none` if there is no such task. */
async function unlessInOtherState<T extends object>(call: Promise<T>): Promise<T | string> {
  try {
    return await call;
  } catch (error) {
    if (!(error instanceof PawlError) || error.code !== "task_not_found") throw error;
    const { state } = (error.data ?? {}) as { state?: string };
    return state ?? "none";
  }
}
