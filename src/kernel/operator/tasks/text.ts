/** A task with its attempts as text, for the commands that show one. */

import type { ErrorJson } from "../../../base/error-json.ts";
import { indentedJson } from "../../../base/json-indent.ts";
import { maskContent, shownRow } from "../../../base/mask-json.ts";
import { fields, iso, sections, table } from "../../../operate/table.ts";
import type { AttemptRow, TaskDetail } from "../sql.ts";
import type { ShownTask } from "./tasks.ts";

/** How a task is shown, for every verb that shows one. */
export const shownTask: { json(shown: ShownTask): unknown; text(shown: ShownTask): string } = {
  json: ({ task, attempts, why }) => ({ task: shownRow(task), attempts, why }),
  text: ({ task, attempts, why }) => taskText(task, attempts, why ?? undefined),
};

/** `why`: the line of `pawl why`. */
function taskText(task: TaskDetail, attempts: readonly AttemptRow[], why?: string): string {
  return sections({
    "": fields({
      id: task.id,
      state: task.state,
      reason: task.reason,
      why,
      kind: task.kind,
      queue: task.queue,
      priority: task.priority,
      attempt: `${task.attempt} of ${task.maxAttempts}`,
      "run at": iso(task.runAt),
      created: iso(task.createdAt),
      started: iso(task.startedAt),
      ended: iso(task.endedAt),
      worker: task.workerId,
      lane: task.lane,
      key: task.key,
      expires: iso(task.expiresAt),
      "cancel requested": iso(task.cancelRequestedAt),
      about: task.ref,
    }),
    progress: task.progress === null ? undefined : pretty(task.progress),
    payload: contentText(task.payloadText),
    meta: task.metaText === null ? undefined : contentText(task.metaText),
    result: task.resultText === null ? undefined : contentText(task.resultText),
    error: errorText(task.error),
    "earlier attempts": attempts.length === 0 ? undefined : attemptsText(attempts),
  });
}

export function attemptsText(attempts: readonly AttemptRow[]): string {
  return table(attempts, [
    { head: "ATTEMPT", value: (row) => row.attempt, align: "right" },
    { head: "OUTCOME", value: (row) => row.outcome },
    { head: "WORKER", value: (row) => row.workerId, align: "right" },
    { head: "ENDED", value: (row) => iso(row.endedAt) },
    { head: "ERROR", value: (row) => row.error?.message },
  ]);
}

/** JSON that an app has written, as people may see it. */
export function contentText(json: string): string {
  return indentedJson(maskContent(json));
}

export function pretty(value: unknown): string {
  return contentText(JSON.stringify(value));
}

export function errorText(error: Partial<ErrorJson> | null): string | undefined {
  if (error === null) return undefined;
  return error.stack ?? `${error.name ?? "Error"}: ${error.message ?? ""}`;
}
