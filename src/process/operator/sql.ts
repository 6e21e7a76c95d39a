/** Statements of what operators decide about runs. */

import type { Act } from "../../operate/sql.ts";
import type { Executor } from "../../store/executor.ts";
import type { RunRow } from "../list/sql.ts";

/** As it was seen; one that has moved since is left as it is. */
export type SeenRun = Pick<RunRow, "status" | "step">;

export interface RunChange extends Act {
  id: string;
  seen?: SeenRun | undefined;
  outcome: "restarted" | "skipped" | "completed" | "released";
  step?: string | undefined;
  /** JSON text. */
  output?: string | undefined;
  action: string;
}

export async function holdRun(
  executor: Executor,
  { id, by, why, action }: Act & { id: string; action: string },
): Promise<string> {
  const [row] = await executor.rows<{ outcome: string }>(
    "select pawl.hold_run_v1($1, $2, $3, $4) as outcome",
    [id, by, why ?? null, action],
  );
  return row?.outcome ?? "unknown";
}

export async function changeRun(executor: Executor, change: RunChange): Promise<string> {
  const { id, outcome, step = null, output = null, by, why = null, action, seen } = change;
  const [row] = await executor.rows<{ outcome: string }>(
    "select pawl.change_run_v1($1, $2, $3, $4, $5, $6, $7, $8, $9) as outcome",
    [id, outcome, step, output, by, why, action, seen?.status ?? null, seen?.step ?? null],
  );
  return row?.outcome ?? "unknown";
}

/** Runs that a run has started and those that they have started, which have not ended: the oldest first, at most `limit`. */
export async function livingChildren(
  executor: Executor,
  id: string,
  limit: number,
): Promise<string[]> {
  const rows = await executor.rows<{ id: string }>(
    "select c.id::text as id from pawl.living_children_v1($1, $2) c order by c.id",
    [id, limit],
  );
  return rows.map((row) => row.id);
}

export async function abandonRun(
  executor: Executor,
  { id, by, why, action, seen }: Act & { id: string; action: string; seen?: SeenRun },
): Promise<string> {
  const [row] = await executor.rows<{ outcome: string }>(
    "select pawl.abandon_run_v1($1, $2, $3, $4, $5, $6) as outcome",
    [id, by, why ?? null, action, seen?.status ?? null, seen?.step ?? null],
  );
  return row?.outcome ?? "unknown";
}
