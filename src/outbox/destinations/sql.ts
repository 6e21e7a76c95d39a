/** The statements of destinations: one function each, named by its verb. */

import type { EnqueueRow } from "../../kernel/sql.ts";
import type { Executor } from "../../store/executor.ts";
import type { EventInsert } from "../sql.ts";

/** One INSERT, also of a name that belongs to Pawl. */
export function raiseEvent(
  executor: Executor,
  { name, aggregateType, aggregateId, payload, meta }: EventInsert,
): Promise<{ id: string }[]> {
  return executor.rows("select id from pawl.raise_v1($1, $2, $3, $4, $5)", [
    name,
    aggregateType,
    aggregateId,
    payload,
    meta,
  ]);
}

export interface KnownTask {
  kind: string;
  /** The JSON text of an array with one task. */
  tasks: string;
  /** Its payload is an event with what Pawl says of it: the limits were looked at when the event was recorded. */
  isEvent: boolean;
}

/** Answers no row, having written nothing, when no code defines `kind`. */
export function enqueueKnown(
  executor: Executor,
  { kind, tasks, isEvent }: KnownTask,
): Promise<EnqueueRow[]> {
  return executor.rows("select id, outcome from pawl.enqueue_known_v1($1, $2, $3)", [
    kind,
    tasks,
    isEvent,
  ]);
}
