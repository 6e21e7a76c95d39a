/** Finds the tasks that people name, and refuses those in another state than their command is about. */

import { PawlError } from "../base/errors.ts";
import { findTask, type TaskDetail, type TaskState } from "../kernel/people/sql.ts";
import type { Store } from "../store/store.ts";

const LIVE: readonly TaskState[] = ["ready", "scheduled", "waiting", "running"];

export function isLive({ state }: TaskDetail): boolean {
  return LIVE.includes(state);
}

/** Nothing is half done: one id in another state, and none is answered. */
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
    `task ${id}: is no ${what}, it is ${state}; see \`pawl tasks show ${id}\``,
    { data: { id, state } },
  );
}
