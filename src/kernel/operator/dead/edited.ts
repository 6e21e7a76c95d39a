/** Retries one dead letter as a new task with another payload. */

import { PawlError } from "../../../base/errors.ts";
import type { Act } from "../../../operate/sql.ts";
import type { Calling } from "../../../operate/verb.ts";
import type { Store } from "../../../store/store.ts";
import { findTask, type TaskDetail } from "../sql.ts";
import { inOtherState, noTask } from "../tasks/find.ts";
import type { EditJob } from "../tasks/tasks.ts";
import type { ChangedDead } from "./dead.ts";
import { deadToEdit, retryDeadAs } from "./sql.ts";

/** @throws PawlError `invalid_option` unless it is about one dead letter, by its id */
export function requireOne(ids: readonly string[] | undefined, calling: Calling): string {
  const [id, second] = ids ?? [];
  if (id !== undefined && second === undefined) return id;
  const { where, label } = calling;
  throw new PawlError(
    "invalid_option",
    `${where}: ${label("payload")} is for one dead letter; give its id, and no other`,
    { data: { option: label("payload") } },
  );
}

export async function requireDeadTask(store: Store, id: string): Promise<TaskDetail> {
  const task = await findTask(store, id);
  if (task === undefined) throw noTask(id);
  if (task.state !== "dead") throw inOtherState(id, "dead letter", task.state);
  return task;
}

export interface RetryAs {
  id: string;
  payload: unknown;
  isDryRun: boolean;
  act: Act;
}

export async function retryAs(
  store: Store,
  editJob: EditJob,
  { id, payload, isDryRun, act }: RetryAs,
): Promise<ChangedDead> {
  const task = await requireDeadTask(store, id);
  const more = await deadToEdit(store, id);
  if (more === undefined) return refuseOther(store, id);
  const { limitKey, isWaitedFor } = more;
  const edited = await editJob({ ...task, payload: task.payload, limitKey }, payload);
  if (isWaitedFor) throw waitedFor(id);
  if (isDryRun) return { dryRun: true, count: 1, ids: [id] };
  const row = await retryDeadAs(store, { ...act, id, edited });
  if (row === undefined) return refuseOther(store, id);
  if (row.outcome === "watched") throw waitedFor(id);
  return row.outcome === "duplicate"
    ? { dryRun: false, count: 0, ids: [], duplicates: [id] }
    : { dryRun: false, count: 1, ids: [id], duplicates: [], as: row.id };
}

/** It was a dead letter a moment ago. */
async function refuseOther(store: Store, id: string): Promise<never> {
  throw inOtherState(id, "dead letter", (await findTask(store, id))?.state ?? "done");
}

function waitedFor(id: string): PawlError {
  return new PawlError(
    "invalid_option",
    `task ${id}: another task waits for the end of this very task, so no other can stand in; retry it as it is, or remove it`,
    { data: { id } },
  );
}
