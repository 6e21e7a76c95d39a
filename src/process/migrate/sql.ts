/** Statements of migrations. */

import type { Act } from "../../operate/sql.ts";
import type { Executor } from "../../store/executor.ts";
import type { ShapeStep } from "../define-process.ts";
import type { RunStatus } from "../list/sql.ts";

export interface VersionRun {
  id: string;
  status: RunStatus;
  input: unknown;
}

/** Runs of a version that have not ended, by their ids. */
export async function runsOfVersion(
  executor: Executor,
  of: { process: string; version: number; after: string; limit: number },
): Promise<VersionRun[]> {
  const { process, version, after, limit } = of;
  const rows = await executor.rows<VersionRun>(
    "select id, status, input from pawl.runs_of_version_v1($1, $2, $3, $4)",
    [process, version, after, limit],
  );
  return rows.map((row) => ({ ...row, id: String(row.id) }));
}

/** The steps of a version in their order; undefined: it was never defined. */
export async function stepsOfVersion(
  executor: Executor,
  process: string,
  version: number,
): Promise<ShapeStep[] | undefined> {
  const [row] = await executor.rows<{ shape: ShapeStep[] | null }>(
    "select pawl.version_shape_v1($1, $2) as shape",
    [process, version],
  );
  return row?.shape ?? undefined;
}

export interface RunMove {
  id: string;
  /** The last row that was seen; 0: none. */
  no: number;
  step: string;
  /** The row of a wait that goes on; null: none. */
  waits: number | null;
  /** JSON texts. */
  input: string;
  outputs: string;
  data: string;
}

/** Answers what became of each: `migrated`, `running`, or `moved` on since it was read. */
export async function moveRuns(
  executor: Executor,
  moves: readonly RunMove[],
  act: Act & { process: string; from: number; to: number; action: string },
): Promise<Map<string, "migrated" | "running" | "moved">> {
  const { process, from, to, by, why = null, action } = act;
  const rows = await executor.rows<{ id: string; outcome: "migrated" | "running" | "moved" }>(
    "select id, outcome from pawl.migrate_runs_v1($1, $2, $3, $4, $5, $6, $7)",
    [process, from, to, `[${moves.map(moveJson).join(",")}]`, by, why, action],
  );
  return new Map(rows.map(({ id, outcome }) => [String(id), outcome]));
}

function moveJson({ id, no, step, waits, input, outputs, data }: RunMove): string {
  const head = JSON.stringify({ id, no, step, waits }).slice(0, -1);
  return `${head},"input":${input},"outputs":${outputs},"data":${data}}`;
}
