/** The statements of destinations: one function each, named by its verb. */

import type { EnqueueRow } from "../../kernel/sql.ts";
import type { Executor } from "../../store/executor.ts";

/** `tasks` is the JSON text of an array. Answers no row, having written nothing, when no code defines `kind`. */
export function enqueueKnown(
  executor: Executor,
  kind: string,
  tasks: string,
): Promise<EnqueueRow[]> {
  return executor.rows(
    `select * from pawl.enqueue(case when exists (
       select 1 from pawl.stream st where st.kind = $1 and st.version = 1 and st.defined_at is not null)
       then $2::jsonb else '[]' end)`,
    [kind, tasks],
  );
}
