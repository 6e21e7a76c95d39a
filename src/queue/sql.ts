/** The statements that enqueue. The work is in the functions of `src/queue/sql`. */

import type { EnqueueRow } from "../kernel/sql.ts";
import type { Executor } from "../store/executor.ts";

/** `tasks` is the JSON text of an array. `xid` as with `enqueueMany`. */
export function enqueueEach(
  executor: Executor,
  tasks: string,
  xid: string | null,
): Promise<EnqueueRow[]> {
  return executor.rows(
    "select id, outcome from pawl.enqueue_each_v1($1::pg_catalog.text::pg_catalog.jsonb, $2)",
    [tasks, xid],
  );
}

/**
 * `task` and `payloads` are JSON texts: what the tasks share, and an array.
 * `xid` null: no check. Otherwise answers no row, having written nothing, unless in that transaction.
 */
export async function enqueueMany(
  executor: Executor,
  { task, payloads }: { task: string; payloads: string },
  xid: string | null,
): Promise<EnqueueRow[]> {
  const [row] = await executor.rows<{ ids: string }>(
    "select ids from pawl.enqueue_many_v1($1::pg_catalog.text::pg_catalog.jsonb, $2::pg_catalog.text::pg_catalog.jsonb, $3)",
    [task, payloads, xid],
  );
  if (row === undefined) return [];
  return row.ids.split(",").map((id) => ({ id: id, outcome: "created" }));
}
