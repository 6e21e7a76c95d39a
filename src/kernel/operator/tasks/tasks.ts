/** What `pawl.tasks` offers. */

import type { Duration } from "../../../base/duration.ts";
import type { ActOptions, Desk } from "../../../operate/verb.ts";
import type { Stoppable } from "../../results/results.ts";
import type { TaskId } from "../../task.ts";
import type { Edited } from "../dead/sql.ts";
import type { TaskState } from "../filter.ts";
import type { AttemptRow, KindRow, TaskDetail, TaskRow } from "../sql.ts";

/** The code of the config that handles a kind. */
export interface KnownHandler {
  kind: string;
  queue: string;
  handler: string;
}

/** What the code of an app says about a payload that an operator has edited. */
export type EditJob = (
  task: Pick<TaskDetail, "queue" | "kind" | "payload" | "key" | "lane"> & {
    limitKey: string | null;
  },
  payload: unknown,
) => Promise<Edited>;

export interface TasksDesk extends Desk {
  /** Handlers of the config; none without a config. */
  handlers: () => readonly KnownHandler[];
  application: string | null;
  /** Runs work that is asked to end when the client closes, or by a signal. */
  stoppable: Stoppable;
  editJob: EditJob;
}

export interface ListTasks {
  /** Default: live tasks. */
  state?: TaskState;
  queue?: string;
  kind?: string;
  /** Only what fits this filter (docs/filters.md): `state:dead queue:mail,sms kind:send-* age:>10m`. */
  filter?: string;
  /** Maximum number of tasks, up to 10,000; default 50. */
  limit?: number;
}

export interface ShownTask {
  task: TaskDetail;
  /** Attempts before the last one, oldest first. */
  attempts: AttemptRow[];
  /** Why it is in its state; null if it has ended. */
  why: string | null;
}

export type HandledKind = KindRow & { handler: string | null };

export interface TaskFilters {
  queue?: string;
  kind?: string;
  /** Only what fits this filter (docs/filters.md): `state:scheduled kind:send-* age:>1h`. */
  filter?: string;
}

/** Without ids `all: true` is required; filters may be added. */
export interface ChangeTasks extends TaskFilters, ActOptions {
  all?: boolean;
  /** With `all`: maximum number of tasks, up to 100,000, the oldest first; default 10,000. */
  limit?: number;
  /** Returns what would happen, and changes nothing. */
  dryRun?: boolean;
}

export interface RescheduleTask extends ActOptions {
  /** The earliest start. */
  runAt?: Date;
  /** The earliest start, as a time from now by the database's clock. */
  delay?: Duration;
  /** 0 (first) to 3 (last). */
  priority?: number;
}

export interface Ended {
  dryRun: boolean;
  /** Tasks that ended at once. */
  cancelled: string[];
  /** Running tasks that were asked to end. */
  requested: string[];
  /** Only with `all`: the number of others that fit, beyond `limit`. */
  more?: number;
}

export interface Retried {
  dryRun: boolean;
  count: number;
  ids: string[];
  /** These stay dead, because a live task has their key. */
  duplicates: string[];
  /** Only with `all`: the number of others that fit, beyond `limit`. */
  more?: number;
}

export interface Moved {
  id: string;
  /** The task after the change; null if it no longer exists. */
  task: TaskDetail | null;
}

/** `pawl.tasks`. */
export interface Tasks {
  /** Returns tasks, newest first. @throws PawlError `unknown_queue`, `unknown_kind` */
  list(options?: ListTasks): Promise<TaskRow[]>;
  /** Returns a task, live, dead or in history; undefined if there is none. */
  show(id: TaskId): Promise<ShownTask | undefined>;
  /** Returns all kinds, with their handlers and the number of live workers that take them. */
  kinds(): Promise<HandledKind[]>;
  /**
   * Ends waiting tasks at once and asks running ones to end. If one task is not live, none is changed.
   * @throws PawlError `task_not_found`
   */
  cancel(ids: TaskId | readonly TaskId[], options?: ChangeTasks): Promise<Ended>;
  /**
   * The same for all live tasks, or all that match the filters. @throws PawlError `unknown_queue`, `unknown_kind`
   */
  cancel(options: ChangeTasks & { all: true }): Promise<Ended>;
  /** Puts dead letters back into their queues, and makes scheduled tasks ready now. @throws PawlError `task_not_found` */
  retry(ids: TaskId | readonly TaskId[], options?: ChangeTasks): Promise<Retried>;
  /**
   * The same for all dead letters and scheduled tasks, or all that match the filters. @throws PawlError `unknown_queue`, `unknown_kind`
   */
  retry(options: ChangeTasks & { all: true }): Promise<Retried>;
  /** Changes the start time or the priority of a waiting task. @throws PawlError `task_not_found`, `invalid_option` */
  reschedule(id: TaskId, options?: RescheduleTask): Promise<Moved>;
}
