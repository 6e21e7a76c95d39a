/** What `pawl.dead` offers. */

import type { ActOptions } from "../../../operate/verb.ts";
import type { TaskId } from "../../task.ts";
import type { DeadReason } from "../filter.ts";
import type { ShownTask } from "../tasks/tasks.ts";
import type { DeadGroup, DeadRow } from "./sql.ts";

export interface DeadFilters {
  queue?: string;
  kind?: string;
  /** Only dead letters whose error message contains this text. */
  error?: string;
  reason?: DeadReason;
  /** Only dead letters of this lane. */
  lane?: string;
  /** Only what fits this filter (docs/filters.md): `kind:send-* err:"timed out" payload.user.id:42`. */
  filter?: string;
}

export interface ListDead extends DeadFilters {
  /** Maximum number of rows, up to 10,000; default 50. */
  limit?: number;
}

/** Without ids `all: true` is required; filters may be added. */
export interface ChangeDead extends DeadFilters, ActOptions {
  all?: boolean;
  /** Returns what would happen, and changes nothing. */
  dryRun?: boolean;
}

export interface RetryDead extends ChangeDead {
  /**
   * For one dead letter of a job: retries it as a new task with this payload, which is checked by the job's schema. The dead
   * letter ends as `removed`.
   */
  payload?: unknown;
}

export interface ChangedDead {
  dryRun: boolean;
  count: number;
  /** In the order of the call. Missing if filters or `all` selected them. */
  ids?: string[];
  /** Only for a retry: these stay dead, because a live task has their key. Missing for a dry run. */
  duplicates?: string[];
  /** The id of the new task. Only if a payload was given. */
  as?: string;
}

/** `pawl.dead`: dead letters. */
export interface DeadLetters {
  /** Returns dead letters, latest first. @throws PawlError `unknown_queue`, `unknown_kind` */
  list(options?: ListDead): Promise<DeadRow[]>;
  /** Returns dead letters grouped by cause, largest group first. */
  groups(options?: ListDead): Promise<DeadGroup[]>;
  /** Returns one dead letter, or undefined if there is none with this id. */
  show(id: TaskId): Promise<ShownTask | undefined>;
  /**
   * Puts dead letters back into their queues, with the same id and all attempts again. If one id is not dead, none is
   * changed.
   * @throws PawlError `task_not_found`, `invalid_payload`
   */
  retry(ids: TaskId | readonly TaskId[], options?: RetryDead): Promise<ChangedDead>;
  /** The same for all dead letters, or all that match the filters. */
  retry(options: ChangeDead & { all: true }): Promise<ChangedDead>;
  /** Moves dead letters to history as `removed`. @throws PawlError `task_not_found` */
  remove(ids: TaskId | readonly TaskId[], options?: ChangeDead): Promise<ChangedDead>;
  /** The same for all dead letters, or all that match the filters. */
  remove(options: ChangeDead & { all: true }): Promise<ChangedDead>;
}
