/** A task with its attempts as text, for the commands that show one. */

import type { ErrorJson } from "../base/json.ts";
import type { AttemptRow, TaskDetail } from "../kernel/people/sql.ts";
import { fields, iso, sections, table } from "./table.ts";

/** `why`: the line of `pawl why`. */
export function taskText(task: TaskDetail, attempts: readonly AttemptRow[], why?: string): string {
  return sections({
    "": fields({
      id: task.id,
      state: task.state,
      reason: task.reason,
      why,
      kind: task.kind,
      queue: task.queue,
      priority: task.priority,
      attempt: `${task.attempt} of ${task.max_attempts}`,
      "run at": iso(task.run_at),
      created: iso(task.created_at),
      started: iso(task.started_at),
      ended: iso(task.ended_at),
      worker: task.worker_id,
      lane: task.lane,
      key: task.key,
      expires: iso(task.expires_at),
      "cancel requested": iso(task.cancel_requested_at),
      about: task.ref,
    }),
    progress: task.progress === null ? undefined : pretty(task.progress),
    payload: pretty(task.payload),
    meta: task.meta === null ? undefined : pretty(task.meta),
    result: task.result === null ? undefined : pretty(task.result),
    error: errorText(task.error),
    "earlier attempts": attempts.length === 0 ? undefined : attemptsText(attempts),
  });
}

export function attemptsText(attempts: readonly AttemptRow[]): string {
  return table(attempts, [
    { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
    { head: "OUTCOME", value: (row) => row.outcome },
    { head: "WORKER", value: (row) => row.worker_id, align: "right" },
    { head: "ENDED", value: (row) => iso(row.ended_at) },
    { head: "ERROR", value: (row) => row.error?.message },
  ]);
}

export function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

export function errorText(error: Partial<ErrorJson> | null): string | undefined {
  if (error === null) return undefined;
  return error.stack ?? `${error.name ?? "Error"}: ${error.message ?? ""}`;
}
