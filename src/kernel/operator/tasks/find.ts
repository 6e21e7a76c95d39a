/** Finds the tasks that people name, and refuses those that are in the wrong state for the command. */

import { PawlError } from "../../../base/errors.ts";
import type { Store } from "../../../store/store.ts";
import { LIVE_STATES, type TaskState } from "../filter.ts";
import { findTask, type TaskDetail } from "../sql.ts";

export function isLive({ state }: TaskDetail): boolean {
  return LIVE_STATES.includes(state);
}

/** All or nothing: if one id is in another state, none is returned. */
export async function requireTasks(
  store: Store,
  ids: readonly string[],
  { is, what }: { is: (task: TaskDetail) => boolean; what: string },
): Promise<TaskDetail[]> {
  const found: TaskDetail[] = [];
  for (const id of ids) {
    const task = await findTask(store, id);
    if (task === undefined) throw noTask(id);
    if (!is(task)) throw inOtherState(id, what, task.state);
    found.push(task);
  }
  return found;
}

export function noTask(id: string): PawlError {
  return new PawlError(
    "task_not_found",
    `task ${id}: not there, neither live, dead nor finished; see \`pawl tasks list\``,
    { data: { id } },
  );
}

/** `what`: as in "is no dead letter". */
export function inOtherState(id: string, what: string, state: TaskState): PawlError {
  return new PawlError(
    "task_not_found",
    `task ${id}: is not a ${what}, it is ${state}; see \`pawl tasks show ${id}\``,
    { data: { id, state } },
  );
}
