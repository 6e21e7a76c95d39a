import { LOOP_MS, type PreparedExecutor } from "../../store/executor.ts";

/** A task that has ended or died; state null: there is none. */
export interface EndedRow {
  id: string;
  state: "done" | "dead" | "cancelled" | "expired" | "removed" | null;
  kind: string | null;
  /** JSON text. */
  result: string | null;
  error: { name?: string; message?: string } | null;
  /** Of a dead one. */
  reason: string | null;
}

/** Returns those of the tasks that have ended, and lets the end of the others be told on the channel `ended`. */
export function awaitTasks(
  executor: PreparedExecutor,
  ids: readonly string[],
): Promise<EndedRow[]> {
  return executor.prepared(
    "select id, state, kind, result, error, reason from pawl.await_v1($1)",
    [`{${ids.join(",")}}`],
    LOOP_MS,
  );
}
